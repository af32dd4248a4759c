"""Media nodes that are slow, silent or lie, and hosts that are lost."""

from datetime import UTC, datetime

import pytest

from kubelet import Fate
from testcluster import process_table
from testcluster.waiting import eventually

# From the end of a pod's grace until it is taken for lost with its host.
LOST_AFTER = "--lost-after=1s"


# As much as a node may say: as many links as there may be, and streams with as many parts as a megabyte can name.
LINK = {"peer": "live-0", "peerIncarnation": "0.x", "remote": None, "state": "fresh", "sinceMs": 0, "rttUs": None}
TRACK = {"kind": "audio", "codec": "", "layers": [{}] * 8}
PUBLICATION = {"id": "p", "stream": "s", "generation": 0, "worker": 0, "tracks": [TRACK] * 4, "viewers": 0, "subscribers": ["n"] * 64}
MOST = {
    "links": [LINK | {"id": f"{'l' * 60}{n}", "lane": n % 64, "peerIncarnation": f"0.{n // 64}"} for n in range(2_048)],
    "publications": [PUBLICATION] * 800,
    # Never the revision that it is asked about, so each answer comes at once.
    "revision": 0,
}
# What the operator's pod may use is 256 MiB, for all clusters.
MEMORY = 128 * 1024 * 1024


@pytest.mark.parametrize("fate", [Fate.SILENT, Fate.ABSENT, Fate.FOREIGN])
def test_a_node_that_cannot_be_asked_keeps_the_mesh_from_being_whole_and_delays_nobody(live, story, fate):
    story.kubelet.fates["live-1"] = fate
    live.create()
    live.says("MeshReady", "False", "NotAllLinked", "1 of 3 node pairs are linked; the operator gets no answer of live-1 (")
    live.says("NodesReady", "True", "AllReady")
    assert {node["name"]: node["pairs"] for node in live.status()["nodes"]} == {"live-0": 1, "live-1": 0, "live-2": 1}
    live.scale(4)
    live.says("MeshReady", "False", "NotAllLinked", "3 of 6 node pairs are linked")


@pytest.mark.parametrize(
    ("claim", "pairs"),
    [
        ({"name": "live-7"}, "1 of 3"),
        ({"apiVersion": 99}, "3 of 3"),
        ({"links": []}, "1 of 3"),
    ],
    ids=["another name", "another version of the API", "no links"],
)
def test_a_node_that_lies_is_believed_no_link_that_its_peer_does_not_have(live, story, claim, pairs):
    live.up()
    story.kubelet.change("live-1", claims=claim)
    live.says("MeshReady", "True" if pairs == "3 of 3" else "False", "AllLinked" if pairs == "3 of 3" else "NotAllLinked", f"{pairs} node pairs")
    story.kubelet.change("live-1", claims={})
    live.whole(3)


@pytest.mark.parametrize(
    ("claim", "lie"),
    [
        ({"workers": 65535}, "workers: 65535 is over 64"),
        ({"links": [{"id": "l"}] * 100_000}, "longer than 1048576 bytes"),
        ({"version": "x" * 500_000}, "version: a text of 500000 bytes"),
        ({"viewers": 2**32 - 1}, "viewers: 4294967295 is over"),
        ({"links": [LINK | {"id": f"l{n}", "lane": 0} for n in range(2_048)]}, "2048 ends of lane 0 to live-0"),
    ],
    ids=["workers", "links", "text", "viewers", "ends of a lane"],
)
def test_a_node_that_claims_too_much_is_named_with_its_lie_and_the_cluster_next_to_it_becomes_ready(live, story, claim, lie):
    live.up()
    story.kubelet.change("live-1", claims=claim)
    live.says("Degraded", "True", "AnswerRefused", lie)
    live.says("MeshReady", "False", "NotAllLinked", "1 of 3 node pairs")
    live.tells("AnswerRefused", "live-1")
    story.cluster("beside").up()
    story.kubelet.change("live-1", claims={})
    live.whole(3)
    live.says("Degraded", "False", "AsExpected")


