"""Media to clients outside of the pod network: their machine reaches the hosts' addresses, and no pod's."""

import contextlib
import ipaddress
import json
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator

import pytest
from aioice import stun

from harness.browsers import Chromium
from harness.growth import grows
from installation import program
from media import PLAYS_WITHIN, Peers, seen_by, without_udp
from nodes import kill
from sfucluster import SfuCluster, merged
from testcluster.fixtures import new_namespace
from testcluster.layout import CONTROL_PLANE, OUTSIDE, OUTSIDE_ADDRESS, ROUTER_ADDRESS, Host
from testcluster.machines import Machine
from testcluster.waiting import eventually

pytestmark = pytest.mark.testcluster

# Three nodes that are replaced one after the other, each drained for the shortest time that publishers get.
ROLLED_WITHIN = 180
ADDRESSES = "sfumato.dev/media-addresses"
# As a second cluster on these hosts would: none is the default of its field.
ON_HOST = {"media": {"port": 21000}, "mesh": {"portBase": 25000}, "ports": {"client": 3101, "secureClient": 3543, "admin": 4101, "health": 5101}}
# As for one that cannot have both protocols at a Service, and whose ports are not those of the pods.
BALANCER = {"portBase": 40000, "separateProtocols": True}
# Where a load balancer has its addresses: for benchmarks of networks (RFC 2544), so nobody's.
BALANCED = ipaddress.ip_network("198.18.0.0/24")
BALANCED_V6 = ipaddress.ip_network("2001:2::/64")
# Of the pod whose load balancer has a host name: what it is first, and then.
NAMED = (str(BALANCED[201]), str(BALANCED[202]))
STUN_PORT = 3478


class Outside:
    """A cluster as its users reach it from outside."""

    def __init__(self, sfu: SfuCluster, peers: Peers, peers_v6: Peers, balancer: "Balancer | None"):
        self.sfu = sfu
        self.peers = peers
        self.balancer = balancer
        self._peers_v6 = peers_v6
        port = sfu.get("service", f"{sfu.name}-web")["spec"]["ports"][0]["nodePort"]
        self.front = f"http://{Host(1).address.v4}:{port}"
        eventually("the front door answers", lambda: urllib.request.urlopen(f"{self.front}/readyz", timeout=5).close() or True, within=30)

    def url(self, protocol: str, stream: str, node: str) -> str:
        return f"{self.front}/{protocol}/{stream}?node={node}"

    def plays(self, stream: str, *options: str, on: str = "live-2") -> None:
        """What is published on pod 0 is watched on pod 2, or on another."""
        self._plays_by(self.peers, stream, *options, on=on)

    def plays_by_ipv6(self, stream: str) -> None:
        """The same for clients that have addresses of IPv6 only."""
        self._plays_by(self._peers_v6, stream, on="live-2")

    def _plays_by(self, peers: Peers, stream: str, *options: str, on: str) -> None:
        publisher = peers.publish(self.url("whip", stream, f"{self.sfu.name}-0"), *options)
        grows(peers.count(self.url("whep", stream, on)))
        publisher.stop()

    def plays_everywhere(self, chromium: Chromium, stream: str) -> None:
        """The same with Chromium and with aiortc."""
        seen_by(chromium, self.front, stream)
        publisher = self.peers.aiortc("publish", self.url("whip", f"{stream}-aiortc", "live-0"))
        viewer = self.peers.aiortc("watch", self.url("whep", f"{stream}-aiortc", "live-2"))
        grows(viewer, within=PLAYS_WITHIN)
        viewer.stop()
        publisher.stop()

    def checked(self) -> None:
        """What `sfu-smoke --check-media` says from here."""
        command = [program("sfu-smoke"), "--check-media", f"--door={self.front}", f"--bind={OUTSIDE_ADDRESS.v4}", "--nodes=3"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
        for node in range(3):
            assert f"live-{node}: UDP yes, TCP yes, TURN no server named" in done.stdout.splitlines(), done.stdout

    def told(self) -> dict[str, str]:
        """Where the clients of each pod are sent, by IPv4."""
        return {name: pod["metadata"]["annotations"].get(ADDRESSES, "").partition(",")[0] for name, pod in self.sfu.nodes().items()}

    def media_of(self, pod: str) -> tuple[str, int]:
        told = self.told()[pod].removeprefix("udp/") or f"{self.sfu.nodes()[pod]['status']['hostIP']}:{ON_HOST['media']['port']}"
        host, _, port = told.rpartition(":")
        return host, int(port)


class NeverSilent:
    """A peer that goes on sending to where a pod was, whatever becomes of it: what hosts know of its way is in use all the time."""

    def __init__(self, to: tuple[str, int]):
        self._over = threading.Event()
        self._sent = 0
        # A socket belongs to the network of the thread that makes it.
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((OUTSIDE_ADDRESS.v4, 0))
        self._socket.connect(to)
        self.port = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._send, name="never silent", daemon=True)

    def __enter__(self) -> "NeverSilent":
        self._thread.start()
        return self

    def __exit__(self, *_) -> None:
        self._over.set()
        self._thread.join(timeout=10)
        self._socket.close()
        assert self._sent > 0, "nothing was sent"

    def _send(self) -> None:
        while not self._over.wait(0.02):
            # Refused while nobody listens there.
            with contextlib.suppress(OSError):
                # The first bits of RTP.
                self._sent += self._socket.send(bytes([0x80]) + bytes(39))


