"""NetworkPolicies, enforced on every host by kube-router's firewall: what has to be open is, and everything else is shut.

By IPv4 alone: kube-router 2.1.0 writes rules for IPv6 with sets that it has made under other names, and gives up then."""

import contextlib
import ipaddress
import json
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml

from harness.growth import grows
from helm import ROOT, Helm
from installation import program
from media import Peers, whep, whip
from sfucluster import SfuCluster
from testcluster.fixtures import new_namespace
from testcluster.layout import API_PORT, CONTROL_PLANE_ADDRESS, DNS_SERVICE, SERVICE_RANGES, Host
from testcluster.machines import Machine
from testcluster.waiting import eventually

pytestmark = pytest.mark.testcluster

EXAMPLE = Path(__file__).parents[2] / "examples" / "default-deny.yaml"
HOSTS = (1, 2, 3)
# Of kube-router: it looks by itself whenever something changes.
FIREWALL = (
    "--run-firewall=true",
    "--run-router=false",
    "--run-service-proxy=false",
    "--health-port=0",
    "--enable-ipv6=false",
    "--iptables-sync-period=5s",
)
ENFORCED_WITHIN = 60
# Takes its rules away, and nothing of kube-proxy's, which has tables of its own. (Its own --cleanup-config ends with a nil pointer.)
OFF = """
for family in iptables ip6tables; do
  $family-save --table filter | grep -vE 'KUBE-(ROUTER|POD-FW|NWPLCY)' | $family-restore --table filter
done
ipset list -name | grep KUBE- | xargs --no-run-if-empty --max-args=1 ipset destroy
if iptables-save --table filter | grep -E 'KUBE-(ROUTER|POD-FW|NWPLCY)'; then exit 1; fi
"""
# Refusals [ms between two]: 0 is as many as there are, so that each is heard.
RATES = "net.ipv4.icmp_ratelimit", "net.ipv6.icmp.ratelimit"
# What a firewall may set on a host; the tests that follow need it as it was.
SETTINGS = "^net.bridge|icmp|ip_forward$|forwarding$|rp_filter$"

# In the network of a process: tries each of `[protocol, address, port]` and prints which are open. What is refused is shut, and so is TCP
# that gets no answer. A datagram that gets none went through: who listens for media answers no stranger.
TRY = """
import json, socket, sys
from concurrent.futures import ThreadPoolExecutor
def is_open(one):
    protocol, address, port = one
    kind = socket.SOCK_STREAM if protocol == "TCP" else socket.SOCK_DGRAM
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, kind) as it:
        it.settimeout(1.5)
        try:
            it.connect((address, port))
            if kind == socket.SOCK_DGRAM:
                it.send(b"?")
                it.recv(10)
        except TimeoutError:
            return kind == socket.SOCK_DGRAM
        except OSError:
            return False
    return True
tries = json.loads(sys.argv[1])
with ThreadPoolExecutor(len(tries)) as pool:
    print(json.dumps(list(pool.map(is_open, tries))))
"""

# Ports of a media node by default, and of the others: who is tried, and how.
PORTS = {
    "clients": ("node", "TCP", 3001),
    "front doors": ("node", "TCP", 3443),
    "admin": ("node", "TCP", 4001),
    "health": ("node", "TCP", 5001),
    "media": ("node", "UDP", 20000),
    # One of these 100.
    "links": ("node", "UDP", range(24000, 24100)),
    "page": ("web", "TCP", 2020),
    "redis": ("redis", "TCP", 6379),
    "names": ("names", "UDP", 53),
    "API server": ("API server", "TCP", API_PORT),
}
# What is open, from whom: all else is shut. Somebody is a machine that no policy knows.
OPEN = {
    "somebody": {"clients", "health", "media", "page", "names", "API server"},
    # The chart's policy lets it out to TCP of media nodes, whose ports are theirs to choose.
    "operator": {"clients", "health", "admin", "names", "API server"},
    "node": {"admin", "links", "redis", "names"},
    "web": {"admin", "front doors", "names"},
    "redis": {"names"},
}


@pytest.fixture
def firewall(layout) -> Iterator[None]:
    """On every host from when it is asked for until the end."""
    machines = [Machine(layout, Host(number).name) for number in HOSTS]
    with contextlib.ExitStack() as stack:
        for machine in machines:
            before = settings(machine)
            machine.run("sysctl", "-qw", *(f"{rate}=0" for rate in RATES))
            stack.callback(off, machine, before)
        yield


def settings(machine: Machine) -> dict[str, str]:
    lines = machine.run("sysctl", "--all", "--pattern", SETTINGS).splitlines()
    # A pod's network interface comes and goes.
    return {name: value for name, _, value in (line.partition(" = ") for line in lines) if ".veth" not in name}


def on(layout) -> None:
    ranges = [f"--service-cluster-ip-range={one}" for one in SERVICE_RANGES.split(",")[:1]]
    for number in HOSTS:
        host = Host(number)
        Machine(layout, host.name).start("kube-router", *FIREWALL, *ranges, f"--kubeconfig={layout.kubeconfig}", f"--hostname-override={host.name}")


def off(machine: Machine, before: dict[str, str]) -> None:
    """As it was: the tests that follow on this cluster know of no firewall."""
    machine.stop("kube-router")
    machine.script(OFF)
    machine.run("sysctl", "-qw", *(f"{rate}={before[rate]}" for rate in RATES))
    assert settings(machine) == before, f"{machine} is not as it was"


