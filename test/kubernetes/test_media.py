"""What is published on any pod is watched on every pod, and goes on while the cluster changes around it."""

import time
from urllib.parse import urlsplit

import pytest

from harness.growth import Steady, grows
from media import front_door, whep, whip
from testcluster.waiting import eventually

pytestmark = pytest.mark.testcluster

# From the call to the first frames in a browser on a busy computer.
PLAYS_WITHIN = 30
# From three nodes to ten, and from ten to three, on two cores.
SCALED_WITHIN = 240

PUBLISH = "async (stream, node) => { window.e2e = { publisher: await sfumato.publish({ stream, node, width: 320, height: 180 }), viewers: {} }; }"
WATCH = "async (stream, node) => { e2e.viewers[node] = await sfumato.watch({ stream, node }); }"
PUBLISHER = "async () => await e2e.publisher.stats()"
VIEWER = "async node => await e2e.viewers[node].stats()"


@pytest.mark.usefixtures("chromium")
def test_what_a_browser_publishes_on_one_pod_is_seen_on_the_others_through_the_front_door(trio, peers):
    front = front_door(trio)
    chromium = peers.browser(urlsplit(front).hostname)
    chromium.open(f"{front}/")
    eventually("the page knows the mesh", lambda: "3/3" in chromium.run("() => document.getElementById('mesh-value').textContent"), within=15)
    began = time.monotonic()
    chromium.run(PUBLISH, "demo", "live-0")
    eventually("the page publishes", lambda: chromium.run(PUBLISHER)["state"] == "live", within=PLAYS_WITHIN)
    assert chromium.run(PUBLISHER)["node"] == "live-0"
    for node in ("live-1", "live-2"):
        chromium.run(WATCH, "demo", node)
    for node in ("live-1", "live-2"):
        eventually(f"frames from {node}", lambda node=node: chromium.run(VIEWER, node)["framesDecoded"] > 0, within=PLAYS_WITHIN)
    print(f"published on live-0, decoded from live-1 and live-2 after {time.monotonic() - began:.1f} s")
    for node in ("live-1", "live-2"):
        seen = chromium.run(VIEWER, node)
        assert seen["node"] == node
        eventually(
            f"30 more frames from {node}",
            lambda node=node, start=seen["framesDecoded"]: chromium.run(VIEWER, node)["framesDecoded"] >= start + 30,
            within=PLAYS_WITHIN,
        )


def test_from_3_nodes_to_10_and_back_no_packet_is_lost_between_two_that_stay(trio, peers):
    publisher = peers.publish(whip(trio, "demo", "live-0"))
    viewer = peers.count(whep(trio, "demo", "live-1"))
    grows(viewer)
    lives = trio.lives()
    with Steady([viewer]):
        for nodes in (10, 3):
            began = time.monotonic()
            trio.run("scale", "sfu/live", f"--replicas={nodes}")
            trio.whole(nodes, within=SCALED_WITHIN)
            print(f"whole with {nodes} nodes after {time.monotonic() - began:.1f} s; {viewer.count()} packets came, {viewer.lost()} were lost")
        grows(viewer)
    assert publisher.child.running()
    assert viewer.lost() == 0
    now = trio.lives()
    assert {name: now[name] for name in ("live-0", "live-1")} == {name: lives[name] for name in ("live-0", "live-1")}


def test_scaling_up_again_in_mid_drain_keeps_the_pod_and_its_publisher(sfu, peers):
    # Long enough that the drain is still under way when it is lifted.
    sfu.apply(drain={"deadline": "5m"})
    sfu.whole(3)
    publisher = peers.publish(whip(sfu, "demo", "live-2"))
    viewer = peers.count(whep(sfu, "demo", "live-0"))
    lives = sfu.lives()
    with Steady([viewer]):
        sfu.run("scale", "sfu/live", "--replicas=2")
        eventually("live-2 drains", lambda: [node["name"] for node in sfu.status()["nodes"] if node.get("draining")] == ["live-2"], within=20)
        began = time.monotonic()
        sfu.run("scale", "sfu/live", "--replicas=3")
        eventually("the event tells", lambda: any("live-2 is needed again" in text for text in sfu.events("DrainLifted")), within=20)
        sfu.whole(3)
        print(f"taken back after {time.monotonic() - began:.1f} s")
        # A pod is ready as soon as its node says so; what the operator has heard of the node may be a moment older.
        eventually("no node is told to drain", lambda: not any(node.get("draining") for node in sfu.status()["nodes"]), within=10)
    assert sfu.lives() == lives
    assert publisher.child.running()
    grows(peers.count(whep(sfu, "demo", "live-2")))
