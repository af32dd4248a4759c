"""Managed Redis can be resized, broken, lost and given another password: whatever it takes, no media node is replaced for it."""

import base64
import json
from collections.abc import Iterator
from urllib.parse import unquote

import pytest

from api_client import path
from cluster import Cluster
from testcluster.waiting import eventually

SIZED = {"redis": {"managed": {"storage": {"size": "1Gi"}}}}
# A password with what means something in a URL.
ODD = "a/b#c?d@e%41:f"
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


def crashes(cluster: Cluster, pod: str) -> None:
    """It runs, and is not ready."""
    tell(cluster, pod, phase="Running", conditions=[{"type": "Ready", "status": "False"}])


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


def test_a_volume_that_the_release_before_would_have_left_behind_goes_as_well(story):
    """Its StatefulSet keeps volumes, and the controller does not look at those of a pod that runs and is not ready."""
    live = kept_by_the_release_before(story, **SIZED)
    crashes(live, "live-redis-0")
    (claim,) = live.api.get(path("persistentvolumeclaims", live.namespace))
    assert "ownerReferences" not in claim["metadata"]
    story.operator().ready()
    live.patch(redis={"managed": {"storage": None}})
    eventually("the volume is gone", lambda: kinds(live) == {"deployments"} and not claims(live), within=SOON)
    live.in_order()


def test_what_others_fill_in_of_a_stateful_set_has_nothing_made_anew(story, filled_in):
    story.operator().ready()
    live = story.cluster().up(replicas=1, **SIZED)
    eventually("Redis has a volume", lambda: len(claims(live)) == 1, within=SOON)
    before, volume = uids(live)[0], claims(live)
    nodes = live.child("statefulsets")["metadata"]["uid"]
    (asked,) = live.child("statefulsets", "-redis")["spec"]["volumeClaimTemplates"]
    assert asked["spec"]["storageClassName"] == filled_in

    live.patch(redis={"managed": {"image": "other"}})
    eventually("a later change is applied", lambda: images(live) == ["other"], within=SOON)
    live.in_order()
    assert (uids(live)[0], claims(live)) == (before, volume)
    assert live.child("statefulsets")["metadata"]["uid"] == nodes
    live.patch(redis={"managed": {"storage": {"size": "2Gi"}}})
    eventually("it gets a larger one", lambda: list(claims(live).values()) == ["2Gi"], within=SOON)


@pytest.fixture
def filled_in(story) -> Iterator[str]:
    """Somebody has admission fill in a StorageClass, and change how many templates are kept."""
    policies, bindings = (path(f"mutatingadmission{kind}") for kind in ("policies", "policybindings"))
    metadata = {"name": story.namespace}
    patch = """
      [JSONPatch{op: "add", path: "/spec/revisionHistoryLimit", value: 3}] + (has(object.spec.volumeClaimTemplates)
        ? [JSONPatch{op: "add", path: "/spec/volumeClaimTemplates/0/spec/storageClassName", value: "theirs"}] : [])"""
    created = {"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["statefulsets"]}
    spec = {
        "matchConstraints": {
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": story.namespace}},
            "resourceRules": [created],
        },
        "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": patch}}],
        "reinvocationPolicy": "Never",
        "failurePolicy": "Fail",
    }
    story.api.create(policies, {"metadata": metadata, "spec": spec})
    story.api.create(bindings, {"metadata": metadata, "spec": {"policyName": story.namespace}})
    labels = {"app": "mine"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "c"}]}}
    mine = {"metadata": {"name": "mine"}, "spec": {"selector": {"matchLabels": labels}, "template": template, "serviceName": "mine"}}
    made = lambda: story.api.create(path("statefulsets", story.namespace), mine, dryRun="All")  # noqa: E731
    eventually("it is in force", lambda: made()["spec"]["revisionHistoryLimit"] == 3, within=SOON)
    try:
        yield "theirs"
    finally:
        story.api.delete(f"{bindings}/{story.namespace}")
        story.api.delete(f"{policies}/{story.namespace}")


STORED, IN_MEMORY = SIZED["redis"]["managed"], {"storage": None}


@pytest.mark.parametrize(("taken", "before", "after"), [("statefulsets", IN_MEMORY, STORED), ("deployments", STORED, IN_MEMORY)])
def test_redis_runs_on_where_somebody_else_has_the_name_of_what_is_to_take_its_place(live, story, taken, before, after):
    live.up(replicas=1, redis={"managed": before})
    eventually("it has a pod", lambda: len(pods(live)) == 1, within=SOON)
    kind, running = kinds(live), [pod["metadata"]["uid"] for pod in pods(live)]
    labels = {"app": "mine"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "c"}]}}
    service = {"serviceName": "mine"} if taken == "statefulsets" else {}
    story.create(taken, "live-redis", spec={"replicas": 0, "selector": {"matchLabels": labels}, "template": template, **service})
    live.patch(redis={"managed": after})
    live.degraded("NameTaken", "live-redis exists and does not belong to this cluster")
    assert [pod["metadata"]["uid"] for pod in pods(live)] == running
    assert kind < kinds(live)
    story.api.delete(path(taken, story.namespace, "live-redis"))
    eventually("it is carried out when the name is free", lambda: kinds(live) == {taken}, within=SOON)
    live.in_order()


