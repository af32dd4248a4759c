"""The operator as it runs: what it tells of itself, and from where it may run. What an upgrade of it does is in test_charts.py."""

import contextlib
import subprocess
import urllib.request

import pytest

from installation import IMAGES, program
from testcluster.waiting import eventually


def asked(pod: dict, path: str) -> str:
    """What an operator's pod answers on its health port."""
    with urllib.request.urlopen(f"http://{pod['status']['podIP']}:8080{path}", timeout=5) as answer:
        return answer.read().decode()


def samples(text: str) -> dict[str, float]:
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


@pytest.mark.testcluster
def test_the_operator_tells_of_itself_in_metrics(trio, operator):
    pods = {pod["metadata"]["name"]: pod for pod in operator.pods()}
    leader = operator.leader()
    for name, pod in pods.items():
        assert asked(pod, "/livez") == "ok\n"
        assert asked(pod, "/readyz") == "ready\n", "one that waits for its turn is ready too"
        assert samples(asked(pod, "/metrics"))["sfu_operator_is_leader"] == (1 if name == leader else 0)
    told = samples(asked(pods[leader], "/metrics"))
    assert told["sfu_operator_mesh_pairs_desired"] >= 3
    assert told["sfu_operator_mesh_pairs_established"] >= 3
    assert told['sfu_operator_reconciles_total{result="ok",reason="None"}'] > 0
    assert told["sfu_operator_reconcile_duration_seconds_count"] > 0
    assert any(name.startswith("sfu_operator_admin_calls_total{") and 'outcome="ok"' in name for name in told)
    quiet = lambda: samples(asked(pods[leader], "/metrics"))["sfu_operator_queue_depth"] == 0  # noqa: E731
    eventually("nothing waits when nothing happens", quiet, within=30)


@contextlib.contextmanager
def running(command: list, log):
    """A process for the time of a block."""
    with log.open("w") as out:
        process = subprocess.Popen([str(word) for word in command], stdout=out, stderr=out)
        try:
            yield process
        finally:
            process.terminate()
            process.wait(timeout=20)


def test_an_operator_outside_the_cluster_reaches_the_nodes_through_the_api_server(operator, sfu, tmp_path):
    images = [f"--node-image={IMAGES['sfu-node']}", f"--web-image={IMAGES['sfu-web']}", f"--redis-image={IMAGES['redis']}"]
    options = [
        "--node-access=proxy",
        "--namespace=sfumato-system",
        "--identity=laptop",
        "--listen=127.0.0.1:18080",
        f"--watch-namespaces={sfu.namespace}",
    ]
    command = ["env", f"KUBECONFIG={sfu.kubectl.kubeconfig}", program("sfu-operator"), "run", *options, *images]
    log = tmp_path / "operator.log"
    with operator.away(), running(command, log) as process:
        sfu.apply()
        sfu.whole(3)
        sfu.run("delete", "pod/live-1", "--wait=false")
        eventually("the loss is told", lambda: sfu.condition("Ready")["status"] == "False", within=30)
        sfu.whole(3)
        assert process.poll() is None, log.read_text()[-2000:]
    assert process.returncode == 0, log.read_text()[-2000:]
