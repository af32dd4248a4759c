"""Media to clients outside of the pod network: their machine reaches the hosts' addresses, and no pod's."""

import contextlib
import json
import time
import urllib.request
from collections.abc import Iterator

import pytest

from harness.browsers import Chromium
from harness.growth import grows
from installation import program
from media import Peers
from sfucluster import SfuCluster
from testcluster.fixtures import new_namespace
from testcluster.layout import OUTSIDE, OUTSIDE_ADDRESS, Host
from testcluster.machines import Machine
from testcluster.waiting import eventually

pytestmark = pytest.mark.testcluster

# From the call to the first frames in a browser on a busy computer.
PLAYS_WITHIN = 30
# Three nodes that are replaced one after the other, each drained for the shortest time that publishers get.
ROLLED_WITHIN = 180
ADDRESSES = "sfumato.dev/media-addresses"

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

    def publish(self, stream: str, node: str):
        return self.peers.publish(f"{self.front}/whip/{stream}?node={node}")

    def watch(self, stream: str, node: str):
        return self.peers.count(f"{self.front}/whep/{stream}?node={node}")

    def plays(self, stream: str) -> None:
        """What is published on pod 0 is watched on pod 2."""
        publisher = self.publish(stream, "live-0")
        grows(self.watch(stream, "live-2"))
        publisher.stop()


@contextlib.contextmanager
def exposed(exposure: str, kubectl, layout, directory) -> Iterator[Outside]:
    # Pod security knows host ports as a privilege.
    level = "privileged" if exposure == "HostPort" else "restricted"
    with new_namespace(kubectl, f"exposure-{exposure}", level) as namespace:
        sfu = SfuCluster(kubectl, namespace)
        sfu.apply(media={"exposure": exposure}, web={"service": {"type": "NodePort"}})
        sfu.whole(3)
        with Machine(layout, OUTSIDE).network():
            peers = Peers(program("sfu-bench").parent, directory, OUTSIDE_ADDRESS.v4)
            try:
                yield Outside(sfu, peers)
            finally:
                peers.stop()


@pytest.mark.usefixtures("chromium", "operator")
@pytest.mark.parametrize("exposure", ["HostPort", "NodePort"])
def test_what_is_published_from_outside_on_one_pod_is_watched_there_on_another(exposure, kubectl, layout, tmp_path):
    with exposed(exposure, kubectl, layout, tmp_path) as outside:
        sfu = outside.sfu
        seen_by(outside.peers.browser(Host(1).address.v4), outside.front)
        outside.plays("first")

        # A pod that is replaced is told anew, and is on another host perhaps.
        before = sfu.uids()["live-0"]
        began = time.monotonic()
        sfu.run("delete", "pod", "live-0")
        sfu.replaced("live-0", before)
        sfu.whole(3)
        outside.plays("replaced")
        print(f"{exposure}: a replaced pod plays again after {time.monotonic() - began:.1f} s")

        before = sfu.uids()
        sfu.patch(podLabels={"rolled": "yes"})
        eventually("all pods are new", lambda: not set(before.values()) & set(sfu.uids().values()), within=ROLLED_WITHIN)
        sfu.whole(3)
        outside.plays("rolled")
        told = {name: pod["metadata"]["annotations"][ADDRESSES] for name, pod in sfu.nodes().items()}
        hosts = {name: pod["status"]["hostIP"] for name, pod in sfu.nodes().items()}
        assert all(told[name].startswith(f"{host}:") for name, host in hosts.items()), json.dumps([told, hosts])


def seen_by(chromium: Chromium, front: str) -> None:
    """What a browser publishes on pod 0 it watches on pod 2."""
    chromium.open(f"{front}/")
    eventually("the page knows the mesh", lambda: "3/3" in chromium.run("() => document.getElementById('mesh-value').textContent"), within=15)
    began = time.monotonic()
    chromium.run(PUBLISH, "demo", "live-0")
    eventually("the page publishes", lambda: chromium.run(PUBLISHER)["state"] == "live", within=PLAYS_WITHIN)
    chromium.run(WATCH, "demo", "live-2")
    eventually("frames from live-2", lambda: chromium.run(VIEWER)["framesDecoded"] > 30, within=PLAYS_WITHIN)
    print(f"published on live-0, decoded from live-2 after {time.monotonic() - began:.1f} s")
