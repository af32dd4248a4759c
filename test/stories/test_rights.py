"""What an operator may do, by the API server's own word. That it may do all that it needs is checked after every story."""

import pytest

from api_client import path
from cluster import Cluster
from operator_process import give_rights, in_force, manifests, may

CLUSTER_WIDE = {"ClusterRole": "clusterroles", "ClusterRoleBinding": "clusterrolebindings"}


NEEDED = [("list", "sfuclusters", "sfumato.dev"), ("get", "secrets", ""), ("delete", "pods", ""), ("patch", "services", "")]
NOT_NEEDED = [("list", "secrets"), ("watch", "secrets"), ("get", "nodes"), ("get", "configmaps"), ("create", "pods"), ("get", "pods/proxy")]


def test_an_operator_of_one_namespace_can_do_nothing_elsewhere(story):
    for verb, resource, group in NEEDED:
        assert may(story.api, story.user, verb, resource, story.namespace, group), f"{verb} {resource}"
        assert not may(story.api, story.user, verb, resource, "default", group), f"{verb} {resource}"
        assert not may(story.api, story.user, verb, resource, "", group), f"{verb} {resource}"
    assert may(story.api, story.user, "get", "namespaces", story.namespace)
    assert not may(story.api, story.user, "get", "namespaces", "default")


@pytest.fixture
def user_of_all(story) -> str:
    """An operator that looks after all namespaces."""
    name = f"{story.namespace}-all"
    for manifest in manifests(*CLUSTER_WIDE, options=(f"--namespace={name}",)):
        story.api.create(path(CLUSTER_WIDE[manifest["kind"]]), manifest)
    user = f"system:serviceaccount:{name}:sfu-operator"
    in_force(story.api, user)
    return user


def test_an_operator_of_one_namespace_cannot_read_more_than_it_needs_there(story):
    for verb, resource in NOT_NEEDED:
        assert not may(story.api, story.user, verb, resource, story.namespace), f"{verb} {resource}"


def test_an_operator_of_all_namespaces_cannot_read_more_than_it_needs(story, user_of_all):
    for verb, resource, group in NEEDED:
        assert may(story.api, user_of_all, verb, resource, "", group), f"{verb} {resource}"
    for verb, resource in NOT_NEEDED:
        assert not may(story.api, user_of_all, verb, resource), f"{verb} {resource}"


def test_an_operator_of_two_namespaces_works_in_both_and_asks_nothing_of_others(story):
    second, foreign = (f"{story.namespace[:50]}-{word}" for word in ("second", "foreign"))
    for namespace in (second, foreign):
        story.begin(namespace)
    give_rights(story.api, story.namespace, second)
    story.operator(f"--watch-namespaces={story.namespace},{second}").ready()
    elsewhere = Cluster(story.api, foreign, "live").create()
    clusters = [story.cluster().create(), Cluster(story.api, second, "live").create(replicas=2)]
    clusters[0].whole(3)
    clusters[1].whole(2)
    clusters[1].scale(1)
    clusters[1].whole(1)
    assert elsewhere.status()["observedGeneration"] == -1, "nobody looks after this one"
    assert not elsewhere.has("statefulsets")
    assert {request.namespace for request in story.asked()} <= {"", story.namespace, second}
    assert not [request for request in story.asked() if request.resource.partition("/")[0] == "nodes"], "no Kubernetes node is ever read"
