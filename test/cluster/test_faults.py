"""Each fault does what it says, and is undone."""

import pytest

from testcluster import cgroups
from testcluster.bring_up import nodes
from testcluster.kubectl import KubectlError
from testcluster.layout import binary
from testcluster.machines import Machine
from testcluster.waiting import eventually
from workloads import pods, probe_from, statefulset

pytestmark = pytest.mark.testcluster

ROLLED_OUT = 90


@pytest.fixture
def trio(layout, kubectl, namespace):
    """Three pods on three hosts, which they leave soon where those are called lost: `trio["node-2"]` is the pod there."""
    return spread(layout, kubectl, namespace, stay=3)


@pytest.fixture
def staying(layout, kubectl, namespace):
    """The same; but they stay. After an absence of the API server a host that is well may be called lost for a minute."""
    return spread(layout, kubectl, namespace, stay=300)


def spread(layout, kubectl, namespace: str, stay: int) -> dict[str, dict]:
    assert len(nodes(layout)) >= 3, "these tests need three nodes"
    kubectl.apply(statefulset(namespace, replicas=3, stay=stay))
    kubectl.run("rollout", "status", "--namespace", namespace, "statefulset/probe", f"--timeout={ROLLED_OUT}s", timeout=ROLLED_OUT + 5)
    by_host = {pod["spec"]["nodeName"]: pod for pod in pods(kubectl, namespace)}
    assert len(by_host) == 3
    return by_host


class Asker:
    """Asks from a machine, since `kubectl exec` needs the kubelet of the asking pod's host."""

    def __init__(self, layout):
        self._layout = layout

    def answers(self, source: str, target: dict, family: int = 0) -> int:
        """How many of 20 UDP packets from a host to a pod are answered."""
        ip = target["status"]["podIPs"][family]["ip"]
        machine = Machine(self._layout, source)
        command = f"{binary('probe')} udp '{f'[{ip}]' if ':' in ip else ip}:7007' 2>&1 || true"
        words = machine.script(command).split()
        return int(words[0]) if words and words[0].isdigit() else 0


@pytest.fixture
def asker(layout):
    return Asker(layout)


def test_containers_go_on_without_their_kubelet_and_the_node_is_called_not_ready(kubectl, faults, asker, trio):
    restarts = trio["node-2"]["status"]["containerStatuses"][0]["restartCount"]
    with faults.kubelet_gone("node-2"):
        eventually("node-2 is NotReady", lambda: not faults.node_ready("node-2"), within=40)
        assert asker.answers("client", trio["node-2"]) == 20
    assert faults.node_ready("node-2")
    name, namespace = trio["node-2"]["metadata"]["name"], trio["node-2"]["metadata"]["namespace"]
    assert kubectl.get("pod", name, "--namespace", namespace)["status"]["containerStatuses"][0]["restartCount"] == restarts


def test_a_partition_parts_two_hosts_and_their_pods_and_nobody_else(faults, asker, trio):
    with faults.partition("node-1", "node-2"):
        for family in (0, 1):
            assert asker.answers("node-1", trio["node-2"], family) == 0
            assert asker.answers("node-2", trio["node-1"], family) == 0
            assert asker.answers("node-1", trio["node-3"], family) == 20
            assert asker.answers("node-3", trio["node-2"], family) == 20
        assert faults.node_ready("node-1")
        assert faults.node_ready("node-2")
    assert asker.answers("node-1", trio["node-2"]) == 20
    assert asker.answers("node-2", trio["node-1"]) == 20


def test_packets_are_lost_on_one_path_only(faults, asker, trio):
    with faults.packet_loss("node-1", "node-2", percent=50) as loss:
        # At 50 % each way, all of 20 are answered once in 10^12 runs.
        eventually("some packets are answered, and some are not", lambda: 0 < asker.answers("node-1", trio["node-2"]) < 20, within=30)
        assert loss.dropped() > 0
        assert asker.answers("node-1", trio["node-3"]) == 20
    assert asker.answers("node-1", trio["node-2"]) == 20


