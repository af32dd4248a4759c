"""Pods that Kubernetes refuses, does not place or does not start: the message says why and what to do, and they are made when that is done."""

from api_client import path
from kubelet import Fate
from testcluster.waiting import eventually

# The StatefulSet controller tries again with growing pauses.
RETRIED = 45


def test_pods_that_a_quota_refuses_are_told_and_made_when_it_allows_them(live, story):
    story.create("resourcequotas", "few", spec={"hard": {"pods": "1"}})
    counted = lambda: "used" in story.api.get(path("resourcequotas", story.namespace, "few")).get("status", {})  # noqa: E731
    eventually("the quota is in force", counted, within=10)
    story.put_secret("redis", url="redis://127.0.0.1:6379")
    live.create(web={"replicas": 0}, redis={"external": {"urlSecretRef": {"name": "redis", "key": "url"}}})
    live.degraded("PodsRefused", "exceeded quota: few", "change the quota")
    story.api.merge(path("resourcequotas", story.namespace, "few"), {"spec": {"hard": {"pods": "3"}}})
    live.whole(3, within=RETRIED)
    live.in_order()


def test_front_doors_that_a_quota_refuses_are_told_until_they_are_made(live, story):
    live.up(replicas=1)
    quota = path("resourcequotas", story.namespace, "few")
    story.create("resourcequotas", "few", spec={"hard": {"pods": "3"}})
    eventually("it is in force", lambda: story.api.get(quota).get("status", {}).get("used", {}).get("pods") == "3", within=10)
    live.patch(web={"replicas": 2})
    live.degraded("PodsRefused", "exceeded quota: few", "change the quota")
    live.says("FrontDoorReady", "False", "PodsRefused", "exceeded quota: few")
    live.says("Reconciling", "True", "NotYet", "exceeded quota: few")
    story.api.merge(quota, {"spec": {"hard": {"pods": "4"}}})
    live.says("FrontDoorReady", "True", "AllReady", within=RETRIED)
    live.in_order()
    live.settled()


def test_a_redis_that_a_quota_refuses_is_told_until_it_is_made(live, story):
    quota = path("resourcequotas", story.namespace, "few")
    story.create("resourcequotas", "few", spec={"hard": {"pods": "2"}})
    eventually("it is in force", lambda: "used" in story.api.get(quota).get("status", {}), within=10)
    # Its pod is the third: the front door's and the node's are made first, or one of these is the third.
    story.put_secret("redis", url="redis://127.0.0.1:6379")
    live.up(replicas=1, redis={"external": {"urlSecretRef": {"name": "redis", "key": "url"}}})
    live.patch(redis={"external": None, "managed": {}})
    live.degraded("PodsRefused", "live-redis", "exceeded quota: few", "change the quota")
    story.api.merge(quota, {"spec": {"hard": {"pods": "9"}}})
    redis = lambda: any(pod["metadata"]["name"].startswith("live-redis") for pod in story.api.get(path("pods", story.namespace)))  # noqa: E731
    eventually("its pod is made", redis, within=RETRIED)
    live.in_order()


def test_a_pod_that_waits_for_a_volume_names_it(live, story):
    live.up()
    pod = live.pods()["live-1"]
    mount = 'MountVolume.SetUp failed for volume "admin" : secret "live-admin" not found'
    involved = {"apiVersion": "v1", "kind": "Pod", "namespace": story.namespace, "name": "live-1", "uid": pod["metadata"]["uid"]}
    told = {"involvedObject": involved, "reason": "FailedMount", "type": "Warning", "message": mount, "lastTimestamp": "2026-01-01T00:00:00Z"}
    story.create("events", "live-1.mount", **told)
    placed = {"type": "PodScheduled", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}
    unready = {"type": "Ready", "status": "False"}
    story.kubelet.says("live-1", {"state": {"waiting": {"reason": "ContainerCreating"}}}, conditions=[placed, unready])
    live.says("NodesReady", "False", "NotStarted", "live-1 has been about to start for more than 3 minutes", mount)
    live.tells("NotStarted", "live-1 has been about to start", 'secret "live-admin" not found')


def test_pods_that_pod_security_refuses_are_told_and_made_when_they_comply(live):
    live.create(replicas=1, podAnnotations={"container.apparmor.security.beta.kubernetes.io/sfu-node": "unconfined"})
    live.degraded("PodsRefused", 'violates PodSecurity "restricted:latest"', "forbidden AppArmor profile")
    live.patch(podAnnotations=None)
    live.whole(1, within=RETRIED)
    live.in_order()


def test_pods_that_a_limit_refuses_are_told(live, story):
    limit = {"type": "Container", "max": {"memory": "8Mi"}, "min": {"memory": "4Mi"}}
    story.create("limitranges", "small", spec={"limits": [limit]})
    live.create(replicas=1, resources={"limits": {"memory": "64Mi"}})
    live.degraded("PodsRefused", "maximum memory usage per Container is 8Mi", "admission policy")


def test_a_pod_without_a_host_is_told_and_the_others_are_linked(live, story):
    story.kubelet.fates["live-1"] = Fate.NO_HOST
    live.create()
    live.says(
        "NodesReady",
        "False",
        "NoHost",
        "live-1 has no Kubernetes node: 0/3 nodes are available",
        "add Kubernetes nodes that fit, or change nodeSelector",
    )
    live.tells("NoHost", "live-1 has no Kubernetes node")
    eventually("those that have one are linked", lambda: live.status()["mesh"]["summary"] == "1/3", within=10)


def test_a_pod_whose_image_is_not_to_be_had_is_told_and_the_others_are_linked(live, story):
    story.kubelet.fates["live-1"] = Fate.NOT_PULLED
    live.create()
    live.says("NodesReady", "False", "ImageNotPulled", "live-1 cannot pull its image (ErrImagePull): manifest unknown", "check the image's name")
    live.tells("ImageNotPulled", "live-1 cannot pull its image")
    eventually("those that run are linked", lambda: live.status()["mesh"]["summary"] == "1/3", within=10)
    assert live.condition("Ready")["message"].startswith("live-1 cannot pull its image")


def test_a_container_that_is_killed_for_its_memory_is_told_with_the_field_to_change(live, story):
    live.up()
    killed = {"terminated": {"reason": "OOMKilled", "exitCode": 137}}
    story.kubelet.says("live-1", {"state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}}, "lastState": killed})
    live.says("NodesReady", "False", "OutOfMemory", "live-1", "container sfu-node", "OOMKilled, exit code 137", "limits.memory in spec.resources")
    live.tells("OutOfMemory", "live-1")
    story.kubelet.ready("live-1", True)
    live.whole(3)


def test_a_front_door_whose_image_is_not_to_be_had_is_one_event_whatever_the_kubelet_says(live, story):
    story.kubelet.fates["live-web"] = Fate.NOT_PULLED
    live.create(replicas=1)
    live.degraded("ImageNotPulled", "live-web-", "(ErrImagePull): manifest unknown")
    live.says("FrontDoorReady", "False", "ImageNotPulled", "live-web-")
    live.says("Reconciling", "True", "NotYet", "live-web-")
    (door,) = [pod["metadata"]["name"] for pod in story.api.get(path("pods", story.namespace)) if pod["metadata"]["name"].startswith("live-web-")]
    for reason in ("ImagePullBackOff", "ErrImagePull", "ImagePullBackOff"):
        story.kubelet.says(door, {"state": {"waiting": {"reason": reason, "message": "again"}}})
        live.says("Degraded", "True", "ImageNotPulled", f"({reason}): again")
    assert live.times_told("ImageNotPulled") == 1
