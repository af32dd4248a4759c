"""What an operator may do, and people with Kubernetes' own roles, by the API server's own word.

That an operator may do all that it needs is checked after every story."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from api_client import ApiClient, Refused, path
from cluster import Cluster
from operator_process import give_rights, in_force, manifests, may
from testcluster.waiting import eventually

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


CHART = Path(__file__).parents[2] / "charts" / "sfumato"
GROUP = "sfumato.dev"
LOOK = {*(f"{verb} sfuclusters" for verb in ("get", "list", "watch")), "get sfuclusters/scale", "get sfuclusters/status"}
CHANGE = {
    *(f"{verb} sfuclusters" for verb in ("create", "update", "patch", "delete", "deletecollection")),
    *(f"{verb} sfuclusters/scale" for verb in ("update", "patch")),
}
# What only the operator writes.
OF_THE_OPERATOR = {f"{verb} sfuclusters/{what}" for verb in ("update", "patch") for what in ("status", "finalizers")}
PEOPLE = {"view": LOOK, "edit": LOOK | CHANGE, "admin": LOOK | CHANGE}


@pytest.fixture
def people(story) -> Iterator[dict[str, ApiClient]]:
    """Somebody in the story's namespace for each of Kubernetes' roles for people, where the chart's roles are installed."""
    command = [os.environ["SFUMATO_HELM"], "template", "it", CHART, f"--namespace={story.namespace}", "--show-only=templates/rbac.yaml"]
    rendered = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    roles = [item for item in yaml.load_all(rendered, yaml.CSafeLoader) if item["metadata"]["name"].endswith((":view", ":edit"))]
    assert len(roles) == 2
    for role in roles:
        story.api.create(path("clusterroles"), role)
    clients = {}
    for role in PEOPLE:
        story.create("serviceaccounts", role)
        story.create(
            *("rolebindings", role),
            roleRef={"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
            subjects=[{"kind": "ServiceAccount", "name": role, "namespace": story.namespace}],
        )
        request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 3600}}
        token = story.api.create(path("serviceaccounts", story.namespace, role, "token"), request)["status"]["token"]
        clients[role] = ApiClient(story.plane.server, story.plane.authority, token)
    yield clients
    for client in clients.values():
        client.close()
    for role in roles:
        story.api.delete(path("clusterroles", name=role["metadata"]["name"]))


def test_people_may_do_with_clusters_what_their_role_in_the_namespace_says(story, people):
    def allowed(role: str, namespace: str) -> set[str]:
        user = f"system:serviceaccount:{story.namespace}:{role}"
        asked = (each.split() for each in LOOK | CHANGE | OF_THE_OPERATOR)
        return {f"{verb} {resource}" for verb, resource in asked if may(story.api, user, verb, resource, namespace, GROUP)}

    for role, rights in PEOPLE.items():
        eventually(f"{role} may do what it should", lambda role=role, rights=rights: allowed(role, story.namespace) == rights, within=20)
        assert not allowed(role, "default"), role

    # As kubectl does it: `kubectl scale` reads the number, and then writes it.
    story.cluster().create(replicas=3)
    where = path("sfuclusters", story.namespace, "live", "scale")
    assert people["view"].get(where)["spec"]["replicas"] == 3
    with pytest.raises(Refused, match="403"):
        people["view"].merge(where, {"spec": {"replicas": 4}})
    for number, role in enumerate(("edit", "admin"), 4):
        assert people[role].merge(where, {"spec": {"replicas": number}})["spec"]["replicas"] == number
