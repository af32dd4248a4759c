"""What somebody else has made under a name that a cluster needs is not touched, and the rest of the cluster is made."""

import pytest

from api_client import path
from testcluster.waiting import eventually

LABELS = {"matchLabels": {"app": "other"}}
POD = {"metadata": {"labels": {"app": "other"}}, "spec": {"containers": [{"name": "other", "image": "other"}]}}
PORTS = {"spec": {"ports": [{"port": 80}], "selector": {"app": "other"}}}
# What belongs to somebody else: where it is, its kind, and what it is apart from its name.
TAKEN = {
    "live-web": ("services", "Service", PORTS),
    "live-nodes": ("services", "Service", PORTS | {"spec": PORTS["spec"] | {"clusterIP": "None"}}),
    "live-nodes account": ("serviceaccounts", "ServiceAccount", {}),
    "live": ("statefulsets", "StatefulSet", {"spec": {"replicas": 0, "serviceName": "other", "selector": LABELS, "template": POD}}),
    "live-redis": ("deployments", "Deployment", {"spec": {"replicas": 0, "selector": LABELS, "template": POD}}),
    "live-web deployment": ("deployments", "Deployment", {"spec": {"replicas": 0, "selector": LABELS, "template": POD}}),
    "live budget": ("poddisruptionbudgets", "PodDisruptionBudget", {"spec": {"maxUnavailable": 2, "selector": LABELS}}),
    "live policy": ("networkpolicies", "NetworkPolicy", {"spec": {"podSelector": LABELS}}),
}


@pytest.mark.parametrize("key", TAKEN)
def test_an_object_of_somebody_else_is_not_taken_over(live, story, key):
    name, (resource, kind, rest) = key.partition(" ")[0], TAKEN[key]
    made = story.create(resource, name, **rest)
    live.create(replicas=2)
    live.degraded("NameTaken", f"{kind} {name} exists and does not belong to this cluster", "rename or remove it")
    now = story.api.get(path(resource, story.namespace, name))
    assert now["spec" if rest else "metadata"] == made["spec" if rest else "metadata"]
    assert "ownerReferences" not in now["metadata"]
    assert "labels" not in now["metadata"]
    others = [(r, suffix) for r, suffix in (("services", "-redis"), ("secrets", "-admin"), ("networkpolicies", "-redis")) if live.has(r, suffix)]
    assert len(others) == 3, "the other children are made all the same"

    story.api.delete(path(resource, story.namespace, name))
    live.whole(2)
    live.in_order()


def test_children_that_were_orphaned_are_taken_for_those_of_somebody_else(live, story):
    before = live.up().uids()
    live.delete(propagationPolicy="Orphan")
    eventually("it is gone", lambda: not live.exists(), within=15)
    live.create()
    live.degraded("NameTaken", "exists and does not belong to this cluster", "rename or remove it")
    assert live.uids() == before, "what ran runs on"
