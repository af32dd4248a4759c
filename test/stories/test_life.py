"""A cluster is made, scaled, paused, deleted and made again."""

import pytest

from api_client import path
from sfucluster import AS_DESIRED
from testcluster.waiting import eventually

CHILDREN = [
    ("statefulsets", ""),
    ("services", "-nodes"),
    ("serviceaccounts", "-nodes"),
    ("secrets", "-admin"),
    ("poddisruptionbudgets", ""),
    ("networkpolicies", ""),
    ("networkpolicies", "-redis"),
    ("deployments", "-web"),
    ("services", "-web"),
    ("deployments", "-redis"),
    ("services", "-redis"),
]


def test_an_object_becomes_its_children_and_a_whole_mesh_and_says_so(live):
    status = live.up().whole(3)
    uid = live.object()["metadata"]["uid"]
    for resource, suffix in CHILDREN:
        metadata = live.child(resource, suffix)["metadata"]
        (owner,) = metadata["ownerReferences"]
        assert (owner["kind"], owner["uid"], owner["controller"]) == ("SfuCluster", uid, True), (resource, suffix)
        assert metadata["labels"]["app.kubernetes.io/managed-by"] == "sfu-operator", (resource, suffix)
    assert [node["name"] for node in status["nodes"]] == ["live-0", "live-1", "live-2"]
    assert [node["host"] for node in status["nodes"]] == ["host-0", "host-1", "host-2"]
    assert all(node["pairs"] == 2 and node["ready"] for node in status["nodes"])
    assert {c["type"]: c["status"] for c in status["conditions"]} == AS_DESIRED
    live.tells("MeshWhole", "3 of 3 node pairs are linked")
    assert live.times_told("MeshWhole") == 1


def test_a_cluster_grows_and_what_runs_is_not_touched(live):
    before = live.up(replicas=2).uids()
    live.scale(4)
    live.whole(4)
    assert before.items() <= live.uids().items()


def test_surplus_nodes_are_drained_and_the_stateful_set_shrinks_from_the_top(live, story):
    before = live.up(replicas=4).uids()
    for pod in ("live-2", "live-3"):
        story.kubelet.change(pod, publishers=1, viewers=5)
    live.scale(2)
    live.says("Reconciling", "True", "ScalingDown", "draining live-2, live-3 before the scale-down")
    eventually("both are drained", lambda: live.draining() == {"live-2", "live-3"}, within=10)
    assert story.kubelet.nodes["live-3"].reasons == ["scaleDown"]

    story.kubelet.change("live-2", publishers=0)
    live.says("Reconciling", "True", "ScalingDown", "draining live-2, live-3")
    assert live.child("statefulsets")["spec"]["replicas"] == 4, "live-3 is the first to go"
    assert live.pods().keys() == before.keys()

    story.kubelet.change("live-3", publishers=0)
    live.whole(2)
    assert live.uids() == {name: before[name] for name in ("live-0", "live-1")}, "those that stay are not touched"
    live.settled()


def test_a_node_that_is_drained_for_a_scale_down_is_taken_back_where_it_is_wanted_again(live, story):
    before = live.up().uids()
    story.kubelet.change("live-2", publishers=1)
    live.scale(2)
    eventually("live-2 is drained", lambda: live.draining() == {"live-2"}, within=10)
    live.scale(3)
    eventually("it takes sessions again", lambda: not live.draining(), within=10)
    live.whole(3)
    assert live.uids() == before
    live.tells("DrainLifted", "live-2 is needed again")


def test_a_publisher_has_its_deadline_when_its_node_is_scaled_away(live, story):
    live.up(drain={"deadline": "2s"})
    story.kubelet.change("live-2", publishers=1)
    live.scale(2)
    eventually("live-2 is drained", lambda: live.draining() == {"live-2"}, within=10)
    live.whole(2)
    live.tells("Draining", "live-2 accepts no new sessions and is drained within 2 s (scaleDown)")


def test_a_paused_cluster_is_left_alone_and_its_mesh_is_healed(live):
    live.up()
    live.patch(paused=True)
    live.says("Paused", "True", "Paused")
    live.api.delete(path("services", live.namespace, "live-web"))
    live.patch(replicas=4)
    eventually("it has seen the change", lambda: live.status()["mesh"]["summary"] == "3/6", within=10)
    # Kubernetes itself replaces the pod, and the links are made anew.
    live.lose_pod("live-1", within=10)
    uid = live.uids()["live-1"]
    linked = lambda: any(node["incarnation"].startswith(uid) and node["pairs"] == 2 for node in live.status()["nodes"])  # noqa: E731
    eventually("it is linked", linked, within=10)
    assert len(live.pods()) == 3
    assert not live.has("services", "-web")

    live.patch(paused=False)
    live.whole(4)
    eventually("the Service is back", lambda: live.has("services", "-web"), within=10)


@pytest.mark.parametrize("propagation", ["Background", "Foreground"])
def test_a_cluster_that_is_deleted_leaves_nothing(live, propagation):
    live.up()
    live.delete(propagationPolicy=propagation)
    gone = lambda: not [child for child in CHILDREN if live.has(*child)] and not live.pods()  # noqa: E731
    eventually("every child is gone", gone, within=30)
    assert not live.exists()


def test_a_cluster_that_is_made_again_under_its_name_is_another_one(live):
    before = live.up().uids()
    live.delete()
    live.create()
    # The garbage collector takes a moment. Until then, the pods of the one before carry the labels of this one.
    eventually("the pods of the one before are gone", lambda: not set(before.values()) & set(live.uids().values()), within=60)
    live.whole(3, within=60)
    uid = live.object()["metadata"]["uid"]
    for resource, suffix in CHILDREN:
        assert live.child(resource, suffix)["metadata"]["ownerReferences"][0]["uid"] == uid, (resource, suffix)


def test_two_clusters_of_a_namespace_do_not_mind_each_other(live, story):
    other = story.cluster("other").create(replicas=2)
    live.up()
    other.whole(2)
    before = live.uids()
    other.delete()
    eventually("the other is gone", lambda: not other.pods() and not other.has("statefulsets"), within=30)
    live.whole(3)
    assert live.uids() == before


def test_an_object_that_nobody_looks_after_is_not_taken_for_one_that_is_done(story):
    live = story.cluster().create()
    status = live.status()
    [ready] = status["conditions"]
    # kstatus, and with it Helm, waits for a generation that is another than the object's.
    assert status["observedGeneration"] == -1
    assert (ready["type"], ready["status"], ready["message"]) == ("Ready", "Unknown", "waiting for the operator")
    story.operator().ready()
    live.whole(3)