def test_the_pod_of_a_lost_host_is_replaced_when_it_is_force_deleted_and_the_host_comes_back_empty(kubectl, namespace, faults, asker, trio):
    lost = trio["node-3"]["metadata"]
    with faults.host_lost("node-3"):
        assert asker.answers("client", trio["node-3"]) == 0
        assert cgroups.of_machine(faults.layout, "node-3"), "it ran containers"
        assert not cgroups.existing(cgroups.of_machine(faults.layout, "node-3")), "a host that is off has no control groups"
        eventually("node-3 is NotReady", lambda: not faults.node_ready("node-3"), within=40)
        eventually("its pod is being evicted", lambda: terminating(kubectl, namespace, lost["name"]), within=60)
        kubectl.run("delete", "pod", lost["name"], "--namespace", namespace, "--force", "--grace-period=0")
        replacement = eventually("another host runs it", lambda: running(kubectl, namespace, lost["name"], lost["uid"]), within=60)
        assert replacement["spec"]["nodeName"] != "node-3"
        assert asker.answers("client", replacement) == 20
    assert faults.node_ready("node-3")
    assert asker.answers("client", trio["node-3"]) == 0
    assert asker.answers("client", replacement) == 20


def test_a_host_that_was_cut_off_comes_back_as_a_zombie_until_its_kubelet_learns_better(kubectl, namespace, faults, asker, trio):
    old = trio["node-3"]
    with faults.host_cut_off("node-3"):
        eventually("node-3 is NotReady", lambda: not faults.node_ready("node-3"), within=40)
        assert asker.answers("client", old) == 0
        # On the host itself it lives.
        assert asker.answers("node-3", old) == 20
        kubectl.run("delete", "pod", old["metadata"]["name"], "--namespace", namespace, "--force", "--grace-period=0")
        replacement = eventually(
            "another host runs it", lambda: running(kubectl, namespace, old["metadata"]["name"], old["metadata"]["uid"]), within=60
        )
    eventually("the zombie is gone", lambda: asker.answers("client", old) == 0, within=60)
    assert asker.answers("client", replacement) == 20


def test_pods_go_on_while_the_api_server_is_away(kubectl, namespace, faults, asker, staying):
    with faults.api_server_gone():
        with pytest.raises(KubectlError, match="refused"):
            kubectl.run("get", "nodes")
        for pod in staying.values():
            assert asker.answers("client", pod) == 20
    assert probe_from(kubectl, namespace, "probe-0", "udp", f"{staying['node-1']['status']['podIP']}:7007").startswith("20 of 20")
    kubectl.run("scale", "--namespace", namespace, "statefulset/probe", "--replicas=4")
    eventually("a fourth pod runs", lambda: running(kubectl, namespace, "probe-3", ""), within=60)


def test_healing_undoes_what_a_test_left_broken(layout, faults, asker, staying):
    faults.power_off("node-1")
    Machine(layout, "node-2").stop("kubelet")
    Machine(layout, "control-plane").stop("kube-apiserver")
    Machine(layout, "control-plane").run("ip", "link", "set", "to-node-3", "down")
    stuck = faults.partition("node-2", "node-3")
    stuck.__enter__()
    faults.heal()
    assert all(faults.node_ready(host.name) for host in nodes(layout))
    assert asker.answers("node-2", staying["node-3"]) == 20
    assert asker.answers("node-3", staying["node-2"]) == 20


def terminating(kubectl, namespace: str, name: str) -> bool:
    return "deletionTimestamp" in kubectl.get("pod", name, "--namespace", namespace)["metadata"]


def running(kubectl, namespace: str, name: str, unlike: str) -> dict | None:
    """The pod, where it is another one than `unlike` and ready."""
    pod = kubectl.get("pod", name, "--namespace", namespace)
    statuses = pod["status"].get("containerStatuses", [])
    return pod if pod["metadata"]["uid"] != unlike and statuses and all(it["ready"] for it in statuses) else None
