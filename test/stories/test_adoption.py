"""What is left of a cluster, or restored from a backup, belongs to the next cluster of its name."""

import pytest

from api_client import path
from cluster import Cluster
from story import Story
from test_life import CHILDREN
from testcluster.waiting import eventually


def prefix(pod: dict) -> str:
    """What a node's keys in Redis begin with."""
    return next(arg for arg in pod["spec"]["containers"][0]["args"] if arg.startswith("--cluster="))


def without_number_of_doors(manifest: dict) -> dict:
    """As whoever lets an autoscaler scale the front door writes it."""
    del manifest["spec"]["web"]
    return manifest


def belongs(live: Cluster, children: list[tuple[str, str]] = CHILDREN) -> None:
    uid = live.object()["metadata"]["uid"]
    for resource, suffix in children:
        owners = live.child(resource, suffix)["metadata"]["ownerReferences"]
        assert [(owner["uid"], owner["controller"]) for owner in owners] == [(uid, True)], (resource, suffix)


def leaves_nothing(live: Cluster) -> None:
    live.delete()
    gone = lambda: not [child for child in CHILDREN if live.has(*child)] and not live.pods()  # noqa: E731
    eventually("every child is gone", gone, within=30)


def test_children_that_were_orphaned_are_adopted_and_what_plays_plays_on(live, story):
    before = live.up().uids()
    kept = prefix(live.pods()["live-0"])
    story.kubelet.patient = True
    story.kubelet.change("live-0", publishers=1)
    live.delete(propagationPolicy="Orphan")
    eventually("it is gone", lambda: not live.exists(), within=15)
    live.create()
    live.whole(3)
    live.in_order()
    belongs(live)
    assert live.uids() == before
    node = story.kubelet.nodes["live-0"]
    assert (node.publishers, node.reasons) == (1, []), "nobody was told to leave"
    assert live.condition("UpgradeAvailable")["status"] == "False"

    live.scale(2)
    live.whole(2)
    story.kubelet.change("live-0", publishers=0)
    live.patch(mesh={"fanOutIdleTimeout": "31s"})
    live.rolled(live.uids())
    assert {prefix(pod) for pod in live.pods().values()} == {kept}, "nodes before and after the roll see each other's claims"
    leaves_nothing(live)


def restored(story: Story, backup: list[tuple[str, dict]]) -> None:
    """As Velero does it: labels and annotations, but no owners, and no addresses that Kubernetes has drawn."""
    for resource, found in backup:
        metadata = {key: found["metadata"].get(key) for key in ("name", "labels", "annotations")}
        spec = dict(found.get("spec", {}))
        if spec.get("clusterIP") != "None":
            spec = {key: value for key, value in spec.items() if key not in ("clusterIP", "clusterIPs")}
        rest = {key: value for key, value in found.items() if key not in ("metadata", "spec", "status")}
        content = rest | {"metadata": metadata} | ({"spec": spec} if spec else {})
        story.api.create(path(resource, story.namespace), content, fieldManager="velero")


def test_children_that_were_restored_from_a_backup_are_adopted(live, story):
    live.up(replicas=2)
    backup = [(resource, live.child(resource, suffix)) for resource, suffix in CHILDREN]
    leaves_nothing(live)
    restored(story, backup)
    eventually("Kubernetes has made the pods", lambda: len(live.pods()) == 2, within=15)
    before = live.uids()
    live.create(replicas=2)
    live.whole(2)
    live.in_order()
    belongs(live)
    assert live.uids() == before
    assert live.child("secrets", "-admin")["data"] == dict(backup)["secrets"]["data"], "what nodes know each other by"
    live.scale(1)
    live.whole(1)
    leaves_nothing(live)


