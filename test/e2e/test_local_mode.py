"""`sfu-operator local` follows its file, ends with all that it started, and restarts what dies.

That it says in one sentence why it cannot start is shown in operator/tests/local_refusals.rs, without nodes."""

import os
import re
import signal
import socket
from pathlib import Path

import pytest
from testcluster.log_schema import strange

from harness.cluster import manifest
from harness.growth import Steady, grows
from harness.processes import Child, alive, comm
from harness.waiting import eventually


def save_in_place(path: Path, text: str) -> None:
    path.write_text(text)


def save_by_rename(path: Path, text: str) -> None:
    """As most editors do: another file takes the name."""
    other = path.with_suffix(".new")
    other.write_text(text)
    other.replace(path)


@pytest.mark.parametrize("save", [save_in_place, save_by_rename])
def test_the_file_is_followed_from_3_to_5_to_2_and_the_mesh_is_whole_each_time(save, make_cluster, peers, stream, tmp_path):
    file = tmp_path / "cluster.yaml"
    save(file, manifest(3))
    cluster = make_cluster(nodes=None, options=("-f", file, "--workers", "1")).started(3)
    peers.generate(cluster.whip(stream, "sfu-1"))
    viewer = peers.count(cluster.whep(stream, "sfu-2"))
    with Steady([viewer]):
        save(file, manifest(5))
        at_most = cluster.wait_whole(5, within=20)
        new = peers.count(cluster.whep(stream, "sfu-5"))
        grows(new)
        save(file, manifest(2))
        left = cluster.wait_whole(2, within=30)
        gone = [report["pid"] for name, report in at_most.items() if name not in left]
        cluster.gone(gone, within=5)
        eventually("the viewer on the node that left is told", new.closed, within=10)
    assert {name: report["incarnation"] for name, report in at_most.items() if name in left} == {
        name: report["incarnation"] for name, report in left.items()
    }, "a node that stays was restarted"


def test_a_bad_edit_of_the_file_is_refused_in_words_and_changes_nothing(make_cluster, tmp_path):
    file = tmp_path / "cluster.yaml"
    save_in_place(file, manifest(2))
    cluster = make_cluster(nodes=None, options=("-f", file, "--workers", "1")).started(2)
    before = cluster.reports(2)
    save_in_place(file, manifest(0))
    eventually("the refusal is shown", lambda: "spec.replicas" in cluster.child.tail(), within=10)
    assert cluster.child.running()
    assert {n: r["incarnation"] for n, r in cluster.whole(2).items()} == {n: r["incarnation"] for n, r in before.items()}
    save_in_place(file, manifest(3))
    cluster.wait_whole(3)


@pytest.mark.parametrize("how", ["Ctrl-C", "SIGTERM", "kill -9"])
def test_nothing_is_left_running(how, make_cluster, peers, stream):
    cluster = make_cluster(nodes=2).started()
    peers.generate(cluster.whip(stream, "sfu-1"))
    viewer = peers.count(cluster.whep(stream, "sfu-2"))
    family = cluster.child.family()
    assert sorted(comm(pid) for pid in family) == ["redis-server", "sfu-node", "sfu-node", "sfu-operator", "sfu-web"]
    if how == "Ctrl-C":
        # As a terminal does: to the whole foreground process group.
        os.killpg(cluster.child.pid, signal.SIGINT)
    else:
        cluster.child.process.send_signal(signal.SIGTERM if how == "SIGTERM" else signal.SIGKILL)
    code = cluster.child.exit_code(within=20)
    eventually("all that it started has ended", lambda: not [pid for pid in family if alive(pid)], within=1 if code == 0 else 15)
    assert cluster.child.family() == []
    assert cluster.slot.taken() == []
    assert code == (-signal.SIGKILL if how == "kill -9" else 0), cluster.child.tail()
    eventually("the viewer is told", viewer.closed, within=12)


def test_what_dies_is_restarted_and_its_signal_is_shown(make_cluster):
    cluster = make_cluster(nodes=2, options=("--workers", "1")).started()
    first = cluster.pid("sfu-2")
    cluster.kill(first, signal.SIGABRT)
    eventually("the death is shown", lambda: re.search(r"sfu-2.*SIGABRT", cluster.child.tail()), within=5)
    cluster.wait_whole()
    assert cluster.pid("sfu-2") != first


def test_a_cluster_uses_the_redis_that_it_is_given(make_cluster, ports, peers, stream, tmp_path):
    """The Redis of somebody else: it is used, shared by prefix, and still there when the cluster has ended."""
    redis = Child(
        "redis-server",
        ["redis-server", "--port", str(ports.redis), "--bind", "127.0.0.1", "--save", "", "--dir", tmp_path],
        tmp_path / "redis.log",
    )
    try:
        eventually("Redis answers", lambda: redis_keys(ports.redis) == [], within=5)
        cluster = make_cluster(nodes=2, options=("--redis-url", f"redis://127.0.0.1:{ports.redis}", "--workers", "1")).started()
        eventually("every node reaches it", lambda: all(r["redis"] for r in cluster.reports().values()), within=5)
        assert "redis-server" not in [comm(pid) for pid in cluster.child.family()]
        peers.generate(cluster.whip(stream, "sfu-1"))
        keys = eventually("the claim is in Redis", lambda: redis_keys(ports.redis), within=5)
        assert all(key.startswith("sfumato:") for key in keys), keys
        cluster.child.process.send_signal(signal.SIGINT)
        assert cluster.child.exit_code(within=20) == 0
        assert redis.running()
    finally:
        redis.stop()


def redis_keys(port: int) -> list[str]:
    """`KEYS *`, in the protocol itself."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as it:
        it.sendall(b"*2\r\n$4\r\nKEYS\r\n$1\r\n*\r\n")
        return re.findall(r"\r\n([^*$\r\n][^\r\n]*)", it.recv(65536).decode())


def test_each_line_of_node_and_front_door_has_the_documented_form_and_a_start_fits_a_screen(make_cluster, peers, stream):
    of = "namespace=media,cluster=live"
    log = "info,sfu_node=debug,sfu_web=debug"
    env = {"SFUMATO_LOG": log, "SFUMATO_WEB_LOG": log, "SFUMATO_LOG_FIELDS": of, "SFUMATO_WEB_LOG_FIELDS": of}
    cluster = make_cluster(nodes=3, options=("--log-format", "json", "--workers", "1"), env=env).started()
    lines = {name: (cluster.state / "logs" / f"{name}.log").read_text for name in ("sfu-1", "sfu-2", "web")}
    shown = [line for line in lines["sfu-1"]().splitlines() if '"level":"DEBUG"' not in line]
    assert len(shown) < 12, shown
    peers.generate(cluster.whip(stream, "sfu-1"))
    grows(peers.count(cluster.whep(stream, "sfu-2")))
    for name, read in lines.items():
        asked = ("namespace", "cluster", *(["node"] if name != "web" else []))
        assert read(), name
        assert not strange(read(), asked=asked), name
    assert any('"level":"DEBUG"' in line and '"link made"' in line for line in lines["sfu-1"]().splitlines())
