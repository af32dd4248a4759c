"""What is left of a Redis, and the volume of somebody else under the name of its own: nothing of others is touched, and two never run at once."""

import pytest

from api_client import path
from cluster import Cluster
from story import Story
from test_redis import SIZED, SOON, claims, crashes, kept_by_the_release_before, kinds, owners, pods
from testcluster.waiting import eventually

VOLUME = "data-live-redis-0"
OURS = {"app.kubernetes.io/name": "sfumato", "app.kubernetes.io/instance": "live", "app.kubernetes.io/component": "redis"}
IN_MEMORY = {"redis": {"managed": {"storage": None}}}


def make_volume(story: Story, size: str, labels: dict[str, str]) -> str:
    """A volume that is there before Redis is. Answers its UID."""
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}}
    made = {"metadata": {"name": VOLUME, "labels": labels}, "spec": spec}
    return story.api.create(path("persistentvolumeclaims", story.namespace), made)["metadata"]["uid"]


def test_a_volume_of_somebody_else_is_not_used_and_what_to_do_is_told(live, story):
    volume = make_volume(story, "1Gi", {"app.kubernetes.io/name": "mine"})
    live.create(replicas=1, **SIZED)
    live.degraded("NameTaken", f"PersistentVolumeClaim {VOLUME} exists and does not belong to this cluster", "rename or remove it")
    live.says("NodesReady", "True", "AllReady")
    assert not kinds(live)
    assert volume in claims(live)
    story.api.delete(path("persistentvolumeclaims", story.namespace, VOLUME))
    eventually("Redis has a volume of its own", lambda: kinds(live) == {"statefulsets"} and claims(live) and volume not in claims(live), within=SOON)
    live.in_order()
    live.delete()
    eventually("nothing is left", lambda: not kinds(live) and not claims(live), within=SOON)


def test_redis_runs_on_where_somebody_else_has_the_name_of_its_volume(live, story):
    live.up(replicas=1)
    eventually("it has a pod", lambda: len(pods(live)) == 1, within=SOON)
    running, volume = [pod["metadata"]["uid"] for pod in pods(live)], make_volume(story, "1Gi", {})
    live.patch(**SIZED)
    live.degraded("NameTaken", f"PersistentVolumeClaim {VOLUME}")
    assert [pod["metadata"]["uid"] for pod in pods(live)] == running
    live.patch(**IN_MEMORY)
    live.in_order()
    live.delete()
    eventually("nothing is left", lambda: not kinds(live), within=SOON)
    assert volume in claims(live)


@pytest.mark.parametrize(("size", "is_kept"), [("1024Mi", True), ("2Gi", False)])
def test_a_volume_of_a_redis_before_is_used_if_it_is_as_wanted_and_replaced_otherwise(live, story, size, is_kept):
    volume = make_volume(story, size, OURS)
    live.up(replicas=1, **SIZED)
    eventually("Redis has its volume", lambda: list(claims(live).values()) == ["1Gi"], within=SOON)
    assert (volume in claims(live)) == is_kept
    live.in_order()
    live.delete()
    eventually("nothing is left", lambda: not kinds(live) and not claims(live), within=SOON)


def another_redis(story: Story) -> dict:
    story.put_secret("mine", url="redis://127.0.0.1:6379")
    return {"redis": {"managed": None, "external": {"urlSecretRef": {"name": "mine", "key": "url"}}}}


def test_a_volume_of_the_release_before_goes_when_another_redis_is_named_first_of_all(story):
    live = kept_by_the_release_before(story, **SIZED)
    crashes(live, "live-redis-0")
    assert not owners(live), "it would stay"
    live.patch(**another_redis(story))
    story.operator().ready()
    eventually("nothing is left of it", lambda: not kinds(live) and not claims(live) and not live.has("services", "-redis"), within=SOON)
    live.whole(1)
    live.settled()


def test_a_volume_of_somebody_else_that_the_release_before_has_used_stays(story):
    live = kept_by_the_release_before(story, **SIZED)
    where = path("persistentvolumeclaims", story.namespace, VOLUME)
    story.api.merge(where, {"metadata": {"labels": dict.fromkeys(OURS)}})
    volume = claims(live)
    story.operator().ready()
    live.degraded("NameTaken", f"PersistentVolumeClaim {VOLUME}")
    live.patch(**another_redis(story))
    eventually("nothing else is left of it", lambda: not kinds(live) and not pods(live), within=SOON)
    live.whole(1)
    live.in_order()
    assert (claims(live), owners(live)) == (volume, [])


class Record:
    """Which kinds of Redis have had pods at once."""

    def __init__(self, story: Story):
        self._now: dict[str, str] = {}
        self.at_once: list[set[str]] = []
        story.api.follow(path("pods", story.namespace), self._see, labelSelector="app.kubernetes.io/component=redis")

    def _see(self, news) -> None:
        pod = news.object["metadata"]
        if news.kind == "DELETED":
            self._now.pop(pod["uid"], None)
        else:
            # One that nothing controls any more is still of what made it.
            kind = next((owner["kind"] for owner in pod.get("ownerReferences", [])), None)
            self._now.setdefault(pod["uid"], kind or "StatefulSet")
        self.at_once.append(set(self._now.values()))

    def check(self) -> None:
        assert {"StatefulSet", "ReplicaSet"} not in self.at_once, self.at_once
        assert {kind for kinds in self.at_once for kind in kinds} == {"StatefulSet", "ReplicaSet"}, "each has run"


def holds_on(cluster: Cluster) -> str:
    """A pod of Redis that takes its time to end."""
    eventually("it has a pod", lambda: len(pods(cluster)) == 1, within=SOON)
    (pod,) = pods(cluster)
    name = pod["metadata"]["name"]
    binding = {"metadata": {"name": name}, "target": {"apiVersion": "v1", "kind": "Node", "name": "host-9"}}
    cluster.api.create(f"{path('pods', cluster.namespace, name)}/binding", binding)
    return name


BOTH = pytest.mark.parametrize(("before", "after", "kind"), [(IN_MEMORY, SIZED, "statefulsets"), (SIZED, IN_MEMORY, "deployments")])


@BOTH
def test_redis_of_the_cluster_before_is_gone_before_the_other_kind_starts(live, story, before, after, kind):
    seen = Record(story)
    live.up(replicas=1, **before)
    pod = holds_on(live)
    live.delete()
    live.create(replicas=1, **after)
    live.says("Reconciling", "True", "WaitingForDeletion", f"Pod {pod}")
    assert not kinds(live) & {kind}
    live.delete_pod(pod, gracePeriodSeconds=0)
    eventually("the other kind has a pod", lambda: kinds(live) == {kind} and len(pods(live)) == 1, within=SOON)
    live.whole(1)
    live.settled()
    seen.check()


@BOTH
def test_redis_that_was_orphaned_is_gone_before_the_other_kind_starts(story, before, after, kind):
    seen = Record(story)
    first = story.operator().ready()
    live = story.cluster().up(replicas=1, **before)
    eventually("it has a pod", lambda: len(pods(live)) == 1, within=SOON)
    assert first.process.end() == 0
    (old,) = kinds(live)
    live.api.delete(path(old, live.namespace, "live-redis"), propagationPolicy="Orphan")
    eventually("its workload is gone", lambda: not kinds(live), within=SOON)
    live.patch(**after)
    story.operator().ready()
    eventually("the other kind has a pod", lambda: kinds(live) == {kind} and len(pods(live)) == 1, within=SOON)
    live.whole(1)
    live.settled()
    seen.check()
    assert len(claims(live)) == (1 if kind == "statefulsets" else 0)
