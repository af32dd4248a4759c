"""Clusters that go and clusters side by side, with streams playing."""

import json
import time

import pytest

from harness.growth import Steady, grows
from harness.redis import ask
from installation import IMAGES
from media import cluster_json, whep, whip
from sfucluster import SfuCluster
from testcluster.waiting import eventually

pytestmark = pytest.mark.testcluster

GONE_WITHIN = 30
# What a node writes lives for 10 s unless it is refreshed; and the nodes' own end comes before.
FORGOTTEN_WITHIN = 20
REDIS_PORT = 6379


@pytest.fixture
def redis(kubectl, namespace) -> str:
    """A Redis that belongs to no cluster, in the test's namespace; its address."""
    kubectl.apply(json.dumps(redis_pod(namespace)))

    def serving():
        address = kubectl.get("pod", "my-redis", "--namespace", namespace)["status"]["podIP"]
        return ask(REDIS_PORT, "PING", host=address) == "PONG" and address

    return eventually("Redis serves", serving, within=60)


def redis_pod(namespace: str) -> dict:
    container = {
        "name": "redis",
        "image": IMAGES["redis"],
        "imagePullPolicy": "IfNotPresent",
        # Nobody but the test's own pods knows of it, and it holds nothing.
        "args": ["--protected-mode", "no", "--save", ""],
        "securityContext": {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}},
    }
    spec = {
        "terminationGracePeriodSeconds": 1,
        "securityContext": {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "my-redis", "namespace": namespace}, "spec": spec}


def test_a_cluster_deleted_with_streams_playing_leaves_no_child_and_nothing_in_redis(sfu, redis, peers):
    sfu.run("create", "secret", "generic", "my-redis", f"--from-literal=url=redis://{redis}:{REDIS_PORT}")
    # Nobody waits for it: with all nodes going, publishers have no place to move to.
    sfu.apply(drain={"deadline": "10m"}, redis={"external": {"urlSecretRef": {"name": "my-redis", "key": "url"}}})
    sfu.whole(3)
    peers.publish(whip(sfu, "one", "live-0"))
    peers.publish(whip(sfu, "two", "live-2"))
    for url in (whep(sfu, "one", "live-1"), whep(sfu, "two", "live-0")):
        grows(peers.count(url))
    uid = sfu.get("sfu", "live")["metadata"]["uid"]
    prefix = f"sfumato:{sfu.namespace}/live/{uid}:"

    def keys() -> list[str]:
        return ask(REDIS_PORT, "KEYS", f"{prefix}*", host=redis)

    eventually("Redis knows both streams", lambda: all(any(name in key for key in keys()) for name in ("one", "two")), within=15)
    began = time.monotonic()
    sfu.run("delete", "sfu/live", "--wait=false")
    eventually("every child is gone", lambda: not children(sfu), within=GONE_WITHIN)
    print(f"deleted with every child in {time.monotonic() - began:.1f} s")
    eventually("Redis has forgotten the cluster", lambda: not keys(), within=FORGOTTEN_WITHIN)
    print(f"nothing in Redis after {time.monotonic() - began:.1f} s")
    # Not DBSIZE: it counts what has expired until Redis gets round to dropping it.
    assert ask(REDIS_PORT, "KEYS", "*", host=redis) == [], "only the cluster's own keys were ever there"


def children(cluster) -> list[str]:
    """Those of the cluster, and not what the test made."""
    return [name for name in cluster.children() if name not in ("pod/my-redis", "secret/my-redis")]


def test_two_clusters_in_two_namespaces_with_streams_of_one_name_do_not_mix(sfu, kubectl, peers):
    namespace = f"{sfu.namespace[:50]}-other"
    kubectl.run("create", "namespace", namespace)
    other = SfuCluster(kubectl, namespace)
    try:
        for cluster in (sfu, other):
            cluster.apply(replicas=2)
        for cluster in (sfu, other):
            cluster.whole(2)
        publishers = {cluster.namespace: peers.publish(whip(cluster, "demo", "live-0")) for cluster in (sfu, other)}
        viewers = {cluster.namespace: peers.count(whep(cluster, "demo", "live-1")) for cluster in (sfu, other)}
        assert [stream["name"] for cluster in (sfu, other) for stream in streams(cluster)] == ["demo", "demo"], "neither name was taken"
        with Steady([viewers[namespace]]):
            publishers[sfu.namespace].stop()
            eventually("the stream of the one cluster ends", lambda: viewers[sfu.namespace].closed(), within=15)
            eventually("it is in no list of that cluster", lambda: not streams(sfu), within=15)
            grows(viewers[namespace])
        assert [stream["name"] for stream in streams(other)] == ["demo"]
        sfu.run("delete", "sfu/live", "--wait=false")
        with Steady([viewers[namespace]]):
            eventually("the one cluster is gone", lambda: not children(sfu), within=GONE_WITHIN)
        other.whole(2)
    finally:
        kubectl.run("delete", "namespace", namespace, "--wait=false")


def streams(cluster) -> list[dict]:
    return cluster_json(cluster)["streams"]
