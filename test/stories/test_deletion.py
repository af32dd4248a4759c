"""When all nodes of a cluster go, nobody has a place to move to: they end at once, and not when their drain is over."""

import re
from copy import deepcopy

import pytest

from api_client import path
from cluster import Cluster
from operator_process import may
from story import Story
from testcluster.waiting import eventually

SOON = 20


def with_publishers(live: Cluster, story: Story) -> Cluster:
    """Its nodes would drain for a day."""
    live.up(drain={"deadline": "24h"})
    story.kubelet.patient = True
    for pod in ("live-0", "live-2"):
        story.kubelet.change(pod, publishers=1)
    return live


@pytest.mark.parametrize("propagation", ["Background", "Foreground"])
def test_the_nodes_of_a_cluster_that_is_deleted_end_at_once(live, story, propagation):
    with_publishers(live, story).delete(propagationPolicy=propagation)
    eventually("no pod is left", lambda: not live.pods(), within=SOON)
    eventually("the cluster is gone", lambda: not live.exists(), within=SOON)


def test_the_nodes_of_a_namespace_that_is_deleted_end_at_once(live, story):
    with_publishers(live, story)
    story.rights_end = True
    story.api.delete(path("namespaces", None, story.namespace))
    eventually("no pod is left", lambda: not live.pods(), within=SOON)


def test_the_only_node_ends_at_once_when_its_namespace_is_deleted_while_it_drains(story):
    """Of the namespace's end no watch tells, and Kubernetes tells a pod that is about to end nothing more."""
    story.operator("--secrets-every=1s").ready()
    live = story.cluster().up(replicas=1, drain={"deadline": "24h"})
    story.kubelet.patient = True
    story.kubelet.change("live-0", publishers=1)
    live.delete_pod("live-0")
    eventually("it drains", lambda: story.kubelet.nodes["live-0"].reasons == ["sigterm"], within=SOON)
    live.says("Ready", "False", "NotYet")
    grace = lambda: live.pods()["live-0"]["metadata"]["deletionGracePeriodSeconds"]  # noqa: E731
    assert grace() == 24 * 3600 + 15
    story.rights_end = True
    story.api.delete(path("namespaces", None, story.namespace))
    eventually("no pod is left", lambda: not live.pods(), within=SOON)


def test_the_only_node_ends_at_once_when_its_stateful_set_is_deleted_while_it_drains(live, story):
    before = live.up(replicas=1, drain={"deadline": "24h"}).uids()
    story.kubelet.patient = True
    story.kubelet.change("live-0", publishers=1)
    live.delete_pod("live-0")
    eventually("it drains", lambda: story.kubelet.nodes["live-0"].reasons == ["sigterm"], within=SOON)
    live.api.delete(path("statefulsets", live.namespace, "live"))
    live.rolled(before)


def test_the_nodes_of_a_stateful_set_that_somebody_deletes_end_at_once_and_are_made_anew(live, story):
    before = with_publishers(live, story).uids()
    live.api.delete(path("statefulsets", live.namespace, "live"))
    live.rolled(before)


def test_a_node_that_is_replaced_keeps_its_publishers_for_as_long_as_they_may_stay(live, story):
    before = with_publishers(live, story).uids()
    live.delete_pod("live-2")
    eventually("it drains", lambda: story.kubelet.nodes["live-2"].reasons == ["sigterm"], within=SOON)
    # A StatefulSet that is deleted and made anew around its pods takes nobody's time.
    uid = live.child("statefulsets")["metadata"]["uid"]
    live.api.delete(path("statefulsets", live.namespace, "live"), propagationPolicy="Orphan")
    eventually("the StatefulSet is another one", lambda: live.child("statefulsets")["metadata"]["uid"] != uid, within=SOON)
    taken = lambda: live.pods()["live-1"]["metadata"]["ownerReferences"][0]["uid"] != uid  # noqa: E731
    eventually("it has taken over its pods", taken, within=SOON)
    node = story.kubelet.nodes["live-2"]
    assert (node.publishers, node.reasons, live.uids()) == (1, ["sigterm"], before)
    story.kubelet.change("live-2", publishers=0)
    live.whole(3)


def test_kubernetes_ends_the_nodes_that_no_operator_knows_how_to_call(story):
    first = story.operator().ready()
    live = with_publishers(story.cluster(), story)
    assert first.process.end() == 0
    live.delete()
    ends = lambda: {pod["metadata"].get("deletionGracePeriodSeconds") for name, pod in live.pods().items() if name != "live-1"}  # noqa: E731
    eventually("the nodes drain", lambda: ends() == {24 * 3600 + 15}, within=SOON)
    story.operator().ready()
    eventually("they have no more time than is usual", lambda: ends() == {15}, within=SOON)
    for pod in ("live-0", "live-2"):
        story.kubelet.change(pod, publishers=0)
    eventually("no pod is left", lambda: not live.pods(), within=SOON)


def test_a_right_that_is_missing_is_told_and_ends_nobody(live, story):
    """Whether all nodes go with their StatefulSet is not known then. That the only node is deleted says nothing about it."""
    before = live.up(replicas=1, drain={"deadline": "24h"}).uids()
    story.kubelet.patient = True
    story.kubelet.change("live-0", publishers=1)
    story.rights_end = True
    role = path("roles", story.namespace, f"{story.namespace}:sfu-operator")
    usual = story.api.get(role)["rules"]
    rules = deepcopy(usual)
    for rule in rules:
        if "statefulsets" in rule["resources"]:
            rule["verbs"].remove("get")
    story.api.merge(role, {"rules": rules})
    eventually("the right is gone", lambda: not may(story.api, story.user, "get", "statefulsets", story.namespace, "apps"), within=SOON, every=0.05)

    live.delete_pod("live-0")
    told = lambda: "it is not known whether it can be ended at once" in story.operators[0].log()  # noqa: E731
    eventually("the missing right is told", told, within=SOON)
    assert re.search(r"cannot get resource .{0,2}statefulsets", story.operators[0].log())
    [pod] = live.pods().values()
    assert pod["metadata"]["deletionGracePeriodSeconds"] == 24 * 3600 + 15
    node = story.kubelet.nodes["live-0"]
    assert (node.publishers, node.reasons, live.uids()) == (1, ["sigterm"], before)
    story.api.merge(role, {"rules": usual})
    story.kubelet.change("live-0", publishers=0)
    live.rolled(before)


def test_a_cluster_that_is_made_again_waits_for_the_pods_of_the_one_before_and_says_so(live, story):
    before = live.up(replicas=2).uids()
    # Its kubelet is away: nobody says that it has ended.
    story.kubelet.orphan("live-1")
    live.delete()
    live.create(replicas=2)
    live.says("Reconciling", "True", "WaitingForDeletion", "Pod live-1")
    status = live.status()
    assert (status["nodesSummary"], status.get("nodes", [])) == ("0/2", []), "pods of the one before are not counted"
    live.delete_pod("live-1", gracePeriodSeconds=0)
    live.whole(2)
    live.settled()
    assert not set(before.values()) & set(live.uids().values())
    failed = story.api.get(path("events", story.namespace), fieldSelector="reason=FailedCreate")
    assert not failed, "Kubernetes never tried to make a pod whose name was taken"


def test_a_pod_of_the_cluster_before_whose_host_is_lost_is_given_up(story):
    story.operator("--lost-after=1s").ready()
    live = story.cluster().up(replicas=1)
    story.kubelet.lose("live-0")
    live.delete_pod("live-0", gracePeriodSeconds=1)
    live.delete()
    live.create(replicas=1)
    live.tells("HostLost", "live-0 was removed")
    live.whole(1)
