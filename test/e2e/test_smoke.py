"""`sfu-smoke`, which `helm test` runs in a pod: what it says of a cluster, and how it ends."""

import secrets
import subprocess

import pytest

from conftest import running_cluster
from harness.processes import stopped

PROGRAM = "sfu-smoke"


@pytest.fixture
def smoke(binaries):
    """Runs it against a front door."""

    def run(door: str, *options) -> subprocess.CompletedProcess[str]:
        command = [binaries / PROGRAM, "--door", door, "--frames", "10", *options]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)

    return run


def test_a_stream_of_one_node_is_counted_on_every_node_and_nothing_of_it_stays(cluster, smoke):
    done = smoke(cluster.front, "--nodes", "3")
    assert done.returncode == 0, done.stderr
    published, *nodes, passed = done.stdout.splitlines()
    assert published == "published `sfu-smoke` on sfu-1"
    for name, line in zip(cluster.names(), nodes, strict=True):
        said, _, rest = line.partition(": ")
        assert said == name
        assert int(rest.split()[0]) >= 10, line
    assert passed == "passed: every node of 3 shows what sfu-1 takes in"
    assert all(not report["publishers"] and not report["viewers"] for report in cluster.reports().values()), "its sessions are over"


def test_a_node_that_is_missing_is_told_in_a_sentence(cluster, smoke):
    done = smoke(cluster.front, "--nodes", "4", "--within", "1s")
    assert (done.returncode, done.stdout) == (1, "")
    assert "not ready within 1s: the front door knows 3 of 4 nodes (sfu-1, sfu-2, sfu-3)" in done.stderr


def test_a_cluster_with_a_node_that_stands_still_does_not_pass(cluster, smoke):
    with stopped(cluster.pid("sfu-2")):
        done = smoke(cluster.front, "--within", "2s")
    assert done.returncode == 1, done.stdout
    # What is found first depends on how long the front door has not heard of the node.
    found = (
        "node sfu-2 does not answer",
        "pairs of nodes are linked",
        "did not show the stream: sfu-2",
        "node sfu-2 takes no publisher",
    )
    assert any(words in done.stderr for words in found), done.stderr


def test_a_door_that_nobody_opens_is_told(smoke, ports):
    done = smoke(f"http://127.0.0.1:{ports.web}", "--within", "1s")
    assert done.returncode == 1
    assert "the front door does not answer" in done.stderr


def test_where_tokens_are_asked_for_it_makes_its_own_or_says_what_to_give(binaries, smoke, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text(f"{secrets.token_hex(32)}\n")
    with running_cluster(binaries, tmp_path, nodes=2, options=("--auth-secret-file", secret)) as cluster:
        # The cluster's own checks cannot see it without a token: the program waits for it.
        refused = smoke(cluster.front, "--within", "30s")
        assert refused.returncode == 1
        assert "--secret-file" in refused.stderr, refused.stderr
        done = smoke(cluster.front, "--nodes", "2", "--within", "30s", "--secret-file", secret)
        assert done.returncode == 0, done.stderr