class Tries:
    """What gets through between the pods of a cluster in a namespace where nothing may unless a policy says so."""

    def __init__(self, sfu: SfuCluster, operator: dict, layout):
        self._layout = layout
        pods = {pod["metadata"]["labels"].get("app.kubernetes.io/component", ""): pod for pod in sfu.get("pods")}
        nodes = sfu.nodes()
        self._from = {"somebody": None, "operator": operator, "node": nodes["live-1"], "web": pods["web"], "redis": pods["redis"]}
        self._to = {"node": nodes["live-0"], "web": pods["web"], "redis": pods["redis"]}

        listening = self._in_network_of(nodes["live-0"], ["cat", "/proc/thread-self/net/udp"])
        ports = {int(line.split()[1].split(":")[1], 16) for line in listening.splitlines()[1:]}
        self._links = min(ports & set(PORTS["links"][2]))

    def names(self, who: str) -> set[str]:
        """What is tried from somebody."""
        return {name for name, (to, _, _) in PORTS.items() if to != who}

    def open(self) -> dict[str, set[str]]:
        """From each, the names of the ports that it gets through to."""
        with ThreadPoolExecutor(len(self._from)) as pool:
            return dict(zip(self._from, pool.map(self._open_from, self._from), strict=True))

    def _open_from(self, who: str) -> set[str]:
        names = sorted(self.names(who))
        ports = {name: self._links if name == "links" else PORTS[name][2] for name in names}
        tries = [[PORTS[name][1], self._address(PORTS[name][0]), ports[name]] for name in names]
        said = self._in_network_of(self._from[who], ["/usr/bin/python3", "-c", TRY, json.dumps(tries)])
        return {name for name, is_open in zip(names, json.loads(said), strict=True) if is_open}

    def _address(self, to: str) -> str:
        fixed = {"names": DNS_SERVICE, "API server": CONTROL_PLANE_ADDRESS.v4}
        if to in fixed:
            return fixed[to]
        addresses = [it["ip"] for it in self._to[to]["status"]["podIPs"]]
        return next(it for it in addresses if ipaddress.ip_address(it).version == 4)

    def _in_network_of(self, pod: dict | None, command: list[str]) -> str:
        if pod is None:
            return subprocess.run(command, check=True, capture_output=True, text=True, timeout=30).stdout
        machine = Machine(self._layout, pod["spec"]["nodeName"])
        container = pod["status"]["containerStatuses"][0]["containerID"].removeprefix("containerd://")
        tasks = machine.run("ctr", "--namespace=k8s.io", "tasks", "ls").splitlines()
        [pid] = [line.split()[1] for line in tasks if line.startswith(container)]
        return machine.run("nsenter", "--target", pid, "--net", "--", *command)


@contextlib.contextmanager
def chart_policy(helm: Helm, operator) -> Iterator[None]:
    """The operator's own policy, as its chart has it, for the pods of an operator that was not installed by the chart."""
    chart = str(ROOT / "charts" / "sfumato")
    text = helm.run("template", "it", chart, "--set=networkPolicy.enabled=true", "--show-only=templates/networkpolicy.yaml")
    policy = yaml.safe_load(text)
    policy["metadata"]["namespace"] = operator.namespace
    policy["spec"]["podSelector"]["matchLabels"].pop("app.kubernetes.io/instance")
    helm.kubectl.apply(json.dumps(policy))
    try:
        yield
    finally:
        helm.kubectl.run("delete", "networkpolicy", policy["metadata"]["name"], "--namespace", operator.namespace)


def as_wanted(tries: Tries, wanted: Callable[[str], set[str]]) -> bool:
    """True where nothing does; otherwise it says what is open or shut and should not be."""
    wrong = {who: sorted(found ^ wanted(who)) for who, found in tries.open().items()}
    assert not any(wrong.values()), str(wrong)
    return True


def test_what_policies_let_in_and_out_gets_through_and_nothing_else(operator, kubectl, layout, firewall, helm, tmp_path):
    with new_namespace(kubectl, "policies") as namespace, chart_policy(helm, operator):
        for document in yaml.safe_load_all(EXAMPLE.read_text()):
            if document["kind"] == "NetworkPolicy":
                document["metadata"]["namespace"] = namespace
                kubectl.apply(json.dumps(document))
        sfu = SfuCluster(kubectl, namespace)
        sfu.apply()
        sfu.whole(3)
        tries = Tries(sfu, operator.pods()[0], layout)
        # Nobody enforces them yet: it is they that shut what is shut below.
        eventually("everything is open", lambda: as_wanted(tries, tries.names), within=ENFORCED_WITHIN)
        on(layout)
        eventually(
            "what is allowed is open, and all else shut", lambda: as_wanted(tries, lambda who: OPEN[who] & tries.names(who)), within=ENFORCED_WITHIN
        )

        # A cluster lives and plays like that, also with a new pod.
        peers = Peers(Path(program("sfu-bench")).parent, tmp_path)
        try:
            peers.publish(whip(sfu, "shut", "live-0"))
            grows(peers.count(whep(sfu, "shut", "live-2")))
            before = sfu.uids()["live-1"]
            sfu.run("delete", "pod", "live-1")
            sfu.replaced("live-1", before)
            sfu.whole(3)
            grows(peers.count(whep(sfu, "shut", "live-1")))
        finally:
            peers.stop()
