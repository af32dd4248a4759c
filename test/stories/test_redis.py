"""Managed Redis can be resized, broken, lost and given another password: whatever it takes, no media node is replaced for it."""

import base64
import json

import pytest

from api_client import path
from cluster import Cluster
from testcluster.waiting import eventually

SIZED = {"redis": {"managed": {"storage": {"size": "1Gi"}}}}
REDIS = "app.kubernetes.io/component=redis"
SOON = 20


def pods(cluster: Cluster) -> list[dict]:
    return cluster.api.get(path("pods", cluster.namespace), labelSelector=f"{REDIS},app.kubernetes.io/instance={cluster.name}")


def images(cluster: Cluster) -> list[str]:
    return [pod["spec"]["containers"][0]["image"] for pod in pods(cluster)]


def claims(cluster: Cluster) -> dict[str, str]:
    """Sizes of the volumes that are asked for, by UID; not of those that are about to go."""
    all_claims = cluster.api.get(path("persistentvolumeclaims", cluster.namespace))
    lasting = [claim for claim in all_claims if "deletionTimestamp" not in claim["metadata"]]
    return {claim["metadata"]["uid"]: claim["spec"]["resources"]["requests"]["storage"] for claim in lasting}


def kinds(cluster: Cluster) -> set[str]:
    return {kind for kind in ("statefulsets", "deployments") if cluster.has(kind, "-redis")}


def tell(cluster: Cluster, pod: str, **status) -> None:
    cluster.api.merge(path("pods", cluster.namespace, pod, "status"), {"status": status})


def test_a_size_may_be_written_in_any_way_and_later_changes_are_applied(operator, story):
    sizes = {"a": ("1024Mi", "1Gi"), "b": ("0.5Gi", "512Mi"), "c": ("1000M", "1G")}
    clusters = {name: story.cluster(name).create(replicas=1, redis={"managed": {"storage": {"size": size}}}) for name, (size, _) in sizes.items()}
    for name, cluster in clusters.items():
        cluster.whole(1)
        cluster.patch(redis={"managed": {"image": "other"}})
        set_of = lambda it=cluster: it.child("statefulsets", "-redis")  # noqa: E731
        image = lambda it=set_of: it()["spec"]["template"]["spec"]["containers"][0]["image"]  # noqa: E731
        eventually(f"{name}: the change is applied", lambda it=image: it() == "other", within=SOON)
        claim = set_of()["spec"]["volumeClaimTemplates"][0]["spec"]["resources"]["requests"]["storage"]
        assert claim == sizes[name][1], "as the API server writes it"
        cluster.in_order()


def test_redis_without_storage_keeps_no_host_from_being_emptied(live):
    live.up(replicas=1)
    eventually("it has a pod", lambda: len(pods(live)) == 1, within=SOON)
    (pod,) = pods(live)
    assert {key for volume in pod["spec"]["volumes"] for key in volume if key != "name"} == {"secret"}
    assert pod["metadata"]["ownerReferences"][0]["kind"] == "ReplicaSet"
    assert live.child("deployments", "-redis")["spec"]["strategy"] == {"type": "Recreate"}
    selector = live.child("services", "-redis")["spec"]["selector"]
    assert selector.items() <= pod["metadata"]["labels"].items()


def test_a_change_of_the_storage_of_redis_is_carried_out_and_the_old_volume_goes(live):
    uids = live.up(replicas=1).uids()
    assert kinds(live) == {"deployments"}
    live.patch(**SIZED)
    eventually("Redis has a volume", lambda: kinds(live) == {"statefulsets"} and list(claims(live).values()) == ["1Gi"], within=SOON)
    (first,) = claims(live)
    live.patch(redis={"managed": {"storage": {"size": "2Gi"}}})
    eventually("it has a larger one", lambda: list(claims(live).values()) == ["2Gi"] and first not in claims(live), within=SOON)
    live.patch(redis={"managed": {"storage": None}})
    eventually("it has none", lambda: kinds(live) == {"deployments"} and not claims(live), within=SOON)
    live.whole(1)
    live.in_order()
    live.settled()
    assert live.uids() == uids


def test_a_volume_that_the_release_before_would_have_left_behind_goes_as_well(live):
    live.up(replicas=1, **SIZED)
    eventually("Redis has a volume", lambda: len(claims(live)) == 1, within=SOON)
    retained = {"whenDeleted": "Retain", "whenScaled": "Retain"}
    live.patch(paused=True)
    live.says("Paused", "True", "Paused")
    live.api.merge(path("statefulsets", live.namespace, "live-redis"), {"spec": {"persistentVolumeClaimRetentionPolicy": retained}})
    live.patch(redis={"managed": {"storage": None}}, paused=False)
    eventually("the volume is gone", lambda: kinds(live) == {"deployments"} and not claims(live), within=SOON)


def test_redis_goes_with_its_volume_when_another_is_named_and_when_the_cluster_goes(live, story):
    story.put_secret("mine", url="redis://127.0.0.1:6379")
    live.up(replicas=1, **SIZED)
    eventually("Redis has a volume", lambda: len(claims(live)) == 1, within=SOON)
    live.patch(redis={"managed": None, "external": {"urlSecretRef": {"name": "mine", "key": "url"}}})
    eventually("nothing is left of it", lambda: not kinds(live) and not claims(live) and not live.has("services", "-redis"), within=SOON)
    live.patch(redis={"managed": SIZED["redis"]["managed"], "external": None})
    eventually("Redis has a volume again", lambda: len(claims(live)) == 1, within=SOON)
    live.delete()
    eventually("nothing is left", lambda: not kinds(live) and not claims(live), within=SOON)


