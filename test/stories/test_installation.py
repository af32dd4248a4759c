"""What one installation of the operator is told of all its clusters: which it looks after, and what they have where they say nothing."""

import json

from api_client import path
from testcluster.waiting import eventually

NEXT = {"release": "next"}
DEFAULTS = {
    "imagePullSecrets": [{"name": "registry"}],
    "resources": {"limits": {"memory": "1Gi"}},
    "tolerations": [{"key": "media", "operator": "Exists"}],
    "web": {"pods": {"nodeSelector": {"pool": "doors"}}},
}


def labelled(cluster, story, **labels: str | None) -> None:
    story.api.merge(path("sfuclusters", story.namespace, cluster.name), {"metadata": {"labels": labels}})


def test_a_cluster_whose_labels_do_not_match_is_left_alone_until_they_do(story):
    operator = story.operator("--selector=release=next").ready()
    live = story.cluster()
    live.create()
    eventually("the log says so", lambda: "do not match --selector" in operator.log(), within=20)
    assert live.status()["observedGeneration"] == -1, "nobody has touched it"
    labelled(live, story, **NEXT)
    live.whole(3)
    before = live.uids()
    # Out again: what runs goes on, and is not looked after.
    labelled(live, story, release=None)
    eventually("the log says so again", lambda: operator.log().count("do not match --selector") == 2, within=20)
    live.patch(replicas=2)
    other = story.cluster("other")
    other.create()
    eventually("another one is left alone as well", lambda: operator.log().count("do not match --selector") == 3, within=20)
    assert live.uids() == before
    assert not other.has("statefulsets")


def test_clusters_have_the_defaults_of_their_installation_and_their_own_fields_win(story):
    story.operator(f"--cluster-defaults={json.dumps(DEFAULTS)}").ready()
    story.cluster().up(replicas=1, imagePullSecrets=[{"name": "own"}], resources={"limits": {"cpu": "2"}})
    pod = story.cluster().child("statefulsets")["spec"]["template"]["spec"]
    assert pod["imagePullSecrets"] == [{"name": "own"}]
    assert pod["containers"][0]["resources"]["limits"] == {"cpu": "2", "memory": "1Gi"}
    assert {"key": "media", "operator": "Exists"} in pod["tolerations"]
    door = story.cluster().child("deployments", "-web")["spec"]["template"]["spec"]
    assert door["imagePullSecrets"] == [{"name": "own"}]
    assert door["nodeSelector"]["pool"] == "doors"


def test_users_of_pods_are_left_to_the_platform_for_all_clusters_that_do_not_say_otherwise(story):
    story.operator('--cluster-defaults={"userIds": "Platform"}').ready()

    def users(name: str, **spec) -> list[int | None]:
        cluster = story.cluster(name)
        cluster.up(replicas=1, **spec)
        children = (cluster.child("statefulsets"), cluster.child("deployments", "-web"), cluster.child("deployments", "-redis"))
        return [child["spec"]["template"]["spec"]["securityContext"].get("runAsUser") for child in children]

    assert users("live") == [None, None, None]
    assert users("other", userIds="Fixed") == [65532, 65532, 999]
