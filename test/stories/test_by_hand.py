"""What people do with kubectl: edits, deletions, annotations. Autoscalers do no more."""

import pytest

from api_client import path
from testcluster.waiting import eventually

BACK = 15
# Fields that we apply, one or more of every kind of child: kind, name, and what is done to it.
EDITS = [
    ("serviceaccounts", "live-nodes", {"automountServiceAccountToken": True}),
    ("services", "live-nodes", {"spec": {"publishNotReadyAddresses": False}}),
    ("services", "live-web", {"spec": {"ports": [{"name": "http", "port": 2020, "targetPort": 9}]}}),
    ("services", "live-redis", {"spec": {"selector": {"app.kubernetes.io/component": "other"}}}),
    ("networkpolicies", "live", {"spec": {"ingress": []}}),
    ("networkpolicies", "live-redis", {"spec": {"policyTypes": ["Ingress", "Egress"]}}),
    ("poddisruptionbudgets", "live", {"spec": {"maxUnavailable": 2}}),
    ("deployments", "live-web", {"spec": {"replicas": 2}}),
    ("deployments", "live-web", {"spec": {"template": {"spec": {"automountServiceAccountToken": True}}}}),
    ("deployments", "live-redis", {"spec": {"template": {"spec": {"terminationGracePeriodSeconds": 99}}}}),
    ("statefulsets", "live", {"spec": {"template": {"spec": {"terminationGracePeriodSeconds": 99}}}}),
    ("statefulsets", "live", {"spec": {"updateStrategy": {"type": "RollingUpdate"}}}),
    ("statefulsets", "live", {"metadata": {"labels": {"app.kubernetes.io/component": "other"}}}),
]
CHILDREN = sorted({(resource, name) for resource, name, _ in EDITS})


def said(live: dict) -> dict:
    """What an object says, without what changes by itself."""
    metadata = {key: live["metadata"].get(key) for key in ("labels", "ownerReferences")}
    rest = {key: value for key, value in live.items() if key not in ("metadata", "status")}
    for drawn in ("clusterIP", "clusterIPs"):
        rest.get("spec", {}).pop(drawn, None)
    return {"metadata": metadata, **rest}


def test_every_field_that_is_edited_by_hand_comes_back(live):
    uids = live.up().uids()
    for resource, name, edit in EDITS:
        where = path(resource, live.namespace, name)
        before = said(live.api.get(where))
        live.api.merge(where, edit)
        eventually(f"{name} is as before {edit}", lambda w=where, b=before: said(live.api.get(w)) == b, within=BACK, every=0.05)
    assert live.uids() == uids, "no pod was replaced for it"


def test_a_stateful_set_that_is_scaled_by_hand_gets_its_number_back(live):
    live.up()
    live.api.merge(path("statefulsets", live.namespace, "live"), {"spec": {"replicas": 1}})
    eventually("three replicas again", lambda: live.child("statefulsets")["spec"]["replicas"] == 3, within=BACK, every=0.05)
    live.whole(3)


def autoscaler(live, resource: str, name: str, replicas: int) -> None:
    """A HorizontalPodAutoscaler that is pointed at a child."""
    scale = f"{path(resource, live.namespace, name)}/scale"
    live.api.patch("merge", scale, {"spec": {"replicas": replicas}}, fieldManager="kube-controller-manager")


@pytest.mark.parametrize(
    ("resource", "name", "advice"),
    [
        ("statefulsets", "live", "point the HorizontalPodAutoscaler at SfuCluster live"),
        ("deployments", "live-web", "leave spec.web.replicas out of the manifest"),
        ("deployments", "live-redis", "managed Redis is one pod"),
    ],
)
def test_an_autoscaler_that_the_operator_fights_with_is_told_once_with_what_to_do(live, resource, name, advice):
    live.up(replicas=2, drain={"deadline": "1s"})
    number = lambda: live.api.get(path(resource, live.namespace, name))["spec"]["replicas"]  # noqa: E731
    before = number()
    for _ in range(2):
        autoscaler(live, resource, name, before + 1)
        eventually("the number is the manifest's again", lambda: number() == before, within=30, every=0.05)
    live.degraded("ScaledElsewhere", "kube-controller-manager scales", name, advice)
    assert live.times_told("ScaledElsewhere") == 1
    live.whole(2)


def test_every_child_that_is_deleted_comes_back_and_its_pods_run_on(live):
    uids = live.up().uids()
    for resource, name in CHILDREN:
        where = path(resource, live.namespace, name)
        before = live.api.get(where)
        live.api.delete(where, propagationPolicy="Orphan")

        def is_back(before=before, where=where):
            now = live.api.get(where)
            return now["metadata"]["uid"] != before["metadata"]["uid"] and said(now) == said(before)

        eventually(f"{name} is back", is_back, within=BACK, every=0.05)
    live.whole(3)
    assert live.uids() == uids


def test_what_others_add_to_a_child_stays(live):
    live.up()
    where = path("services", live.namespace, "live-web")
    live.api.merge(where, {"metadata": {"labels": {"mine": "kept"}, "annotations": {"mine": "kept"}}})
    live.api.merge(where, {"spec": {"selector": {"app.kubernetes.io/component": "other"}}})
    selects = lambda: live.api.get(where)["spec"]["selector"]["app.kubernetes.io/component"] == "web"  # noqa: E731
    eventually("what is ours is back", selects, within=BACK)
    metadata = live.api.get(where)["metadata"]
    assert (metadata["labels"]["mine"], metadata["annotations"]["mine"]) == ("kept", "kept")


