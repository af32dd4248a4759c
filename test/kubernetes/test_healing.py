"""Whatever is killed, the mesh is whole again by itself."""

import base64
import json
import time

import pytest

from nodes import kill
from testcluster.waiting import eventually


def healed(cluster, nodes: int, what: str, within: float = 90) -> None:
    began = time.monotonic()
    cluster.whole(nodes, within=within)
    print(f"{what}: whole after {time.monotonic() - began:.1f} s")


def test_a_pod_that_is_deleted_comes_back_into_the_mesh(trio):
    before = trio.uids()
    trio.run("delete", "pod/live-1", "--wait=false")
    trio.replaced("live-1", before["live-1"])
    healed(trio, 3, "pod deleted")
    now = trio.uids()
    assert (now["live-0"], now["live-2"]) == (before["live-0"], before["live-2"])


@pytest.mark.testcluster
def test_a_container_that_is_killed_is_another_life_of_the_same_pod(trio, layout):
    lives = {node["name"]: node["incarnation"] for node in trio.status()["nodes"]}
    uids = trio.uids()
    pod = trio.nodes()["live-2"]
    kill(layout, pod)

    def life():
        return {node["name"]: node["incarnation"] for node in trio.status()["nodes"]}["live-2"]

    eventually("live-2 lives another life", lambda: life() not in ("", lives["live-2"]), within=60)
    healed(trio, 3, "container killed")
    now = {node["name"]: node["incarnation"] for node in trio.status()["nodes"]}
    assert (now["live-0"], now["live-1"]) == (lives["live-0"], lives["live-1"])
    assert trio.uids() == uids


def test_redis_may_go_and_come_back(trio):
    uids = trio.uids()
    trio.reaches_redis()
    # Paused, the operator does not bring it back before the nodes have missed it.
    trio.patch(paused=True)
    eventually("it is paused", lambda: trio.condition("Paused").get("status") == "True", within=20)
    trio.run("scale", "deployment/live-redis", "--replicas=0")
    trio.run("delete", "pod", "--selector=app.kubernetes.io/component=redis", "--grace-period=0", "--force", "--wait=false")
    eventually("Redis is missed", lambda: trio.condition("RedisReady")["status"] == "False", within=60)
    assert trio.condition("MeshReady")["status"] == "True", "no link depends on it"
    # It comes back with another password, which media nodes find in their files. A kubelet writes those at once when it looks at the pod.
    lives = trio.lives()
    trio.run("patch", "secret/live-admin", "--type=merge", "--patch", json.dumps({"stringData": {"redis-password": "another"}}))
    for pod in uids:
        trio.run("annotate", f"pod/{pod}", "touched=password")
    trio.patch(paused=False)
    eventually("Redis is back", lambda: trio.condition("RedisReady")["status"] == "True", within=90)
    trio.whole(3)
    assert trio.lives() == lives, "no node was replaced or restarted for it"


def test_the_admin_secret_comes_back_as_it_was(trio):
    def token():
        return base64.b64decode(trio.get("secret", "live-admin")["data"]["token"])

    before, uids = token(), trio.uids()
    trio.run("delete", "secret/live-admin")
    # Something that makes the operator look again, which it otherwise does once a minute.
    trio.run("annotate", "pod/live-0", "touched=now")
    eventually("the Secret is back", lambda: token() == before, within=90)
    healed(trio, 3, "Secret deleted")
    assert trio.uids() == uids
