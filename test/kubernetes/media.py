"""Media on the cluster: sfu-bench's peers and browsers in the pod network, and the front door's URLs."""

import contextlib
import itertools
import json
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from harness.browsers import Chromium
from harness.peers import AiortcPeer, Counter, Flock, Generator
from sfucluster import SfuCluster
from testcluster.layout import CLIENT_ADDRESS, CONTROL_PLANE, OUTSIDE_ADDRESS
from testcluster.machines import Machine
from testcluster.waiting import eventually

# From the call to the first frames in a browser on a busy computer.
PLAYS_WITHIN = 30
PUBLISH = "async (stream, node) => { window.e2e = { publisher: await sfumato.publish({ stream, node, width: 320, height: 180 }) }; }"
WATCH = "async (stream, node) => { e2e.viewer = await sfumato.watch({ stream, node }); }"
PUBLISHER = "async () => await e2e.publisher.stats()"
VIEWER = "async () => await e2e.viewer.stats()"


def front_door(cluster: SfuCluster) -> str:
    """The front door's Service, once it answers: kube-proxy sends on to a pod a moment after that is ready."""
    spec = cluster.get("service", f"{cluster.name}-web")["spec"]
    url = f"http://{spec['clusterIP']}:{spec['ports'][0]['port']}"
    eventually("the front door answers", lambda: urllib.request.urlopen(f"{url}/readyz", timeout=5).close() or True, within=30)
    return url


def whip(cluster: SfuCluster, stream: str, node: str | None = None) -> str:
    return endpoint(cluster, "whip", stream, node)


def whep(cluster: SfuCluster, stream: str, node: str | None = None) -> str:
    return endpoint(cluster, "whep", stream, node)


def endpoint(cluster: SfuCluster, protocol: str, stream: str, node: str | None) -> str:
    return f"{front_door(cluster)}/{protocol}/{stream}{f'?node={node}' if node else ''}"


def cluster_json(cluster: SfuCluster) -> dict:
    """`/api/v1/cluster` of the front door."""
    with urllib.request.urlopen(f"{front_door(cluster)}/api/v1/cluster", timeout=5) as answer:
        return json.load(answer)


def draining(cluster: SfuCluster) -> set[str]:
    """Nodes that are being emptied, as the front door knows, which is sooner than the operator's status."""
    return {node["name"] for node in cluster_json(cluster)["nodes"] if node["draining"]}


@contextlib.contextmanager
def without_udp(layout) -> Iterator[None]:
    """No datagram from outside passes the router, as in networks that let the web through and nothing else."""
    router = Machine(layout, CONTROL_PLANE)
    chain = "add chain inet no-udp passing '{ type filter hook forward priority 0; }'"
    rule = f"add rule inet no-udp passing ip saddr {OUTSIDE_ADDRESS.v4} meta l4proto udp drop"
    router.script("\n".join(f"nft {line}" for line in ("add table inet no-udp", chain, rule)))
    try:
        yield
    finally:
        router.script("nft delete table inet no-udp")


def seen_by(chromium: Chromium, front: str, stream: str, nodes: int = 3) -> None:
    """What a browser publishes on the first pod by the front door's page it watches on the last."""
    last = f"live-{nodes - 1}"
    chromium.open(f"{front}/")
    eventually(
        "the page knows the mesh",
        lambda: f"{nodes * (nodes - 1) // 2}/{nodes * (nodes - 1) // 2}" in chromium.run("() => document.getElementById('mesh-value').textContent"),
        within=15,
    )
    began = time.monotonic()
    chromium.run(PUBLISH, stream, "live-0")
    eventually("the page publishes", lambda: chromium.run(PUBLISHER)["state"] == "live", within=PLAYS_WITHIN)
    chromium.run(WATCH, stream, last)
    eventually(f"frames from {last}", lambda: chromium.run(VIEWER)["framesDecoded"] > 30, within=PLAYS_WITHIN)
    print(f"published on live-0, decoded from {last} after {time.monotonic() - began:.1f} s")


class Peers:
    """Starts peers and browsers, and stops them all. Nodes send media to `address`: by default what this network has in the pod network."""

    def __init__(self, binaries: Path, directory: Path, address: str = CLIENT_ADDRESS.v4):
        self._address = address
        self._here = ("--bind", address)
        self._binaries = binaries
        self._directory = directory
        self._numbers = itertools.count(1)
        self._started = contextlib.ExitStack()

    def publish(self, url: str, *options: str) -> Generator:
        return self._start(Generator(self._binaries, url, self._name("publisher"), self._directory, (*self._here, *options)))

    def aiortc(self, role: str, url: str) -> AiortcPeer:
        return self._start(AiortcPeer(role, url, self._name(f"aiortc-{role}"), self._directory, address=self._address))

    def count(self, url: str) -> Counter:
        return self._start(Counter(self._binaries, url, self._name("viewer"), self._directory, self._here))

    def flock(self, viewers: int, url: str, again: str) -> Flock:
        return self._start(Flock(viewers, self._binaries, url, again, self._name("flock"), self._directory, self._here))

    def browser(self, host: str) -> Chromium:
        """Chromium for the pages of one host."""
        return self._start(Chromium(self._directory / f"{self._name('chromium')}.log", host))

    def stop(self) -> None:
        self._started.close()

    def _name(self, what: str) -> str:
        return f"{what}-{next(self._numbers)}"

    def _start(self, peer):
        self._started.callback(peer.stop)
        return peer
