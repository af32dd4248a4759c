"""Redis whose host is lost: whatever keeps it from coming back is given up or told, and nothing of others is."""

from datetime import UTC, datetime, timedelta

from api_client import path
from cluster import Cluster
from test_redis import SIZED, SOON, claims, kinds, pods, tell
from testcluster.waiting import eventually


def test_a_pod_of_redis_on_a_lost_host_is_removed_once_no_node_reaches_it(story):
    story.operator("--lost-after=1s").ready()
    live = story.cluster().up(replicas=1, **SIZED)
    eventually("it has a pod", lambda: len(pods(live)) == 1, within=SOON)
    (pod,) = pods(live)
    lose_host(live)
    live.degraded("HostLost", "live-redis-0 was told to end", "media nodes still reach it", "--force")
    story.kubelet.change("live-0", claims={"redis": False, "redisProblem": "connection refused"})
    live.says("RedisReady", "False", "NotReached", "connection refused")
    eventually("it is another pod", lambda: [it["metadata"]["uid"] for it in pods(live)] not in ([], [pod["metadata"]["uid"]]), within=SOON)
    live.tells("HostLost", "live-redis-0 was removed")


def test_a_pod_of_the_redis_of_a_cluster_before_on_a_lost_host_is_removed(story):
    story.operator("--lost-after=1s").ready()
    live = story.cluster().up(replicas=1, **SIZED)
    eventually("it has a pod", lambda: len(pods(live)) == 1, within=SOON)
    (pod,) = pods(live)
    lose_host(live)
    live.delete()
    live.create(replicas=1, **SIZED)
    eventually("it has a node", lambda: "live-0" in story.kubelet.nodes and live.pods(), within=SOON)
    live.says("RedisReady", "True", "Reached")
    story.kubelet.change("live-0", claims={"redis": False, "redisProblem": "connection refused"})
    live.tells("HostLost", "live-redis-0 was removed")
    eventually("it is another pod", lambda: [it["metadata"]["uid"] for it in pods(live)] not in ([], [pod["metadata"]["uid"]]), within=SOON)


def test_a_redis_without_storage_on_a_lost_host_is_replaced_and_its_pod_removed_when_the_successor_runs(story):
    story.operator("--lost-after=1s").ready()
    live = story.cluster().up(replicas=1)
    eventually("it has a pod", lambda: len(pods(live)) == 1, within=SOON)
    old = pods(live)[0]["metadata"]["name"]
    # As Kubernetes does it when the host has been away for a while; that nodes still reach the pod keeps it, until there is another.
    lose_host(live, old)
    others = lambda: [pod["metadata"]["name"] for pod in pods(live) if pod["metadata"]["name"] != old]  # noqa: E731
    eventually("Kubernetes has made another", lambda: len(others()) == 1, within=SOON)
    tell(live, others()[0], phase="Running", conditions=[{"type": "Ready", "status": "True"}])
    live.tells("HostLost", f"{old} was removed")
    eventually("the old one is gone", lambda: len(pods(live)) == 1, within=SOON)
    live.in_order()


def test_a_redis_whose_volume_is_on_a_lost_host_is_told_with_what_to_do(live):
    live.up(replicas=1, **SIZED)
    eventually("it has a pod", lambda: len(pods(live)) == 1, within=SOON)
    words = "0/3 nodes are available: 3 node(s) didn't match PersistentVolume's node affinity"
    nowhere = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": words}
    tell(live, "live-redis-0", phase="Pending", conditions=[nowhere])
    live.degraded("NoHost", words, "PersistentVolumeClaim data-live-redis-0", "`kubectl delete statefulset live-redis`")
    volume = claims(live)
    live.api.delete(path("statefulsets", live.namespace, "live-redis"), propagationPolicy="Background")
    eventually("it has another volume", lambda: claims(live) and not set(claims(live)) & set(volume), within=SOON)
    live.in_order()


def test_a_redis_whose_volume_is_on_a_lost_host_is_made_anew_after_five_minutes_when_no_node_reaches_it(live, story):
    live.up(replicas=1, **SIZED)
    eventually("it has a pod", lambda: len(pods(live)) == 1, within=SOON)
    volume = claims(live)
    words = "0/3 nodes are available: 3 node(s) didn't match PersistentVolume's node affinity"
    since = (datetime.now(UTC) - timedelta(minutes=6)).strftime("%Y-%m-%dT%H:%M:%SZ")
    nowhere = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": words, "lastTransitionTime": since}
    tell(live, "live-redis-0", phase="Pending", conditions=[nowhere])
    live.degraded("NoHost", words)
    assert claims(live) == volume, "a node reaches it"
    story.kubelet.change("live-0", claims={"redis": False, "redisProblem": "connection refused"})
    eventually("it has another volume", lambda: claims(live) and not set(claims(live)) & set(volume), within=SOON)
    live.tells("HostLost", "StatefulSet live-redis is made anew with another volume")


def test_a_lost_pod_of_somebody_elses_stateful_set_is_never_removed_whatever_its_labels(story):
    story.operator("--lost-after=1s").ready()
    labels = {
        "app.kubernetes.io/name": "sfumato",
        "app.kubernetes.io/instance": "live",
        "app.kubernetes.io/component": "redis",
        "app.kubernetes.io/managed-by": "sfu-operator",
    }
    security = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    container = {"name": "c", "image": "c", "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container], "securityContext": security}}
    selector = {"app.kubernetes.io/component": "redis"}
    story.create("statefulsets", "live-redis", spec={"serviceName": "x", "selector": {"matchLabels": selector}, "template": template})
    live = story.cluster()
    eventually("it has a pod", lambda: len(pods(live)) == 1, within=SOON)
    lose_host(live)
    live.create(replicas=1, **SIZED)
    live.degraded("NameTaken", "StatefulSet live-redis")
    eventually("the node runs", lambda: "live-0" in story.kubelet.nodes, within=SOON)
    story.kubelet.change("live-0", claims={"redis": False, "redisProblem": "connection refused"})
    told = lambda: "what controls it does not belong to this cluster" in story.operators[0].log()  # noqa: E731
    eventually("the operator leaves it alone", told, within=SOON)
    assert len(pods(live)) == 1
    assert not live.events("HostLost")


def test_a_pod_of_redis_on_a_lost_host_is_told_and_removed_when_nodes_use_another_redis(story):
    story.operator("--lost-after=3s").ready()
    story.put_secret("mine", url="redis://127.0.0.1:6379")
    live = story.cluster().up(replicas=1, **SIZED)
    eventually("it has a pod", lambda: len(pods(live)) == 1, within=SOON)
    lose_host(live)
    live.patch(redis={"managed": None, "external": {"urlSecretRef": {"name": "mine", "key": "url"}}})
    live.says("Reconciling", "True", "RedisReplaced", "waiting for the end of live-redis-0")
    eventually("nothing is left of it", lambda: not pods(live) and not kinds(live), within=SOON)
    live.tells("HostLost", "live-redis-0 was removed")
    live.whole(1)
    live.settled()


def lose_host(cluster: Cluster, pod: str = "live-redis-0") -> None:
    """Its pod is being deleted, and nobody says that it has ended."""
    target = {"apiVersion": "v1", "kind": "Node", "name": "host-9"}
    where = path("pods", cluster.namespace, pod)
    cluster.api.create(f"{where}/binding", {"metadata": {"name": pod}, "target": target})
    cluster.delete_pod(pod, gracePeriodSeconds=1)
