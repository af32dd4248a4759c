"""One object in, a mesh out; and back."""

import time
from datetime import UTC, datetime, timedelta

import pytest

from sfucluster import AS_DESIRED, SfuCluster
from testcluster.audit import Audit, Request
from testcluster.fixtures import foreign, new_namespace
from testcluster.waiting import eventually

# What the start of a cluster still leads to, after its mesh is whole.
SETTLED = timedelta(seconds=20)
# For how long nothing may happen, and how many requests come then all the same: the cluster's Secret is read again.
WATCHED = timedelta(seconds=60)
AT_MOST = 4
# Where the other tests took no time.
QUIET_WITHIN = 180


@pytest.fixture(scope="module", autouse=True)
def resting(operator, kubectl, request):
    """A cluster that nobody touches while this file's tests run, what was asked since, and from when on it is at rest."""
    if foreign():
        # There is no audit log to look at.
        yield None
        return
    audit = Audit(request.getfixturevalue("layout").audit_log)
    with new_namespace(kubectl, "at rest") as namespace:
        cluster = SfuCluster(kubectl, namespace)
        cluster.apply()
        cluster.whole(3)
        cluster.reaches_redis()
        yield cluster, audit, datetime.now(UTC) + SETTLED


def test_an_object_becomes_a_whole_mesh_and_says_so(sfu):
    began = time.monotonic()
    sfu.apply()
    status = sfu.whole(3)
    print(f"apply to MESH 3/3: {time.monotonic() - began:.1f} s")
    header, line = sfu.run("get", "sfu", "live").splitlines()
    assert header.split() == ["NAME", "READY", "NODES", "MESH", "STREAMS", "AGE"]
    assert line.split()[:5] == ["live", "True", "3/3", "3/3", "0"]
    assert [node["name"] for node in status["nodes"]] == ["live-0", "live-1", "live-2"]
    assert all(node["pairs"] == 2 and node["ready"] and node["incarnation"] for node in status["nodes"])
    # Media does not wait for Redis, so neither does Ready.
    eventually("every node reaches Redis", lambda: sfu.condition("RedisReady")["status"] == "True", within=30)
    conditions = {c["type"]: c["status"] for c in sfu.status()["conditions"]}
    assert conditions == AS_DESIRED
    assert eventually("the event is written", lambda: sfu.events("MeshWhole"), within=10)


def test_what_is_deleted_or_edited_by_hand_comes_back(trio):
    trio.run("delete", "service/live-web", "networkpolicy/live", "--wait=false")
    trio.run("patch", "statefulset/live", "--type=merge", "--patch", '{"spec": {"replicas": 1}}')
    trio.run("label", "service/live-nodes", "mine=kept", "app.kubernetes.io/instance-of=x")
    eventually("the Service is back", lambda: trio.get("service", "live-web"), within=20)
    eventually("the policy is back", lambda: trio.get("networkpolicy", "live"), within=20)
    eventually("three replicas again", lambda: trio.get("statefulset", "live")["spec"]["replicas"] == 3, within=20)
    assert trio.get("service", "live-nodes")["metadata"]["labels"]["mine"] == "kept", "what others add stays"
    trio.whole(3)


def test_a_cluster_that_is_deleted_leaves_nothing(trio):
    began = time.monotonic()
    trio.run("delete", "sfu/live", "--wait=false")
    eventually("every child is gone", lambda: not trio.children(), within=30)
    print(f"deleted with every child in {time.monotonic() - began:.1f} s")


@pytest.mark.testcluster
def test_nothing_is_asked_of_the_api_server_when_nothing_happens(resting, operator):
    """Last in this file: the other tests' time is the time for which the cluster has been at rest."""
    cluster, audit, since = resting

    def asked() -> list[Request]:
        requests = [request for request in audit.requests(operator.user) if request.verb != "watch" and request.namespace == cluster.namespace]
        return [request for request in requests if datetime.fromisoformat(request.at) > since]

    def is_quiet(seen: list[Request], begin: datetime) -> bool:
        then = [request for request in seen if begin < datetime.fromisoformat(request.at) < begin + WATCHED]
        return len(then) <= AT_MOST and not any(request.resource.endswith("/status") for request in then)

    def quiet() -> bool:
        """Whether there was a minute without a status, and with few other requests. Not every minute is one: on a starved computer a link may be
        lost for a moment, and that is told."""
        seen = asked()
        begins = [since, *(datetime.fromisoformat(request.at) for request in seen)]
        over = [begin for begin in begins if begin + WATCHED < datetime.now(UTC)]
        assert any(is_quiet(seen, begin) for begin in over), [f"{it.at} {it.verb} {it.resource} {it.name}" for it in seen]
        return True

    eventually("a minute at rest", quiet, within=QUIET_WITHIN, every=1)
    print(f"{len(asked())} requests in {(datetime.now(UTC) - since).seconds} s")