def test_nodes_that_say_as_much_as_they_may_without_end_do_not_fill_the_operator_and_the_cluster_next_to_it_becomes_ready(live, story):
    live.create(replicas=4)
    live.whole(4)
    asked = [node.asked for node in story.kubelet.nodes.values()]
    for pod in list(story.kubelet.nodes):
        story.kubelet.change(pod, claims=MOST)
    nodes = list(story.kubelet.nodes.values())
    heard = lambda: all(node.asked > before + 5 for node, before in zip(nodes, asked, strict=True))  # noqa: E731
    eventually("each was asked again and again", heard, within=60)
    story.cluster("beside").up()
    most = process_table.memory(story.operators[0].process.pid)["VmHWM"]
    assert most <= MEMORY, f"{most / 1e6} MB"


def test_a_node_that_answers_slowly_is_linked_all_the_same(live, story):
    live.create(replicas=1)
    live.whole(1)
    story.kubelet.change("live-0", delay=0.5)
    live.scale(3)
    live.whole(3)


def test_a_node_that_comes_back_as_another_life_is_linked_anew(live, story):
    live.up()
    uids = live.uids()
    node = story.kubelet.nodes["live-1"]
    story.kubelet.change("live-1", incarnation=f"{uids['live-1']}.2", links={}, peers={})
    lives = lambda: {n["name"]: n["incarnation"] for n in live.status()["nodes"]}["live-1"] == node.incarnation  # noqa: E731
    eventually("its new life is told", lives, within=10)
    live.whole(3)
    assert live.uids() == uids
    assert {peer for peer, _, _ in node.links} == {"live-0", "live-2"}


def test_a_link_that_stays_silent_is_replaced_and_the_others_are_not(live, story):
    live.up(mesh={"linkGrace": "2s"})
    nodes = story.kubelet.nodes
    before = {name: {peer: link.id for (peer, _, _), link in node.links.items()} for name, node in nodes.items()}
    story.kubelet.cut("live-0", "live-1")
    live.says("MeshReady", "False", "NotAllLinked", "2 of 3")
    live.tells("MeshBroken", "2 of 3")
    another = lambda: any(link.id != before["live-0"]["live-1"] for (peer, _, _), link in nodes["live-0"].links.items() if peer == "live-1")  # noqa: E731
    eventually("the link is made anew", another, within=15)
    story.kubelet.mend("live-0", "live-1")
    live.whole(3)
    now = {name: {peer: link.id for (peer, _, _), link in node.links.items()} for name, node in nodes.items()}
    assert now["live-2"] == before["live-2"]


def test_a_pod_whose_host_is_lost_is_given_up_and_made_elsewhere(story):
    story.operator(LOST_AFTER).ready()
    live = story.cluster().up()
    before = live.uids()
    story.kubelet.lose("live-1")
    live.says("MeshReady", "False", "NotAllLinked", "1 of 3")
    live.delete_pod("live-1", gracePeriodSeconds=1)
    live.tells("HostLost", "live-1 was removed: its Kubernetes node is lost")
    live.whole(3)
    assert {name for name, uid in live.uids().items() if before[name] != uid} == {"live-1"}


def test_a_pod_that_is_overdue_and_heard_is_not_given_up(story):
    story.operator(LOST_AFTER).ready()
    live = story.cluster().up()
    before = live.uids()
    # Its kubelet is away, and its node goes on.
    story.kubelet.orphan("live-1")
    live.delete_pod("live-1", gracePeriodSeconds=1)
    # The operator looks again every 5 s.
    eventually("its time is over", lambda: overdue(live.pods()["live-1"]) > 8, within=20)
    assert live.uids() == before
    assert not live.events("HostLost")
    # A new leader has heard nobody yet, which says nothing about the pod.
    assert story.operators[0].process.end() == 0
    successor = story.operator(LOST_AFTER).ready()
    eventually("it has heard all of them", lambda: successor.log().count("the node is a member") == 3, within=20)
    assert live.uids() == before
    assert not live.events("HostLost")


def overdue(pod: dict) -> float:
    """For how many seconds a pod should have been gone."""
    ends = datetime.fromisoformat(pod["metadata"]["deletionTimestamp"])
    return (datetime.now(UTC) - ends).total_seconds()
