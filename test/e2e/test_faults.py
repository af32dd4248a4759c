"""What breaks heals by itself, and nobody notices who had nothing to do with it."""

import itertools
import re
import time

import httpx
import pytest

from harness.cluster import between, link_ids, lost_between
from harness.faults import cut, wait_until
from harness.growth import Steady, grows
from harness.processes import alive, stopped
from harness.waiting import eventually

NODES = ("sfu-1", "sfu-2", "sfu-3")
# A link is replaced when it has been stale for so long (mesh.linkGrace); it is stale after three missed beats of 500 ms.
GRACE = 10


@pytest.mark.parametrize("victim", NODES)
def test_killing_a_node_disturbs_nobody_else_and_the_mesh_is_whole_again(victim, cluster, peers, stream):
    a, b = (node for node in NODES if node != victim)
    peers.generate(cluster.whip(f"{stream}-1", a))
    peers.generate(cluster.whip(f"{stream}-2", b))
    peers.generate(cluster.whip(f"{stream}-3", victim))
    far, home, back = (peers.count(cluster.whep(f"{stream}-{n}", node)) for n, node in ((1, b), (1, a), (2, a)))
    bereft = peers.count(cluster.whep(f"{stream}-3", a))
    before = cluster.reports()
    lost = lost_between(before, a, b)
    old = set((between(link_ids(before), a, victim) | between(link_ids(before), b, victim)).values())
    with Steady([far, home, back]):
        cluster.kill(before[victim]["pid"])
        eventually("no survivor calls a link to the dead life fresh", lambda: not fresh_of(cluster, old, (a, b)), within=4)
        eventually("the viewer of its stream is told", bereft.closed, within=10)
        after = cluster.wait_whole()
        eventually("its stream is gone", lambda: cluster.stream(f"{stream}-3") is None, within=10, errors=())
    assert after[victim]["incarnation"] != before[victim]["incarnation"]
    assert after[victim]["pid"] != before[victim]["pid"]
    assert not alive(before[victim]["pid"])
    for node in (a, b):
        assert after[node]["incarnation"] == before[node]["incarnation"], f"{node} was restarted"
    assert between(link_ids(after), a, b) == between(link_ids(before), a, b), "a link that had nothing to do with it was replaced"
    reports = cluster.reports()
    assert (lost, lost_between(reports, a, b)) == (0, 0), "packets were lost on a link that had nothing to do with it"
    for name, node in ((f"{stream}-1", b), (f"{stream}-2", a)):
        carried = next(on for on in cluster.stream(name)["perNode"] if on["node"] == node)
        assert carried["packetsLost"] == 0
        assert carried["packetsReceived"] > 0
    # Publishers and viewers of the dead node come back at once, under the same name, also on its new life.
    peers.generate(cluster.whip(f"{stream}-3", victim))
    grows(peers.count(cluster.whep(f"{stream}-3", a)))
    grows(peers.count(cluster.whep(f"{stream}-1", victim)))


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("workerAborts", r"sfu-2 died: signal 6 \(SIGABRT\), last line: test fault: a media worker's assertion fails; restarting"),
        ("workerEnds", r"sfu-2 died: exit code 1, last line: .*media worker 0 ended; the process ends with it"),
        ("taskPanics", r"sfu-2 died: exit code 1, last line: .*a task of this program has failed: a test fault: it panicked"),
    ],
    ids=["worker aborts", "worker ends", "task panics"],
)
def test_a_media_worker_or_task_that_dies_takes_its_node_along_and_all_is_as_after_kill_9(fault, told, make_cluster, peers, stream):
    # The nodes inherit it; without it there is no such call.
    cluster = make_cluster(nodes=3, env={"SFUMATO_TEST_FAULTS": "true"}).started()
    peers.generate(cluster.whip(f"{stream}-1", "sfu-1"))
    peers.generate(cluster.whip(f"{stream}-2", "sfu-2"))
    steady = peers.count(cluster.whep(f"{stream}-1", "sfu-3"))
    bereft = peers.count(cluster.whep(f"{stream}-2", "sfu-1"))
    before = cluster.reports()
    with Steady([steady]):
        try:
            answer = cluster.admin("POST", "sfu-2", "test-faults", json={"fault": fault})
            assert answer.status_code == 202, answer.text
        except httpx.TransportError:
            assert fault == "workerAborts", "the node that aborts gives no answer"
        eventually("the end is told with its reason", lambda: re.search(told, cluster.child.tail(500)), within=10)
        eventually("the viewer of its stream is told", bereft.closed, within=10)
        after = cluster.wait_whole()
        eventually("its stream is gone", lambda: cluster.stream(f"{stream}-2") is None, within=10, errors=())
    assert after["sfu-2"]["incarnation"] != before["sfu-2"]["incarnation"]
    assert between(link_ids(after), "sfu-1", "sfu-3") == between(link_ids(before), "sfu-1", "sfu-3")
    assert lost_between(cluster.reports(), "sfu-1", "sfu-3") == 0
    peers.generate(cluster.whip(f"{stream}-2", "sfu-2"))
    grows(peers.count(cluster.whep(f"{stream}-2", "sfu-1")))
    grows(peers.count(cluster.whep(f"{stream}-1", "sfu-2")))