@pytest.mark.parametrize(("kind", "managed"), [("deployments", IN_MEMORY), ("statefulsets", STORED)])
def test_redis_restarts_as_kubectl_does_it_and_comes_back_when_its_workload_is_deleted(live, kind, managed):
    live.up(replicas=1, redis={"managed": managed})
    eventually("it has a pod", lambda: len(pods(live)) == 1, within=SOON)
    (before,), nodes, volume = pods(live), live.uids(), claims(live)
    restart = {"metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": "now"}}}
    live.api.merge(path(kind, live.namespace, "live-redis"), {"spec": {"template": restart}})
    others = lambda: [pod for pod in pods(live) if pod["metadata"]["uid"] != before["metadata"]["uid"]]  # noqa: E731
    eventually("its pod is another", lambda: len(others()) == len(pods(live)) == 1, within=SOON)
    assert claims(live) == volume

    (restarted,) = others()
    live.api.delete(path(kind, live.namespace, "live-redis"), propagationPolicy="Background")
    gone = lambda: restarted["metadata"]["uid"] not in [pod["metadata"]["uid"] for pod in pods(live)]  # noqa: E731
    eventually("it is made again", lambda: kinds(live) == {kind} and gone() and len(pods(live)) == 1, within=SOON)
    live.whole(1)
    assert live.uids() == nodes


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
    live = kept_by_the_release_before(story)
    before = uids(live)
    upgrade_and_change_something_else(story, live)
    assert kinds(live) == {"statefulsets"}
    assert uids(live) == before

    live.patch(redis={"managed": {"image": "other"}})
    eventually("a change of its own makes it anew", lambda: kinds(live) == {"deployments"} and images(live) == ["other"], within=SOON)
    live.in_order()


def test_an_upgrade_leaves_redis_with_a_volume_until_its_manifest_changes_and_the_volume_stays(story):
    live = kept_by_the_release_before(story, **SIZED)
    before, volume = uids(live), claims(live)
    upgrade_and_change_something_else(story, live)
    assert uids(live) == before

    crashes(live, "live-redis-0")
    live.patch(redis={"managed": {"image": "other"}})
    policy = lambda: live.child("statefulsets", "-redis")["spec"]["podManagementPolicy"]  # noqa: E731
    eventually("a change of its own is carried out", lambda: policy() == "Parallel" and images(live) == ["other"], within=SOON)
    eventually("its volume goes with it from now on", lambda: owners(live) == ["StatefulSet"], within=SOON)
    assert claims(live) == volume
    live.in_order()


def uids(cluster: Cluster) -> list[str]:
    """Of Redis' StatefulSet and its pods."""
    return [it["metadata"]["uid"] for it in (cluster.child("statefulsets", "-redis"), *pods(cluster))]


def owners(cluster: Cluster) -> list[str]:
    """With what the volumes go."""
    all_claims = cluster.api.get(path("persistentvolumeclaims", cluster.namespace))
    return [owner["kind"] for claim in all_claims for owner in claim["metadata"].get("ownerReferences", [])]


def upgrade_and_change_something_else(story, live: Cluster) -> None:
    """What the new operator does at its start is over when it has carried out a change."""
    story.operator().ready()
    live.patch(drain={"deadline": "61s"})
    live.whole(1)
    eventually("the change is carried out", lambda: grace(live) == 76, within=SOON)


