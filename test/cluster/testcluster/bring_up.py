"""Brings a cluster up: machines, cables, control plane, nodes, cluster DNS."""

import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from . import control_plane, locking, network, node, storage, tear_down
from .images import own_archives
from .kubectl import Kubectl
from .layout import CLIENT, CONTROL_PLANE, KUBERNETES, MOST_NODES, OUTSIDE, Host, Layout, binary
from .machines import Machine

NODES_DEADLINE = 90
BINARIES = (
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "kube-proxy",
    "kubectl",
    "coredns",
    "machine-init",
    "probe",
)


class CannotStart(RuntimeError):
    """Something that a cluster needs is missing; the message says what to do."""


def up(layout: Layout, count: int, feature_gates: str = "") -> None:
    check_computer(layout, count)
    with locking.only_one(layout):
        if layout.ready_mark.is_file() and all(Machine(layout, name).init() for name in machine_names(layout)):
            print(f"cluster {layout.name} is up already ({count_nodes(layout)} nodes)")
            return
        # What a killed bring-up left.
        tear_down.remove(layout)
        try:
            bring_up(layout, [Host(number) for number in range(1, count + 1)], feature_gates)
        except BaseException:
            print(f"bringing {layout.name} up failed; its logs stay in {layout.logs} until `cluster.sh down` or the next `up`", flush=True)
            raise


def bring_up(layout: Layout, hosts: list[Host], feature_gates: str) -> None:
    start = time.monotonic()

    def say(what: str) -> None:
        print(f"  {time.monotonic() - start:5.1f} s  {what}", flush=True)

    layout.state.mkdir(parents=True)
    layout.state.chmod(0o755)
    machines = [Machine(layout, name) for name in (CONTROL_PLANE, CLIENT, OUTSIDE, *(host.name for host in hosts))]
    for machine in machines:
        machine.begin_boot()
    archives = own_archives()
    for machine in machines:
        machine.finish_boot()
    network.lay_out(layout, hosts)
    say(f"{len(machines)} machines are connected")
    control_plane.begin(layout, hosts, feature_gates)
    with ThreadPoolExecutor(len(hosts)) as pool:
        prepared = [pool.submit(prepare_node, layout, host, archives) for host in hosts]
        control_plane.finish(layout, hosts, feature_gates)
        say("the API server is ready")
        for host, done in zip(hosts, prepared, strict=True):
            done.result()
            node.start_kubelet(layout, host, control_plane.gates(feature_gates))
    say("containerd and kubelet run on the nodes")
    kubectl = Kubectl.of(layout)
    kubectl.apply((Path(__file__).parent / "dns.yaml").read_text())
    kubectl.apply(storage.manifests(hosts))
    wait_ready(kubectl, hosts)
    say(f"{len(hosts)} nodes are Ready, and cluster DNS answers")
    layout.ready_mark.write_text(json.dumps({"nodes": len(hosts), "kubernetes": KUBERNETES, "feature_gates": feature_gates}))


def prepare_node(layout: Layout, host: Host, archives: list[Path]) -> None:
    node.prepare(layout, host)
    storage.make_folders(layout, host)
    node.start_containerd(layout, host)
    node.wait_containerd(layout, host)
    for archive in archives:
        node.load(layout, host, archive)


def wait_ready(kubectl: Kubectl, hosts: list[Host]) -> None:
    names = [f"node/{host.name}" for host in hosts]
    limit = f"--timeout={NODES_DEADLINE}s"
    kubectl.run("wait", "--for=create", *names, limit, timeout=NODES_DEADLINE + 5)
    kubectl.run("wait", "--for=condition=Ready", *names, limit, timeout=NODES_DEADLINE + 5)
    kubectl.run("rollout", "status", "--namespace=kube-system", "deployment/coredns", limit, timeout=NODES_DEADLINE + 5)


def reboot(layout: Layout, host: Host) -> None:
    """Boots a node that was powered off, with what was on its disk."""
    machine = Machine(layout, host.name)
    machine.boot()
    network.connect_host(layout, host, nodes(layout))
    machine.restart("containerd")
    node.wait_containerd(layout, host)
    machine.restart("kubelet")
    machine.restart("kube-proxy")


def nodes(layout: Layout) -> list[Host]:
    return [Host(number) for number in range(1, count_nodes(layout) + 1)]


def count_nodes(layout: Layout) -> int:
    return json.loads(layout.ready_mark.read_text())["nodes"]


def machine_names(layout: Layout) -> list[str]:
    return [CONTROL_PLANE, CLIENT, OUTSIDE, *(host.name for host in nodes(layout))]


def check_computer(layout: Layout, count: int) -> None:
    if os.geteuid() != 0:
        raise CannotStart("the test cluster makes namespaces and mounts: run this as root")
    if not 1 <= count <= MOST_NODES:
        raise CannotStart(f"--nodes is from 1 to {MOST_NODES}")
    missing = [name for name in BINARIES if not os.path.exists(binary(name))]
    if missing:
        raise CannotStart(f"not built yet: {', '.join(missing)}; run `make cluster-up`, which builds them")
    for hidden in ("/var/lib/", "/var/log/", "/run/"):
        if str(layout.state).startswith(hidden):
            raise CannotStart(
                f"{layout.state} is below {hidden}, which every machine of the cluster replaces by its own: set XDG_CACHE_HOME to another folder"
            )
    if not Path("/proc/sys/net/bridge").is_dir():
        raise CannotStart("this kernel has no bridge netfilter: load it (modprobe br_netfilter)")