def test_a_node_is_drained_by_an_annotation_and_taken_back_by_it(live, story):
    before = live.up().uids()
    story.kubelet.change("live-1", publishers=1)
    pod = path("pods", live.namespace, "live-1")
    live.api.merge(pod, {"metadata": {"annotations": {"sfumato.dev/drain": "true"}}})
    eventually("live-1 drains", lambda: live.draining() == {"live-1"}, within=10)
    assert story.kubelet.nodes["live-1"].reasons == ["manual"]
    assert live.status()["mesh"]["summary"] == "3/3", "its links stay"
    live.api.merge(pod, {"metadata": {"annotations": {"sfumato.dev/drain": "false"}}})
    eventually("live-1 is taken back", lambda: not live.draining(), within=10)
    live.whole(3)
    assert live.uids() == before


def test_an_annotation_holds_across_a_restart_of_the_container_which_forgets(live, story):
    live.up()
    live.api.merge(path("pods", live.namespace, "live-1"), {"metadata": {"annotations": {"sfumato.dev/drain": "true"}}})
    eventually("live-1 drains", lambda: live.draining() == {"live-1"}, within=10)
    story.kubelet.change("live-1", incarnation=f"{live.uids()['live-1']}.2", links={}, peers={}, reasons=[])
    eventually("live-1 drains again", lambda: story.kubelet.nodes["live-1"].reasons == ["manual"], within=10)


def test_front_doors_are_as_many_as_whoever_scales_them_says_unless_the_manifest_names_a_number(live):
    manifest = live.manifest()
    del manifest["spec"]["web"]
    live.api.create(path("sfuclusters", live.namespace), manifest)
    live.whole(3)
    doors = lambda: live.child("deployments", "-web")["spec"]["replicas"]  # noqa: E731
    budget = lambda: live.has("poddisruptionbudgets", "-web")  # noqa: E731
    assert (doors(), budget()) == (2, True)
    live.api.patch("merge", path("deployments", live.namespace, "live-web", "scale"), {"spec": {"replicas": 3}}, fieldManager="autoscaler")
    # What the operator does about it is over when it has carried out another change of the same object.
    limits = lambda: live.child("deployments", "-web")["spec"]["template"]["spec"]["containers"][0]["resources"].get("limits")  # noqa: E731
    for memory in ("64Mi", "65Mi"):
        live.patch(web={"resources": {"limits": {"memory": memory}}})
        eventually("the change is carried out", lambda it=memory: limits() == {"memory": it}, within=BACK, every=0.05)
        assert doors() == 3
    live.patch(web={"replicas": 1})
    eventually("it is as the manifest says", lambda: (doors(), budget()) == (1, False), within=BACK)
    live.patch(web={"replicas": None})
    live.whole(3)
    assert live.times_told("ScaledElsewhere") == 0, "the number was its own to set"
    assert doors() == 1, "as many as there were"


def test_an_autoscaler_finds_the_nodes_and_writes_their_number(live):
    live.up(replicas=2)
    scale = live.api.get(path("sfuclusters", live.namespace, "live", "scale"))
    assert (scale["spec"]["replicas"], scale["status"]["replicas"]) == (2, 2)
    counted = live.api.get(path("pods", live.namespace), labelSelector=scale["status"]["selector"])
    assert {pod["metadata"]["name"] for pod in counted} == {"live-0", "live-1"}, "its selector finds the nodes and nothing else"
    live.scale(3)
    live.whole(3)
    assert live.api.get(path("sfuclusters", live.namespace, "live", "scale"))["status"]["replicas"] == 3


def test_a_restart_by_kubectl_is_a_roll(live):
    """`kubectl rollout restart sts/live` writes an annotation into the template."""
    before = live.up(replicas=2).uids()
    now = {"kubectl.kubernetes.io/restartedAt": "2026-11-30T00:00:00Z"}
    live.api.merge(path("statefulsets", live.namespace, "live"), {"spec": {"template": {"metadata": {"annotations": now}}}})
    live.rolled(before)
    assert all(now.items() <= pod["metadata"]["annotations"].items() for pod in live.pods().values())


def test_a_restart_of_the_front_door_by_kubectl_is_not_reverted(live):
    live.up(replicas=1)
    door = path("deployments", live.namespace, "live-web")
    of_door = {"labelSelector": "app.kubernetes.io/component=web"}
    pods = lambda: {pod["metadata"]["uid"] for pod in live.api.get(path("pods", live.namespace), **of_door)}  # noqa: E731
    eventually("it has a pod", lambda: len(pods()) == 1, within=BACK)
    before = pods()
    now = {"kubectl.kubernetes.io/restartedAt": "2026-11-30T00:00:00Z"}
    live.api.merge(door, {"spec": {"template": {"metadata": {"annotations": now}}}})
    eventually("it has another pod", lambda: pods() - before, within=BACK)
    # The operator applies the Deployment once more.
    live.patch(web={"resources": {"limits": {"memory": "64Mi"}}})
    template = lambda: live.api.get(door)["spec"]["template"]  # noqa: E731
    limits = lambda: template()["spec"]["containers"][0]["resources"].get("limits")  # noqa: E731
    eventually("the change is carried out", lambda: limits() == {"memory": "64Mi"}, within=BACK)
    assert now.items() <= template()["metadata"]["annotations"].items()
