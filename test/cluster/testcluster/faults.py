"""Faults of a test cluster. Each is a context manager that undoes itself; `heal` undoes whatever a failed test has left.

What happens between machines happens on the switch (nftables, in the layer-2 path of its ports), so that no node's own rules are touched and a
node that is booted again finds the same cable."""

import contextlib
import re
from collections.abc import Iterator
from datetime import UTC, datetime

from . import bring_up, cgroups
from .kubectl import Kubectl
from .layout import CONTROL_PLANE, Host, Layout
from .machines import Machine
from .network import port_of
from .waiting import eventually

# After a fault is undone: until the node is Ready again. A kubelet that could not reach the API server for a while lists its own Node again after a
# back-off of up to 60 s, and does not say before that it is Ready.
READY_DEADLINE = 90
API_DEADLINE = 60
# After a host's processes have ended, until the kernel has dropped what they held.
CABLE_GONE = 20
CGROUPS_GONE = 20


def host_named(name: str) -> Host:
    return Host(int(name.removeprefix("node-")))


class Faults:
    """The faults of one cluster. Nodes are named as Kubernetes names them: `node-1`."""

    def __init__(self, layout: Layout):
        self.layout = layout
        self.kubectl = Kubectl.of(layout)

    # A node's programs

    @contextlib.contextmanager
    def kubelet_gone(self, node: str) -> Iterator[None]:
        """The kubelet is killed. Its containers go on, and after 8 s Kubernetes calls the node NotReady."""
        machine = Machine(self.layout, node)
        machine.stop("kubelet")
        try:
            yield
        finally:
            machine.restart("kubelet")
            self.wait_node_ready(node)

    @contextlib.contextmanager
    def api_server_gone(self) -> Iterator[None]:
        """The API server is killed; every watch breaks. Stays so for as long as the block takes."""
        machine = Machine(self.layout, CONTROL_PLANE)
        machine.stop("kube-apiserver")
        try:
            yield
        finally:
            machine.restart("kube-apiserver")
            self.wait_api_server()
            self.wait_nodes_heard()

    # Whole hosts

    @contextlib.contextmanager
    def host_lost(self, node: str) -> Iterator[None]:
        """The plug is pulled: every process of the host ends at once, containers and their shims too, and its cable is dead. Undone by booting
        it from its disk; it comes back with nothing running, and the kubelet starts anew what is still bound to it."""
        self.power_off(node)
        try:
            yield
        finally:
            self.boot(node)

    def power_off(self, node: str) -> None:
        Machine(self.layout, node).power_off()
        # The kernel drops the cable with the network namespace, a moment later.
        control_plane = Machine(self.layout, CONTROL_PLANE)
        eventually(
            f"the cable of {node} is gone",
            lambda: port_of(node) not in control_plane.run("ip", "-oneline", "link"),
            within=CABLE_GONE,
        )
        groups = cgroups.of_machine(self.layout, node)
        eventually(f"the control groups of {node} are gone", lambda: not cgroups.remove(groups), within=CGROUPS_GONE)

    def boot(self, node: str) -> None:
        bring_up.reboot(self.layout, host_named(node))
        self.wait_node_ready(node)

    @contextlib.contextmanager
    def host_cut_off(self, node: str) -> Iterator[None]:
        """The host's cable is pulled while all on it goes on: to the others it is lost. When the block ends it comes back as a zombie, with its
        old containers still running, whatever has replaced them meanwhile."""
        self._cable(node, "down")
        try:
            yield
        finally:
            self.plug_in(node)
            self.wait_node_ready(node)

    def plug_in(self, node: str) -> None:
        """Ends what `host_cut_off` did, before its block ends."""
        self._cable(node, "up")

    # Between hosts

    @contextlib.contextmanager
    def partition(self, one: str, other: str) -> Iterator[None]:
        """Nothing passes between two hosts or their pods, in both directions; both reach everybody else."""
        with self._dropping("partition", one, other, "counter drop"):
            yield

    @contextlib.contextmanager
    def packet_loss(self, one: str, other: str, percent: int) -> Iterator["Loss"]:
        """So many of a hundred packets between two hosts or their pods are lost, at random, in each direction."""
        if not 0 < percent < 100:
            raise ValueError(f"percent is from 1 to 99, not {percent}; for all of them there is `partition`")
        with self._dropping("loss", one, other, f"numgen random mod 100 < {percent} counter drop") as table:
            yield Loss(self.layout, table)

    @contextlib.contextmanager
    def large_packets_lost(self, one: str, other: str, over: int) -> Iterator["Loss"]:
        """Between two hosts or their pods, datagrams of UDP with more than so many bytes are lost, its header included: as on a path whose MTU
        is smaller than that of its ends, and where nobody is told so."""
        with self._dropping("narrow", one, other, f"udp length > {over} counter drop") as table:
            yield Loss(self.layout, table)

    # Undoing

    def heal(self) -> None:
        """Undoes every fault, whoever made it: boots hosts, plugs cables in, drops the switch's rules, starts programs."""
        control_plane = Machine(self.layout, CONTROL_PLANE)
        for table in re.findall(r"table netdev (\S+)", control_plane.run("nft", "list", "tables")):
            control_plane.run("nft", "delete", "table", "netdev", table)
        for program in control_plane.started_programs():
            control_plane.restart(program)
        hosts = bring_up.nodes(self.layout)
        for host in hosts:
            machine = Machine(self.layout, host.name)
            if machine.init() is None:
                bring_up.reboot(self.layout, host)
            self.plug_in(host.name)
            for program in machine.started_programs():
                machine.restart(program)
        self.wait_api_server()
        self.wait_nodes_heard()

    def wait_api_server(self) -> None:
        eventually("the API server is ready", lambda: self.kubectl.run("get", "--raw", "/readyz") == "ok", within=API_DEADLINE)

    def wait_nodes_heard(self) -> None:
        """After an absence of the API server nodes may be called lost for a moment, and get no pods: until each was heard since, and is Ready."""
        now = datetime.now(UTC)

        def heard() -> bool:
            leases = self.kubectl.get("leases", "--namespace", "kube-node-lease")
            return all(datetime.fromisoformat(lease["spec"]["renewTime"]) > now for lease in leases)

        eventually("every node was heard", heard, within=READY_DEADLINE)
        for host in bring_up.nodes(self.layout):
            self.wait_node_ready(host.name)

    def wait_node_ready(self, node: str) -> None:
        eventually(f"{node} is Ready and takes pods", lambda: self.node_ready(node) and not self.tainted(node), within=READY_DEADLINE)

    def tainted(self, node: str) -> list[dict]:
        return self.kubectl.get("node", node)["spec"].get("taints", [])

    def node_ready(self, node: str) -> bool:
        conditions = {it["type"]: it["status"] for it in self.kubectl.get("node", node)["status"]["conditions"]}
        return conditions.get("Ready") == "True"

    def _cable(self, node: str, state: str) -> None:
        Machine(self.layout, CONTROL_PLANE).run("ip", "link", "set", port_of(node), state)

    @contextlib.contextmanager
    def _dropping(self, kind: str, one: str, other: str, verdict: str) -> Iterator[str]:
        control_plane = Machine(self.layout, CONTROL_PLANE)
        table = f"{kind}-{one}-{other}"
        rules = [f"table netdev {table} {{"]
        for source, target in ((one, other), (other, one)):
            rules.append(f'  chain from-{source} {{ type filter hook ingress device "{port_of(source)}" priority 0;')
            to = host_named(target)
            rules.append(f"    ip daddr {{ {to.address.v4}, {to.pods_v4} }} {verdict}")
            rules.append(f"    ip6 daddr {{ {to.address.v6}, {to.pods_v6} }} {verdict}")
            rules.append("  }")
        rules.append("}")
        control_plane.run("nft", "--file", "-", input="\n".join(rules))
        try:
            yield table
        finally:
            control_plane.script(f"nft delete table netdev {table} 2>/dev/null || ! nft list table netdev {table} 2>/dev/null")


class Loss:
    """What a lossy path has dropped so far."""

    def __init__(self, layout: Layout, table: str):
        self._layout = layout
        self._table = table

    def dropped(self) -> int:
        rules = Machine(self._layout, CONTROL_PLANE).run("nft", "list", "table", "netdev", self._table)
        return sum(int(count) for count in re.findall(r"counter packets (\d+)", rules))