def test_fields_that_a_backup_brought_back_go_when_the_manifest_names_them_no_more(live, story):
    """By server-side apply they would be those of whoever restored them, and stay for ever."""
    placed = {"nodeSelector": {"pool": "media"}, "podLabels": {"team": "a", "stage": "b"}}
    live.api.create(path("sfuclusters", live.namespace), without_number_of_doors(live.manifest(replicas=1, **placed)))
    live.whole(1)
    backup = [(resource, live.child(resource, suffix)) for resource, suffix in CHILDREN if live.has(resource, suffix)]
    leaves_nothing(live)
    for resource, found in backup:
        found["metadata"]["labels"] |= {"restored": "by-velero"}
        if resource == "deployments":
            found["spec"]["template"]["metadata"]["annotations"] = {"kubectl.kubernetes.io/restartedAt": "2026-11-30T00:00:00Z"}
    restored(story, backup)
    door = path("deployments", live.namespace, "live-web")
    live.api.patch("merge", f"{door}/scale", {"spec": {"replicas": 3}}, fieldManager="autoscaler")
    eventually("Kubernetes has made the pod", lambda: len(live.pods()) == 1, within=15)

    # The manifest has changed since the backup.
    del placed["podLabels"]["stage"]
    live.api.create(path("sfuclusters", live.namespace), without_number_of_doors(live.manifest(replicas=1, **placed)))
    template = lambda: live.child("statefulsets")["spec"]["template"]  # noqa: E731
    labels = lambda: {key: value for key, value in template()["metadata"]["labels"].items() if not key.startswith("app.kubernetes.io/")}  # noqa: E731
    eventually("it is as the manifest says", lambda: labels() == {"team": "a"}, within=15)
    live.patch(nodeSelector=None, podLabels={"team": None})
    selector = lambda: template()["spec"]["nodeSelector"]  # noqa: E731
    eventually("nothing is left of it", lambda: (selector(), labels()) == ({"kubernetes.io/os": "linux"}, {}), within=15)
    live.whole(1)
    live.in_order()
    belongs(live, [child for child in CHILDREN if child[0] != "poddisruptionbudgets"])
    now = live.api.get(door)
    assert now["spec"]["replicas"] == 3, "whoever scales it goes on doing so"
    assert now["metadata"]["labels"]["restored"] == "by-velero", "what others add stays"
    assert "kubectl.kubernetes.io/restartedAt" in now["spec"]["template"]["metadata"]["annotations"], "no pod is replaced for it"


def test_children_without_an_owner_that_the_next_cluster_does_not_want_go(live, story):
    budgets, policies = "poddisruptionbudgets", "networkpolicies"
    unwanted = [(budgets, ""), (budgets, "-web"), (policies, ""), (policies, "-redis"), ("deployments", "-redis"), ("services", "-redis")]
    live.up(replicas=2, web={"replicas": 2})
    assert all(live.has(*child) for child in unwanted)
    live.delete(propagationPolicy="Orphan")
    eventually("it is gone", lambda: not live.exists(), within=15)
    # Of others: by its name, by its labels, by its controller.
    labels = live.child("services", "-web")["metadata"]["labels"]
    account = story.api.get(path("serviceaccounts", story.namespace, "sfu-operator"))["metadata"]
    owner = {"apiVersion": "v1", "kind": "ServiceAccount", "name": "sfu-operator", "uid": account["uid"], "controller": True}
    spec = {"spec": {"podSelector": {}}}
    others = {
        "live-more": {"name": "live-more", "labels": labels},
        "live": {"name": "live", "labels": labels, "ownerReferences": [owner]},
        "live-redis": {"name": "live-redis"},
    }
    for name, metadata in others.items():
        where = path(policies, story.namespace)
        if name != "live-more":
            story.api.delete(f"{where}/{name}")
        story.api.create(where, {"metadata": metadata} | spec)

    story.put_secret("mine", url="redis://127.0.0.1:6379")
    external = {"external": {"urlSecretRef": {"name": "mine", "key": "url"}}}
    live.create(replicas=1, redis=external, networkPolicy={"enabled": False})
    live.whole(1)
    left = lambda: [child for child in unwanted if child[0] != policies and live.has(*child)]  # noqa: E731
    eventually("what it does not want is gone", lambda: not left(), within=15)
    live.in_order()
    assert {item["metadata"]["name"] for item in story.api.get(path(policies, story.namespace))} == set(others)


@pytest.mark.parametrize("resource", ["services", "secrets"])
def test_what_kubernetes_is_about_to_delete_with_the_cluster_before_is_made_anew(live, story, resource):
    """As from a backup that keeps owners."""
    name, rest = {"services": ("live-web", {"spec": {"ports": [{"port": 80}]}}), "secrets": ("live-admin", {})}[resource]
    labels = {"app.kubernetes.io/name": "sfumato", "app.kubernetes.io/instance": "live", "app.kubernetes.io/managed-by": "sfu-operator"}
    owner = {"apiVersion": "sfumato.dev/v1alpha1", "kind": "SfuCluster", "name": "live", "uid": "0-1-2-3", "controller": True}
    held = {"name": name, "labels": labels, "ownerReferences": [owner], "finalizers": ["stories/held"]}
    story.api.create(path(resource, story.namespace), {"metadata": held} | rest)
    live.create(replicas=2)
    live.says("Reconciling", "True", "WaitingForDeletion", name)
    live.in_order()
    story.api.merge(path(resource, story.namespace, name), {"metadata": {"finalizers": None}})
    live.whole(2)
    belongs(live)