class StunServer:
    """Says where requests come from (RFC 8489), beyond the pod network."""

    def __init__(self):
        self._over = threading.Event()
        self.answered = 0
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.settimeout(0.2)
        self._socket.bind((OUTSIDE_ADDRESS.v4, STUN_PORT))
        self._thread = threading.Thread(target=self._answer, name="STUN server", daemon=True)

    def __enter__(self) -> "StunServer":
        self._thread.start()
        return self

    def __exit__(self, *_) -> None:
        self._over.set()
        self._thread.join(timeout=10)
        self._socket.close()

    def _answer(self) -> None:
        while not self._over.is_set():
            with contextlib.suppress(TimeoutError, ValueError):
                data, sender = self._socket.recvfrom(1500)
                request = stun.parse_message(data)
                answer = stun.Message(stun.Method.BINDING, stun.Class.RESPONSE, request.transaction_id)
                answer.attributes["XOR-MAPPED-ADDRESS"] = sender
                self._socket.sendto(bytes(answer), sender)
                self.answered += 1


@contextlib.contextmanager
def translated(layout) -> Iterator[None]:
    """What pods ask the STUN server comes from their hosts, as networks of Kubernetes do it with all that leaves the cluster."""
    rule = f"POSTROUTING --source 10.244.0.0/16 --destination {OUTSIDE_ADDRESS.v4} --protocol udp --dport {STUN_PORT} --jump MASQUERADE"
    hosts = [Machine(layout, Host(number).name) for number in (1, 2, 3)]
    for host in hosts:
        host.script(f"iptables --wait --table nat --append {rule}")
    try:
        yield
    finally:
        for host in hosts:
            host.script(f"iptables --wait --table nat --delete {rule}")


class Balancer:
    """Gives each Service an address, and routes it to the host of the pod behind it, as load balancers that heed health checks do."""

    def __init__(self, sfu: SfuCluster, layout):
        self._sfu = sfu
        self._router = Machine(layout, CONTROL_PLANE)
        self._outside = Machine(layout, OUTSIDE)
        self._routes: dict[str, str] = {}
        self._failure: BaseException | None = None
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="balancer", daemon=True)

    def __enter__(self) -> "Balancer":
        self._outside.script(f"ip route replace {BALANCED} via {ROUTER_ADDRESS.v4}\nip route replace {BALANCED_V6} via {ROUTER_ADDRESS.v6}")
        self._thread.start()
        return self

    def __exit__(self, *_) -> None:
        self._over.set()
        self._thread.join(timeout=30)
        self._router.script("\n".join(f"ip route del {address}" for address in self._routes) or "true")
        self._outside.script(f"ip route del {BALANCED}\nip route del {BALANCED_V6}")
        assert self._failure is None, self._failure

    def _run(self) -> None:
        try:
            while not self._over.wait(0.5):
                self._look()
        except BaseException as failure:
            self._failure = failure

    def _look(self) -> None:
        for service in self._sfu.get("services"):
            if service["spec"]["type"] != "LoadBalancer":
                continue
            name = service["metadata"]["name"]
            number = int(name.removesuffix("-tcp").rpartition("-")[2])
            place = number + (101 if name.endswith("-tcp") else 1)
            if not service["status"].get("loadBalancer"):
                self.give(name, {"ip": str(BALANCED[place])}, {"ip": str(BALANCED_V6[place])})
            host = self._sfu.nodes().get(f"live-{number}", {}).get("status", {})
            if host.get("hostIPs"):
                self._route(str(BALANCED[place]), host["hostIPs"][0]["ip"])
                self._route(str(BALANCED_V6[place]), host["hostIPs"][1]["ip"])

    def give(self, service: str, *ingress: dict) -> None:
        status = {"status": {"loadBalancer": {"ingress": ingress}}}
        self._sfu.run("patch", "service", service, "--subresource=status", "--type=merge", "--patch", json.dumps(status))

    def _route(self, address: str, host: str) -> None:
        if self._routes.get(address) != host:
            self._router.script(f"ip route replace {address} via {host}")
            self._routes[address] = host