def test_without_the_option_nobody_can_break_a_node(cluster):
    assert cluster.admin("POST", "sfu-2", "test-faults", json={"fault": "workerEnds"}).status_code == 404


def fresh_of(cluster, ids: set[str], nodes) -> set[str]:
    """Those of these ends that their nodes still call fresh."""
    ends = [end for node in nodes for end in cluster.report(node)["links"]]
    return {end["id"] for end in ends if end["id"] in ids and end["state"] == "fresh"}


@pytest.mark.parametrize("node", NODES)
def test_a_node_that_stands_still_for_a_second_costs_nothing_but_that_second(node, cluster, peers, stream):
    a, b = (other for other in NODES if other != node)
    for name, origin in ((f"{stream}-1", a), (f"{stream}-2", node)):
        peers.generate(cluster.whip(name, origin))
    untouched = peers.count(cluster.whep(f"{stream}-1", b))
    on_it = peers.count(cluster.whep(f"{stream}-1", node))
    of_it = peers.count(cluster.whep(f"{stream}-2", a))
    before = cluster.reports()
    with Steady([untouched]):
        with stopped(before[node]["pid"]) as began:
            wait_until(began + 1)
        began = time.monotonic()
        grows(on_it, by=100)
        grows(of_it, by=100)
        # Long enough for what was wrongly believed dead to be replaced.
        wait_until(began + 4)
    after = cluster.wait_whole()
    assert {name: (r["pid"], r["incarnation"]) for name, r in after.items()} == {
        name: (r["pid"], r["incarnation"]) for name, r in before.items()
    }, "a node was replaced"
    assert link_ids(after) == link_ids(before), "a link was replaced"
    assert [viewer.closed() for viewer in (untouched, on_it, of_it)] == ["", "", ""]


def states(cluster, a: str, b: str) -> set[str]:
    """States of all ends of the links between two nodes."""
    reports = {node: cluster.report(node) for node in (a, b)}
    return {end["state"] for me, other in ((a, b), (b, a)) for end in reports[me]["links"] if end["peer"] == other}


def test_a_link_that_is_cut_for_5_s_carries_media_again_and_is_the_same_link(cluster, peers, stream):
    peers.generate(cluster.whip(stream, "sfu-1"))
    behind, beside = (peers.count(cluster.whep(stream, node)) for node in ("sfu-3", "sfu-2"))
    before = link_ids(cluster.reports())
    with Steady([beside]):
        with cut(cluster, "sfu-1", "sfu-3") as began:
            eventually("both ends call the link stale", lambda: states(cluster, "sfu-1", "sfu-3") == {"stale"}, within=4)
            stuck = behind.count()
            wait_until(began + 5)
            assert behind.count() - stuck < 100, "media went on: the cut does not cut"
        grows(behind, by=100, within=6)
        after = cluster.wait_whole(within=5)
    assert link_ids(after) == before, "a link was replaced for a blip"
    assert behind.closed() == ""


def test_a_link_that_is_cut_for_15_s_is_replaced_and_the_mesh_is_whole_again(cluster, peers, stream):
    peers.generate(cluster.whip(stream, "sfu-1"))
    behind, beside = (peers.count(cluster.whep(stream, node)) for node in ("sfu-3", "sfu-2"))
    before = link_ids(cluster.reports())
    with Steady([beside]):
        with cut(cluster, "sfu-1", "sfu-3") as began:
            wait_until(began + GRACE - 2)
            assert link_ids(cluster.reports()) == before, f"replaced before the grace of {GRACE} s was over"
            wait_until(began + 15)
        after = link_ids(cluster.wait_whole(within=25))
        eventually("the viewer behind it is told", behind.closed, within=5)
        grows(peers.count(cluster.whep(stream, "sfu-3")))
    for a, b in itertools.combinations(NODES, 2):
        if (a, b) == ("sfu-1", "sfu-3"):
            kept = between(before, a, b).items() & between(after, a, b).items()
            assert not kept, f"not replaced: {kept}"
        else:
            assert between(after, a, b) == between(before, a, b), f"{a} - {b} was replaced and had not been cut"


def test_a_stream_can_be_joined_while_another_link_is_cut(cluster, peers, stream):
    peers.generate(cluster.whip(stream, "sfu-1"))
    with cut(cluster, "sfu-2", "sfu-3"):
        eventually("the cut is noticed", lambda: states(cluster, "sfu-2", "sfu-3") == {"stale"}, within=4)
        for node in ("sfu-2", "sfu-3"):
            grows(peers.count(cluster.whep(stream, node)))
    cluster.wait_whole()


def test_the_front_door_that_dies_is_back_and_nothing_that_plays_notices(cluster, peers, stream):
    peers.generate(cluster.whip(stream, "sfu-1"))
    viewer = peers.count(cluster.whep(stream, "sfu-3"))
    ids = link_ids(cluster.reports())
    with Steady([viewer]):
        first = cluster.child_named("sfu-web")
        cluster.kill(first)
        cluster.gone([first], within=5)
        eventually("the front door answers", lambda: cluster.json()["mesh"]["establishedPairs"] == 3, within=10)
        grows(peers.count(cluster.whep(stream, "sfu-2")))
    assert cluster.child_named("sfu-web") != first
    assert link_ids(cluster.reports()) == ids
