"""Down leaves nothing behind, in whatever state the cluster was. These tests bring small clusters up beside the one that the others run on."""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from testcluster import process_table, tear_down
from testcluster.bring_up import BINARIES
from testcluster.layout import CLIENT, Layout, binary
from testcluster.machines import Machine
from testcluster.waiting import eventually
from workloads import PROBE

pytestmark = pytest.mark.testcluster

NAME = "teardown"
HERE = Path(__file__).parent
CONTROL_GROUPS = Path("/sys/fs/cgroup")


def cluster(*words: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "testcluster", "--name", NAME, *words]
    return subprocess.Popen(command, cwd=HERE, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def run(*words: str) -> str:
    started = cluster(*words)
    output, _ = started.communicate(timeout=150)
    assert started.returncode == 0, output
    return output


@pytest.fixture
def small():
    """The name of a cluster that is down before and after the test."""
    it = Layout(NAME)
    tear_down.down(it)
    before = outside_world()
    yield it
    tear_down.down(it)
    assert nothing_left(it)
    assert outside_world() == before


def nothing_left(layout: Layout) -> bool:
    found = tear_down.leftovers(layout)
    # Beside the module's own account, by other means: nothing runs the cluster's binaries or its runtime with the cluster's paths.
    mentions = [pid for pid in process_table.pids() if any(f"/state/{NAME}/" in word for word in process_table.command_line(pid))]
    groups = [path for path in CONTROL_GROUPS.glob(f"*/*{NAME}*") if path.is_dir()]
    assert not found
    assert not mentions
    assert not groups
    return True


def outside_world() -> dict[str, object]:
    """What of this computer a cluster might change: mounts, interfaces, named namespaces, shims, files at the usual paths."""
    places = (
        "/run/netns",
        "/run/containerd",
        "/var/lib/kubelet",
        "/var/lib/cni",
        "/var/lib/etcd",
        "/var/log/pods",
        "/var/log/containers",
        "/etc/cni",
    )
    shims = {pid for pid in process_table.pids() if "containerd-shim" in " ".join(process_table.command_line(pid)[:1])}
    # After the shims: those of other clusters, which come and go meanwhile.
    others = set().union(
        *(tear_down.processes(Layout(state.name)) for state in Layout(NAME).state.parent.iterdir() if state.is_dir() and state.name != NAME)
    )
    return {
        "mounts": sorted(line.split()[1] for line in Path("/proc/1/mounts").read_text().splitlines()),
        "interfaces": sorted(line.split(":")[0].strip() for line in Path("/proc/1/net/dev").read_text().splitlines()[2:]),
        "places": {place: sorted(os.listdir(place)) if os.path.isdir(place) else None for place in places},
        "shims": sorted(pid for pid in shims - others if Path(f"/proc/{pid}").exists() and process_table.alive(pid)),
    }


def test_a_cluster_with_pods_goes_down_and_leaves_nothing(small):
    output = run("up", "--nodes", "1")
    assert "1 nodes are Ready" in output
    assert "is up already" in run("up", "--nodes", "1")
    subprocess.run(
        [sys.executable, "-m", "testcluster", "--name", NAME, "exec", "kubectl", "run", "pod", f"--image={PROBE}", "--", "serve"],
        cwd=HERE,
        check=True,
    )
    eventually("the pod's program runs on the node", lambda: Machine(small, "node-1").pids("probe"), within=60)
    assert "is down" in run("down")
    assert nothing_left(small)
    assert "nothing is left" in run("leftovers")


@pytest.mark.parametrize("moment", ["the switch", "etcd", "containerd", "kubelet"])
def test_a_bring_up_that_was_killed_leaves_nothing_after_down(small, moment):
    bringing = cluster("up", "--nodes", "1")
    try:
        eventually(f"{moment} is there, or the attempt has ended", lambda: reached(small, moment) or ended(bringing), within=120, every=0)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(bringing.pid, signal.SIGKILL)
    assert bringing.wait() == -signal.SIGKILL, bringing.stdout.read()
    assert not small.ready_mark.exists()
    run("down")
    assert nothing_left(small)


def test_bringing_up_again_takes_down_what_a_killed_attempt_left(small):
    bringing = cluster("up", "--nodes", "1")
    eventually("containerd runs", lambda: reached(small, "containerd"), within=60, every=0)
    os.killpg(bringing.pid, signal.SIGKILL)
    bringing.wait()
    init = Machine(small, CLIENT).init()
    assert "1 nodes are Ready" in run("up", "--nodes", "1")
    assert init is not None
    assert not process_table.alive(init)


def test_a_test_that_was_killed_in_the_middle_of_a_fault_leaves_nothing_after_down(small):
    run("up", "--nodes", "1")
    command = [sys.executable, "-m", "testcluster", "--name", NAME, "exec", "--from", "outside", "sleep", "1000"]
    forgotten = subprocess.Popen(command, cwd=HERE, start_new_session=True)
    try:
        eventually("the forgotten program runs there", lambda: forgotten.pid in tear_down.processes(small), within=20)
        Machine(small, "node-1").stop("kubelet")
        Machine(small, "control-plane").run("ip", "link", "set", "to-node-1", "down")
        os.kill(Machine(small, "node-1").pids("containerd")[0], signal.SIGSTOP)
        Machine(small, CLIENT).power_off()
        run("down")
        assert forgotten.wait(timeout=5) == -signal.SIGKILL
    finally:
        forgotten.kill()


def test_a_missing_binary_is_named_with_what_to_do(tmp_path):
    environment = {"PATH": os.environ["PATH"], "XDG_CACHE_HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-m", "testcluster", "up"], cwd=HERE, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == f"cluster: not built yet: {', '.join(BINARIES)}; run `make cluster-up`, which builds them\n"


def test_a_name_that_cannot_be_one_is_refused():
    with pytest.raises(ValueError, match=r'"\.\./etc" is not'):
        Layout("../etc")


def ended(process: subprocess.Popen) -> bool:
    return process.poll() is not None


def reached(layout: Layout, moment: str) -> bool:
    if moment == "the switch":
        machine = Machine(layout, "control-plane")
        return machine.init() is not None and "switch" in machine.run("ip", "-oneline", "link")
    machine = Machine(layout, "control-plane" if moment == "etcd" else "node-1")
    return bool(machine.pids(moment)) and os.path.exists(binary("kube"))
