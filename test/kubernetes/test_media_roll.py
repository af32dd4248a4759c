"""A roll to another release moves the viewers and leaves the publishers their time."""

import time

import pytest

from harness.growth import grows
from installation import IMAGES, PREVIOUS
from media import draining, whep, whip
from sfucluster import DEADLINE
from testcluster.waiting import eventually

pytestmark = pytest.mark.testcluster

# What a viewer may miss when its node goes, on cores that two other test clusters share. Benchmarks say what it is on quiet ones.
BACK_WITHIN = 10
ROLLED_WITHIN = 150
# How much later than the node the test may see that a drain begins.
SEEN_LATE = 1


def test_a_roll_from_the_previous_release_moves_viewers_and_leaves_the_publisher_its_deadline(sfu, peers):
    sfu.apply(image=PREVIOUS)
    sfu.whole(3)
    before = sfu.uids()
    publisher = peers.publish(whip(sfu, "demo", "live-0"))
    flocks = [peers.flock(4, whep(sfu, "demo", node), whep(sfu, "demo")) for node in before]
    began = time.monotonic()
    sfu.patch(image=IMAGES["sfu-node"])

    # The highest ordinal is the first to be replaced: for a while two releases are in one mesh.
    eventually("live-2 is of the new release, live-0 of the old one, the mesh whole", lambda: mixed(sfu), within=ROLLED_WITHIN)
    grows(peers.count(whep(sfu, "demo", "live-2")))
    print(f"media from the old release to the new one after {time.monotonic() - began:.1f} s")

    eventually("live-0 is the last to be emptied", lambda: "live-0" in draining(sfu), within=ROLLED_WITHIN)
    emptied_at = time.monotonic()
    assert publisher.child.running(), "the publisher was cut before its node's turn"
    for flock in flocks:
        # Those of the other nodes may have been here since these were replaced.
        eventually(f"all of {flock} play elsewhere", lambda f=flock: plays_elsewhere(f), within=BACK_WITHIN + 3)
        assert flock.longest_gap() < BACK_WITHIN
    print(f"viewers saw nothing for {max(flock.longest_gap() for flock in flocks):.2f} s at most")
    eventually("the deadline ends the publisher", lambda: not publisher.child.running(), within=30)
    stayed = time.monotonic() - emptied_at
    print(f"the publisher stayed for {stayed:.1f} s")
    assert stayed >= float(DEADLINE.removesuffix("s")) - SEEN_LATE

    eventually("all pods are new", lambda: not set(before.values()) & set(sfu.uids().values()), within=ROLLED_WITHIN)
    sfu.whole(3)
    print(f"rolled three nodes after {time.monotonic() - began:.1f} s")
    assert set(images(sfu).values()) == {IMAGES["sfu-node"]}


def plays_elsewhere(flock) -> bool:
    return flock.returned() == flock.playing() == flock.viewers and "live-0" not in flock.nodes()


def mixed(cluster) -> bool:
    """Whether the first node is of the old release, the last of the new one, and both are in a whole mesh."""
    running = images(cluster)
    assert (running["live-0"], running["live-2"]) == (PREVIOUS, IMAGES["sfu-node"]), running
    # The status may be older than the pods: it counts once it has the new pod's life.
    nodes = {node["name"]: node for node in cluster.status()["nodes"]}
    assert nodes["live-2"]["incarnation"].startswith(cluster.uids()["live-2"]), nodes
    return all(node["pairs"] == 2 for node in nodes.values())


def images(cluster) -> dict[str, str]:
    return {name: pod["spec"]["containers"][0]["image"] for name, pod in cluster.nodes().items()}