def named(sfu: SfuCluster, name: str, address: str) -> None:
    """The host name NAME.NAMESPACE.svc.cluster.local has this address from now on."""
    about = {"name": name, "namespace": sfu.namespace}
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": about,
        "spec": {"clusterIP": "None", "ipFamilyPolicy": "SingleStack", "ipFamilies": ["IPv4"], "ports": [{"port": 80}]},
    }
    belongs = {"labels": {"kubernetes.io/service-name": name}}
    endpoints = {"addressType": "IPv4", "ports": [{"port": 80}], "endpoints": [{"addresses": [address]}]}
    slice_ = {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": {**about, **belongs}, **endpoints}
    for manifest in (service, slice_):
        sfu.kubectl.apply(json.dumps(manifest))


@contextlib.contextmanager
def exposed(exposure: str, kubectl, layout, directory, **media) -> Iterator[Outside]:
    # Pod security knows the ports and the network of hosts as privileges.
    level = "privileged" if exposure in ("HostPort", "HostNetwork") else "restricted"
    with new_namespace(kubectl, f"exposure-{exposure}", level) as namespace, contextlib.ExitStack() as around:
        sfu = SfuCluster(kubectl, namespace)
        balancer = around.enter_context(Balancer(sfu, layout)) if exposure == "LoadBalancer" else None
        own = {"HostNetwork": ON_HOST, "LoadBalancer": {"media": {"loadBalancer": BALANCER}}}.get(exposure, {})
        sfu.apply(**merged(own, {"media": {"exposure": exposure, **media}, "web": {"service": {"type": "NodePort"}}}))
        sfu.whole(3)
        around.enter_context(Machine(layout, OUTSIDE).network())
        peers = around.enter_context(peers_at(OUTSIDE_ADDRESS.v4, directory))
        peers_v6 = around.enter_context(peers_at(OUTSIDE_ADDRESS.v6, directory / "v6"))
        yield Outside(sfu, peers, peers_v6, balancer)


@contextlib.contextmanager
def peers_at(address: str, directory) -> Iterator[Peers]:
    directory.mkdir(exist_ok=True)
    peers = Peers(program("sfu-bench").parent, directory, address)
    try:
        yield peers
    finally:
        peers.stop()


@pytest.mark.usefixtures("chromium", "operator")
@pytest.mark.parametrize("exposure", ["HostPort", "HostNetwork", "NodePort", "LoadBalancer"])
def test_what_is_published_from_outside_on_one_pod_is_watched_there_on_another(exposure, kubectl, layout, tmp_path):
    with exposed(exposure, kubectl, layout, tmp_path) as outside:
        sfu = outside.sfu
        chromium = outside.peers.browser(Host(1).address.v4)
        outside.plays_everywhere(chromium, "first")
        outside.checked()
        outside.plays_by_ipv6("by-ipv6")
        if outside.balancer:
            # The operator follows it meanwhile.
            named(sfu, "balanced", NAMED[0])
            for service in ("live-media-1", "live-media-1-tcp"):
                outside.balancer.give(service, {"hostname": f"balanced.{sfu.namespace}.svc.cluster.local"})
            eventually("the address of its name is told", lambda: outside.told()["live-1"] == f"udp/{NAMED[0]}:40064", within=60)
            named(sfu, "balanced", NAMED[1])
        if exposure == "HostNetwork":
            beside(sfu, outside.peers)

        # The second one goes on to the end.
        with NeverSilent(outside.media_of("live-0")):
            # A pod that is replaced is told anew, and is on another host perhaps.
            before = sfu.uids()["live-0"]
            began = time.monotonic()
            with NeverSilent(outside.media_of("live-0")) as peer:
                sfu.run("delete", "pod", "live-0")
                sfu.replaced("live-0", before)
                sfu.whole(3)
            # Where a host still knew the way to the pod that is gone, what comes from the same port would go there.
            outside.plays("replaced", "--port", str(peer.port))
            print(f"{exposure}: a replaced pod plays again after {time.monotonic() - began:.1f} s")

            before = sfu.uids()
            with NeverSilent(outside.media_of("live-0")) as peer:
                sfu.patch(podLabels={"rolled": "yes"})
                eventually("all pods are new", lambda: not set(before.values()) & set(sfu.uids().values()), within=ROLLED_WITHIN)
                sfu.whole(3)
            outside.plays("rolled", "--port", str(peer.port))
            outside.plays_everywhere(chromium, "again")
        if outside.balancer:
            eventually("the new address of its name is told", lambda: outside.told()["live-1"] == f"udp/{NAMED[1]}:40064", within=60)
        told = outside.told()
        hosts = {name: pod["status"]["hostIP"] for name, pod in sfu.nodes().items()}
        expected = {
            "HostNetwork": dict.fromkeys(hosts, ""),
            "LoadBalancer": {
                **{name: f"udp/{BALANCED[int(name[-1]) + 1]}:{40000 + 64 * int(name[-1])}" for name in hosts},
                "live-1": f"udp/{NAMED[1]}:40064",
            },
            "HostPort": {name: f"{host}:20000" for name, host in hosts.items()},
            "NodePort": {name: f"{host}:{30100 + 64 * int(name[-1])}" for name, host in hosts.items()},
        }
        assert told == expected[exposure], hosts


def beside(sfu: SfuCluster, peers: Peers) -> None:
    """A second cluster has ports of its own on the same hosts; one with the ports of the first finds no host."""
    other = SfuCluster(sfu.kubectl, sfu.namespace, "other")
    other.apply(media={"exposure": "HostNetwork"}, web={"service": {"type": "NodePort"}})
    other.whole(3)
    hosts = [{pod["spec"]["nodeName"] for pod in cluster.nodes().values()} for cluster in (sfu, other)]
    assert hosts[0] == hosts[1], "they share their hosts"
    Outside(other, peers, peers, None).plays("beside", on="other-2")
    other.run("delete", "sfu", other.name, "--wait=false")
    third = SfuCluster(sfu.kubectl, sfu.namespace, "third")
    third.apply(**merged(ON_HOST, {"media": {"exposure": "HostNetwork"}, "replicas": 1}))

    def told():
        conditions = {it["type"]: it for it in third.get("sfu", third.name).get("status", {}).get("conditions", [])}
        return conditions.get("NodesReady", {}).get("message", "")

    eventually("it is said that ports are taken", lambda: "ports" in told() or print(told()), within=30)
    third.run("delete", "sfu", third.name, "--wait=false")


@pytest.mark.usefixtures("chromium", "operator")
def test_clients_are_sent_to_where_a_stun_server_outside_sees_the_host(kubectl, layout, tmp_path):
    with contextlib.ExitStack() as around:
        with Machine(layout, OUTSIDE).network():
            server = around.enter_context(StunServer())
        around.enter_context(translated(layout))
        named_server = f"{OUTSIDE_ADDRESS.v4}:{STUN_PORT}"
        outside = around.enter_context(exposed("HostPort", kubectl, layout, tmp_path, announce={"from": "Stun", "stunServer": named_server}))
        assert set(outside.told().values()) == {f"stun/{named_server}/20000"}
        assert server.answered >= 3, "each node has asked"
        outside.plays("by-stun")
        with without_udp(layout):
            seen_by(outside.peers.browser("172.31.250.*"), outside.front, "by-tcp")

        # Nobody answers there: that is said, and clients are sent to where they were sent before.
        silent = f"{OUTSIDE_ADDRESS.v4}:{STUN_PORT + 1}"
        outside.sfu.patch(media={"announce": {"stunServer": silent}})

        def told():
            conditions = {it["type"]: it for it in outside.sfu.get("sfu", "live")["status"]["conditions"]}
            degraded = conditions["Degraded"]
            assert degraded["reason"] == "NoMediaAddress", degraded
            assert silent in degraded["message"]
            return True

        eventually("it is said that the server does not answer", told, within=60)
        outside.plays("by-stun-before")


@pytest.mark.usefixtures("chromium")
def test_a_container_that_is_started_again_while_no_operator_runs_tells_its_clients_the_same(operator, kubectl, layout, tmp_path):
    with exposed("NodePort", kubectl, layout, tmp_path) as outside:
        sfu, before = outside.sfu, outside.told()
        restarted = lambda: sfu.nodes()["live-0"]["status"]["containerStatuses"][0]["restartCount"] > 0  # noqa: E731
        with operator.away():
            kill(layout, sfu.nodes()["live-0"])
            eventually("its container is started again", restarted, within=60)
            sfu.run("wait", "pod/live-0", "--for=condition=Ready", "--timeout=60s")
            # Its links wait for an operator.
            outside.plays("alone", on="live-0")
        assert outside.told() == before