def test_an_upgrade_of_the_operator_leaves_redis_as_the_release_before_made_it(story):
    first = story.operator().ready()
    live = story.cluster().up(replicas=1)
    assert first.process.end() == 0
    of_the_release_before(live)
    eventually("it has a pod", lambda: [pod["metadata"]["name"] for pod in pods(live)] == ["live-redis-0"], within=SOON)
    (before,) = pods(live)
    story.operator().ready()
    # What the new operator does at its start is over when it has carried out a change.
    live.patch(drain={"deadline": "61s"})
    live.whole(1)
    eventually("the change is carried out", lambda: grace(live) == 76, within=SOON)
    assert kinds(live) == {"statefulsets"}
    assert [pod["metadata"]["uid"] for pod in pods(live)] == [before["metadata"]["uid"]]

    live.patch(redis={"managed": {"image": "other"}})
    eventually("a change of its own makes it anew", lambda: kinds(live) == {"deployments"} and images(live) == ["other"], within=SOON)
    live.in_order()


def grace(cluster: Cluster) -> int:
    return cluster.child("statefulsets")["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]


def of_the_release_before(cluster: Cluster) -> None:
    """Has Redis kept by a StatefulSet with an empty directory, as the release before did it without storage."""
    now = cluster.child("deployments", "-redis")
    cluster.api.delete(path("deployments", cluster.namespace, "live-redis"), propagationPolicy="Foreground")
    eventually("the Deployment is gone", lambda: not kinds(cluster), within=SOON)
    metadata = {key: now["metadata"][key] for key in ("name", "labels", "ownerReferences")}
    labels = {key: value for key, value in now["metadata"]["labels"].items() if key.startswith("app.kubernetes.io/")}
    container = {"name": "redis", "image": "before", "volumeMounts": [{"name": "data", "mountPath": "/data"}]}
    container["securityContext"] = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    security = {"runAsNonRoot": True, "runAsUser": 999, "seccompProfile": {"type": "RuntimeDefault"}}
    template = {
        "metadata": {"labels": labels},
        "spec": {"containers": [container], "volumes": [{"name": "data", "emptyDir": {}}], "securityContext": security},
    }
    metadata["annotations"] = {
        "sfumato.dev/built-from": json.dumps(json.loads(now["metadata"]["annotations"]["sfumato.dev/built-from"]) | {"drain": {"deadline": "60s"}}),
        "sfumato.dev/template": json.dumps(template),
    }
    selector = {key: value for key, value in labels.items() if "managed-by" not in key}
    spec = {"replicas": 1, "serviceName": "live-redis", "selector": {"matchLabels": selector}, "template": template}
    made = {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": metadata, "spec": spec}
    cluster.api.patch("apply", path("statefulsets", cluster.namespace, "live-redis"), made, fieldManager="sfu-operator")


def test_a_pod_of_redis_whose_image_is_not_to_be_had_is_told_and_replaced_after_the_fix(live):
    live.up(replicas=1, redis={"managed": {"storage": {"size": "1Gi"}, "image": "broken"}})
    eventually("it has a pod", lambda: images(live) == ["broken"], within=SOON)
    waiting = {"reason": "ErrImagePull", "message": "manifest unknown"}
    container = {"name": "redis", "image": "", "imageID": "", "ready": False, "restartCount": 0, "state": {"waiting": waiting}}
    tell(live, "live-redis-0", phase="Pending", containerStatuses=[container])
    live.degraded("ImageNotPulled", "live-redis-0 cannot pull its image")
    live.patch(redis={"managed": {"image": "mended"}})
    eventually("the pod is another", lambda: images(live) == ["mended"], within=SOON)
    live.tells("Replacing", "live-redis-0 is replaced")
    live.in_order()


def test_a_pod_of_redis_on_a_lost_host_is_removed_once_no_node_reaches_it(story):
    story.operator("--lost-after=1s").ready()
    live = story.cluster().up(replicas=1, **SIZED)
    eventually("it has a pod", lambda: len(pods(live)) == 1, within=SOON)
    (pod,) = pods(live)
    target = {"apiVersion": "v1", "kind": "Node", "name": "host-9"}
    where = path("pods", live.namespace, "live-redis-0")
    live.api.create(f"{where}/binding", {"metadata": {"name": "live-redis-0"}, "target": target})
    live.delete_pod("live-redis-0", gracePeriodSeconds=1)
    story.kubelet.change("live-0", claims={"redis": False, "redisProblem": "connection refused"})
    live.says("RedisReady", "False", "NotReached", "connection refused")
    eventually("it is another pod", lambda: [it["metadata"]["uid"] for it in pods(live)] not in ([], [pod["metadata"]["uid"]]), within=SOON)
    live.tells("HostLost", "live-redis-0 was removed")


@pytest.mark.parametrize("managed", [{}, SIZED["redis"]["managed"]], ids=["memory", "storage"])
def test_redis_follows_a_change_of_its_password_and_nodes_do_it_in_place(story, managed):
    story.operator("--secrets-every=1s").ready()
    live = story.cluster()
    uids = live.up(replicas=1, redis={"managed": managed}).uids()
    eventually("it has a pod", lambda: len(pods(live)) == 1, within=SOON)
    (before,) = pods(live)
    tell(live, before["metadata"]["name"], phase="Running", conditions=[{"type": "Ready", "status": "True"}])
    secret = path("secrets", live.namespace, "live-admin")
    live.api.merge(secret, {"stringData": {"redis-password": "another"}})
    others = lambda: [pod for pod in pods(live) if pod["metadata"]["uid"] != before["metadata"]["uid"]]  # noqa: E731
    eventually("it starts with it", others, within=SOON)
    configuration = base64.b64decode(live.api.get(secret)["data"]["redis.conf"]).decode()
    assert 'requirepass "another"\n' in configuration
    live.whole(1)
    assert live.uids() == uids
