"""The operator works with exactly the rights that its manifests give it, in both shapes."""

import os
import subprocess

import pytest

from installation import Operator
from sfucluster import SfuCluster


def may(kubectl, user: str, verb: str, resource: str, *options: str) -> bool:
    asked = kubectl.command("auth", "can-i", verb, resource, *options, f"--as={user}")
    answer = subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()
    assert answer in ("yes", "no"), answer
    return answer == "yes"


def told(requests) -> list[str]:
    return [f"{r.verb} {r.resource} {r.namespace}/{r.name}: {r.code}" for r in requests]


def hosts_read(requests) -> list:
    return [request for request in requests if request.resource.partition("/")[0] == "nodes"]


def test_nothing_that_the_operator_asks_is_refused(trio, operator, audit):
    trio.run("scale", "sfu/live", "--replicas=4")
    trio.whole(4)
    trio.patch(mesh={"fanOut": "Eager"}, replicas=2)
    trio.run("delete", "pod/live-0", "--wait=false")
    trio.whole(2, within=180)
    # In the namespaces of earlier tests, which are on their way out, nothing may be created by anybody.
    refused = [request for request in audit.refused(operator.user) if request.namespace in ("", operator.namespace, trio.namespace)]
    assert not refused, told(refused)
    assert not hosts_read(audit.requests(operator.user)), "no Kubernetes node is ever read"


def test_the_operator_cannot_read_more_than_it_needs(kubectl, operator):
    for verb, resource in (("list", "secrets"), ("watch", "secrets"), ("get", "nodes"), ("get", "configmaps"), ("create", "pods")):
        assert not may(kubectl, operator.user, verb, resource, "--all-namespaces"), f"{verb} {resource}"
    assert may(kubectl, operator.user, "list", "sfuclusters.sfumato.dev", "--all-namespaces")


@pytest.fixture
def other_namespaces(kubectl, namespace):
    """Two further namespaces besides the test's own."""
    names = [f"{namespace[:40]}-{word}-{os.urandom(2).hex()}" for word in ("second", "foreign")]
    for name in names:
        kubectl.run("create", "namespace", name)
    yield names
    for name in names:
        kubectl.run("delete", "namespace", name, "--wait=false")


@pytest.fixture
def team_operator(operator, kubectl, namespace, other_namespaces):
    """An operator of one team, for the test's own namespace and a second one, in place of the one for all."""
    team = Operator(kubectl, f"sfumato-team-{os.urandom(2).hex()}")
    with operator.away():
        try:
            team.install(f"--watch-namespaces={namespace},{other_namespaces[0]}")
            yield team
        finally:
            kubectl.run("delete", "namespace", team.namespace, "--timeout=90s", timeout=100)


def test_an_operator_for_some_namespaces_works_there_and_can_do_nothing_elsewhere(team_operator, kubectl, namespace, other_namespaces, audit):
    second, foreign = other_namespaces
    clusters = [SfuCluster(kubectl, namespace), SfuCluster(kubectl, second, "other")]
    elsewhere = SfuCluster(kubectl, foreign)
    elsewhere.apply()
    for cluster in clusters:
        cluster.apply(replicas=2)
    for cluster in clusters:
        cluster.whole(2)
    clusters[0].run("scale", "sfu/live", "--replicas=3")
    clusters[0].whole(3)
    clusters[0].run("delete", "pod/live-0", "--wait=false")
    clusters[0].run("scale", "sfu/live", "--replicas=1")
    clusters[0].whole(1, within=180)
    assert elsewhere.status() == {}, "nobody looks after this one"
    assert not elsewhere.nodes()

    asked = audit.requests(team_operator.user)
    refused = audit.refused(team_operator.user)
    assert not refused, told(refused)
    assert not hosts_read(asked), "no Kubernetes node is ever read"
    assert {request.namespace for request in asked} <= {"", namespace, second, team_operator.namespace}
    user = team_operator.user
    for verb, resource in (("list", "sfuclusters.sfumato.dev"), ("get", "secrets"), ("delete", "pods"), ("patch", "services")):
        assert may(kubectl, user, verb, resource, f"--namespace={second}"), f"{verb} {resource}"
        assert not may(kubectl, user, verb, resource, f"--namespace={foreign}"), f"{verb} {resource}"
    assert not may(kubectl, user, "list", "sfuclusters.sfumato.dev", "--all-namespaces")
