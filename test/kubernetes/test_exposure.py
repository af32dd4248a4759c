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

from harness.browsers import Chromium
from harness.growth import grows
from installation import program
from media import Peers
from nodes import kill
from sfucluster import SfuCluster, merged
from testcluster.fixtures import new_namespace
from testcluster.layout import CONTROL_PLANE, OUTSIDE, OUTSIDE_ADDRESS, ROUTER_ADDRESS, Host
from testcluster.machines import Machine
from testcluster.waiting import eventually

pytestmark = pytest.mark.testcluster

# From the call to the first frames in a browser on a busy computer.
PLAYS_WITHIN = 30
# Three nodes that are replaced one after the other, each drained for the shortest time that publishers get.
ROLLED_WITHIN = 180
ADDRESSES = "sfumato.dev/media-addresses"
# As a second cluster on these hosts would: none is the default of its field.
ON_HOST = {"media": {"port": 21000}, "mesh": {"portBase": 25000}, "ports": {"client": 3101, "secureClient": 3543, "admin": 4101, "health": 5101}}
# As for one that cannot have both protocols at a Service, and whose ports are not those of the pods.
BALANCER = {"portBase": 40000, "separateProtocols": True}
# Where a load balancer has its addresses: for benchmarks of networks (RFC 2544), so nobody's.
BALANCED = ipaddress.ip_network("198.18.0.0/24")

PUBLISH = "async (stream, node) => { window.e2e = { publisher: await sfumato.publish({ stream, node, width: 320, height: 180 }) }; }"
WATCH = "async (stream, node) => { e2e.viewer = await sfumato.watch({ stream, node }); }"
PUBLISHER = "async () => await e2e.publisher.stats()"
VIEWER = "async () => await e2e.viewer.stats()"


class Outside:
    """A cluster as its users reach it from outside."""

    def __init__(self, sfu: SfuCluster, peers: Peers):
        self.sfu = sfu
        self.peers = peers
        port = sfu.get("service", f"{sfu.name}-web")["spec"]["ports"][0]["nodePort"]
        self.front = f"http://{Host(1).address.v4}:{port}"
        eventually("the front door answers", lambda: urllib.request.urlopen(f"{self.front}/readyz", timeout=5).close() or True, within=30)

    def url(self, protocol: str, stream: str, node: str) -> str:
        return f"{self.front}/{protocol}/{stream}?node={node}"

    def plays(self, stream: str, *options: str, on: str = "live-2") -> None:
        """What is published on pod 0 is watched on pod 2, or on another."""
        publisher = self.peers.publish(self.url("whip", stream, "live-0"), *options)
        grows(self.peers.count(self.url("whep", stream, on)))
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
        self._outside.script(f"ip route replace {BALANCED} via {ROUTER_ADDRESS.v4}")
        self._thread.start()
        return self

    def __exit__(self, *_) -> None:
        self._over.set()
        self._thread.join(timeout=30)
        self._router.script("\n".join(f"ip route del {address}" for address in self._routes) or "true")
        self._outside.script(f"ip route del {BALANCED}")
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
            address = str(BALANCED[number + (101 if name.endswith("-tcp") else 1)])
            if not service["status"].get("loadBalancer"):
                status = {"status": {"loadBalancer": {"ingress": [{"ip": address}]}}}
                self._sfu.run("patch", "service", name, "--subresource=status", "--type=merge", "--patch", json.dumps(status))
            host = self._sfu.nodes().get(f"live-{number}", {}).get("status", {}).get("hostIP")
            if host and self._routes.get(address) != host:
                self._router.script(f"ip route replace {address} via {host}")
                self._routes[address] = host


@contextlib.contextmanager
def exposed(exposure: str, kubectl, layout, directory) -> Iterator[Outside]:
    # Pod security knows the ports and the network of hosts as privileges.
    level = "privileged" if exposure in ("HostPort", "HostNetwork") else "restricted"
    with new_namespace(kubectl, f"exposure-{exposure}", level) as namespace, contextlib.ExitStack() as around:
        sfu = SfuCluster(kubectl, namespace)
        if exposure == "LoadBalancer":
            around.enter_context(Balancer(sfu, layout))
        own = {"HostNetwork": ON_HOST, "LoadBalancer": {"media": {"loadBalancer": BALANCER}}}.get(exposure, {})
        sfu.apply(**merged(own, {"media": {"exposure": exposure}, "web": {"service": {"type": "NodePort"}}}))
        sfu.whole(3)
        with Machine(layout, OUTSIDE).network():
            peers = Peers(program("sfu-bench").parent, directory, OUTSIDE_ADDRESS.v4)
            try:
                yield Outside(sfu, peers)
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
        told = outside.told()
        hosts = {name: pod["status"]["hostIP"] for name, pod in sfu.nodes().items()}
        expected = {
            "HostNetwork": dict.fromkeys(hosts, ""),
            "LoadBalancer": {name: f"udp/{BALANCED[int(name[-1]) + 1]}:{40000 + 64 * int(name[-1])}" for name in hosts},
            "HostPort": {name: f"{host}:20000" for name, host in hosts.items()},
            "NodePort": {name: f"{host}:{30100 + 64 * int(name[-1])}" for name, host in hosts.items()},
        }
        assert told == expected[exposure], hosts


def seen_by(chromium: Chromium, front: str, stream: str) -> None:
    """What a browser publishes on pod 0 it watches on pod 2."""
    chromium.open(f"{front}/")
    eventually("the page knows the mesh", lambda: "3/3" in chromium.run("() => document.getElementById('mesh-value').textContent"), within=15)
    began = time.monotonic()
    chromium.run(PUBLISH, stream, "live-0")
    eventually("the page publishes", lambda: chromium.run(PUBLISHER)["state"] == "live", within=PLAYS_WITHIN)
    chromium.run(WATCH, stream, "live-2")
    eventually("frames from live-2", lambda: chromium.run(VIEWER)["framesDecoded"] > 30, within=PLAYS_WITHIN)
    print(f"published on live-0, decoded from live-2 after {time.monotonic() - began:.1f} s")


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