def grace(cluster: Cluster) -> int:
    return cluster.child("statefulsets")["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]


def kept_by_the_release_before(story, **spec) -> Cluster:
    """A cluster without an operator, whose Redis is as the release before made it: an ordered StatefulSet, with an empty directory where there is no
    storage, and with a volume that stays where there is."""
    first = story.operator().ready()
    cluster = story.cluster().up(replicas=1, **spec)
    assert first.process.end() == 0
    (kind,) = kinds(cluster)
    now = cluster.child(kind, "-redis")
    cluster.api.delete(path(kind, cluster.namespace, "live-redis"), propagationPolicy="Foreground")
    eventually("it is gone", lambda: not kinds(cluster) and not claims(cluster), within=SOON)
    metadata = {key: now["metadata"][key] for key in ("name", "labels", "ownerReferences")}
    labels = {key: value for key, value in now["metadata"]["labels"].items() if key.startswith("app.kubernetes.io/")}
    container = {"name": "redis", "image": "before", "volumeMounts": [{"name": "data", "mountPath": "/data"}]}
    container["securityContext"] = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    security = {"runAsNonRoot": True, "runAsUser": 999, "seccompProfile": {"type": "RuntimeDefault"}}
    storage = spec.get("redis", {}).get("managed", {}).get("storage")
    volumes = [] if storage else [{"name": "data", "emptyDir": {}}]
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container], "volumes": volumes, "securityContext": security}}
    metadata["annotations"] = {
        "sfumato.dev/built-from": json.dumps(json.loads(now["metadata"]["annotations"]["sfumato.dev/built-from"]) | {"drain": {"deadline": "60s"}}),
        "sfumato.dev/template": json.dumps(template),
    }
    selector = {key: value for key, value in labels.items() if "managed-by" not in key}
    made_of = {"replicas": 1, "serviceName": "live-redis", "selector": {"matchLabels": selector}, "template": template}
    if storage:
        asked = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": storage["size"]}}}
        made_of["volumeClaimTemplates"] = [{"metadata": {"name": "data"}, "spec": asked}]
    made = {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": metadata, "spec": made_of}
    cluster.api.patch("apply", path("statefulsets", cluster.namespace, "live-redis"), made, fieldManager="sfu-operator")
    pod = lambda: [pod["metadata"]["name"] for pod in pods(cluster)] == ["live-redis-0"]  # noqa: E731
    eventually("it has a pod", lambda: pod() and len(claims(cluster)) == (1 if storage else 0), within=SOON)
    return cluster


def test_a_pod_of_redis_whose_image_is_not_to_be_had_is_told_and_replaced_after_the_fix(live):
    live.up(replicas=1, redis={"managed": {"storage": {"size": "1Gi"}, "image": "broken"}})
    eventually("it has a pod", lambda: images(live) == ["broken"], within=SOON)
    waiting = {"reason": "ErrImagePull", "message": "manifest unknown"}
    container = {"name": "redis", "image": "", "imageID": "", "ready": False, "restartCount": 0, "state": {"waiting": waiting}}
    tell(live, "live-redis-0", phase="Pending", containerStatuses=[container])
    live.degraded("ImageNotPulled", "live-redis-0 cannot pull its image")
    live.patch(redis={"managed": {"image": "mended"}})
    eventually("the pod is another", lambda: images(live) == ["mended"], within=SOON)
    live.in_order()


@pytest.mark.parametrize("managed", [{}, SIZED["redis"]["managed"]], ids=["memory", "storage"])
def test_redis_follows_a_change_of_its_password_and_nodes_do_it_in_place(story, managed):
    story.operator("--secrets-every=1s").ready()
    live = story.cluster()
    uids = live.up(replicas=1, redis={"managed": managed}).uids()
    eventually("it has a pod", lambda: len(pods(live)) == 1, within=SOON)
    (before,) = pods(live)
    tell(live, before["metadata"]["name"], phase="Running", conditions=[{"type": "Ready", "status": "True"}])
    secret = path("secrets", live.namespace, "live-admin")
    live.api.merge(secret, {"stringData": {"redis-password": ODD}})
    others = lambda: [pod for pod in pods(live) if pod["metadata"]["uid"] != before["metadata"]["uid"]]  # noqa: E731
    eventually("it starts with it", others, within=SOON)
    assert f'requirepass "{ODD}"\n' in held(live, "redis.conf")
    assert unquote(held(live, "redis-password-encoded")) == ODD
    (variable,) = [it for it in environment(live) if it["name"] == "SFUMATO_REDIS_PASSWORD"]
    assert variable["valueFrom"]["secretKeyRef"]["key"] == "redis-password-encoded", "it stands in a URL"
    live.whole(1)
    assert live.uids() == uids


def test_a_password_that_is_no_line_is_told_and_redis_keeps_the_one_that_it_has(story):
    story.operator("--secrets-every=1s").ready()
    live = story.cluster().up(replicas=1)
    configuration, encoded = held(live, "redis.conf"), held(live, "redis-password-encoded")
    secret = path("secrets", live.namespace, "live-admin")
    live.api.merge(secret, {"stringData": {"redis-password": "two\nlines"}})
    live.degraded("SecretUnusable", "the key redis-password of the Secret live-admin", "openssl rand -hex 32")
    assert (held(live, "redis.conf"), held(live, "redis-password-encoded")) == (configuration, encoded)
    live.api.merge(secret, {"stringData": {"redis-password": "one"}})
    live.in_order()
    assert 'requirepass "one"\n' in held(live, "redis.conf")


def held(cluster: Cluster, key: str) -> str:
    """What the admin Secret has."""
    return base64.b64decode(cluster.child("secrets", "-admin")["data"][key]).decode()


def environment(cluster: Cluster) -> list[dict]:
    return cluster.child("statefulsets")["spec"]["template"]["spec"]["containers"][0]["env"]
