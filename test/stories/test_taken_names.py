"""What somebody else has made under a name that a cluster needs is not touched, and the rest of the cluster is made."""

import os
import subprocess
from http import HTTPStatus
from pathlib import Path

import pytest

from api_client import path
from testcluster import control_plane_programs as programs
from testcluster.waiting import eventually

CHART = Path(__file__).parents[2] / "charts" / "sfumato-cluster"

OURS = {"app.kubernetes.io/name": "sfumato", "app.kubernetes.io/instance": "live", "app.kubernetes.io/managed-by": "sfu-operator"}
LABELS = {"matchLabels": {"app": "other"}}
POD = {"metadata": {"labels": {"app": "other"}}, "spec": {"containers": [{"name": "other", "image": "other"}]}}
PORTS = {"spec": {"ports": [{"port": 80}], "selector": {"app": "other"}}}
# What belongs to somebody else: where it is, its kind, and what it is apart from its name.
TAKEN = {
    "live-web": ("services", "Service", PORTS),
    "live-nodes": ("services", "Service", PORTS | {"spec": PORTS["spec"] | {"clusterIP": "None"}}),
    "live-nodes account": ("serviceaccounts", "ServiceAccount", {}),
    "live": ("statefulsets", "StatefulSet", {"spec": {"replicas": 0, "serviceName": "other", "selector": LABELS, "template": POD}}),
    "live-redis": ("deployments", "Deployment", {"spec": {"replicas": 0, "selector": LABELS, "template": POD}}),
    "live-web deployment": ("deployments", "Deployment", {"spec": {"replicas": 0, "selector": LABELS, "template": POD}}),
    "live budget": ("poddisruptionbudgets", "PodDisruptionBudget", {"spec": {"maxUnavailable": 2, "selector": LABELS}}),
    "live policy": ("networkpolicies", "NetworkPolicy", {"spec": {"podSelector": LABELS}}),
}


@pytest.mark.parametrize("key", TAKEN)
def test_an_object_of_somebody_else_is_not_taken_over(live, story, key):
    name, (resource, kind, rest) = key.partition(" ")[0], TAKEN[key]
    made = story.create(resource, name, **rest)
    live.create(replicas=2)
    live.degraded("NameTaken", f"{kind} {name} exists and does not belong to this cluster", "rename or remove it")
    now = story.api.get(path(resource, story.namespace, name))
    assert now["spec" if rest else "metadata"] == made["spec" if rest else "metadata"]
    assert "ownerReferences" not in now["metadata"]
    assert "labels" not in now["metadata"]
    others = [(r, suffix) for r, suffix in (("services", "-redis"), ("secrets", "-admin"), ("networkpolicies", "-redis")) if live.has(r, suffix)]
    assert len(others) == 3, "the other children are made all the same"

    story.api.delete(path(resource, story.namespace, name))
    live.whole(2)
    live.in_order()


def test_helm_stops_waiting_for_a_cluster_that_gets_nowhere_and_returns_when_it_is_whole(live, story, tmp_path):
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(story.plane.kubeconfig(programs.tokens(story.plane.keys)["admin"]))
    kubeconfig.chmod(0o600)

    def helm(verb: str) -> subprocess.CompletedProcess[str]:
        command = [os.environ["SFUMATO_HELM"], "--kubeconfig", kubeconfig, "--namespace", story.namespace]
        return subprocess.run([*command, verb, "live", CHART, "--wait", "--timeout=5m"], capture_output=True, text=True, timeout=60, check=False)

    story.create("services", "live-web", **PORTS)
    # Within the minute that it has here, and not after its own five.
    stopped = helm("install")
    assert stopped.returncode != 0, stopped.stdout
    assert "SfuCluster" in stopped.stderr, stopped.stderr
    live.says("Stalled", "True", "NameTaken", "live-web")

    story.api.delete(path("services", story.namespace, "live-web"))
    live.whole(3)
    done = helm("upgrade")
    assert done.returncode == 0, done.stderr
    assert live.condition("Ready")["status"] == "True"


def test_a_secret_of_somebody_else_is_not_touched_and_outlives_the_cluster(live, story):
    made = story.create("secrets", "live-admin", stringData={"token": "mine"})
    live.create()
    live.degraded("NameTaken", "Secret live-admin exists and does not belong to this cluster", "rename or remove it")
    assert not live.has("statefulsets"), "no node runs by the Secret of somebody else"
    live.delete()
    eventually("the cluster is gone", lambda: not live.exists(), within=15)
    live.create(replicas=1)
    live.degraded("NameTaken", "Secret live-admin")
    assert live.child("secrets", "-admin") == made

    live.api.delete(path("secrets", story.namespace, "live-admin"))
    live.whole(1)
    live.in_order()


@pytest.mark.parametrize("key", ["live-web", "live", "live-web deployment", "live-admin"])
def test_labels_do_not_make_an_object_ours_that_has_another_controller(live, story, key):
    name = key.partition(" ")[0]
    resource, kind, rest = (TAKEN | {"live-admin": ("secrets", "Secret", {"stringData": {"token": "mine"}})})[key]
    uid = story.api.get(path("serviceaccounts", story.namespace, "sfu-operator"))["metadata"]["uid"]
    owner = {"apiVersion": "v1", "kind": "ServiceAccount", "name": "sfu-operator", "uid": uid, "controller": True}
    metadata = {"name": name, "labels": OURS, "ownerReferences": [owner]}
    story.api.create(path(resource, story.namespace), {"metadata": metadata} | rest)
    live.create(replicas=1)
    live.degraded("NameTaken", f"{kind} {name} exists and does not belong to this cluster")
    now = story.api.get(path(resource, story.namespace, name))
    assert now["metadata"]["labels"] == OURS
    assert now["metadata"]["ownerReferences"] == [owner]


@pytest.mark.parametrize("resource", ["serviceaccounts", "secrets"])
def test_what_somebody_makes_between_a_look_and_a_write_is_not_touched(story, resource):
    name, rest = {"serviceaccounts": ("live-nodes", {}), "secrets": ("live-admin", {"stringData": {"token": "mine"}})}[resource]
    made = story.create(resource, name, **rest)
    way = story.way()
    look = way.answer("GET", f"/{resource}/{name}", HTTPStatus.NOT_FOUND)
    story.operator(way=way).ready()
    live = story.cluster().create()
    live.degraded("NameTaken", f"{name} exists and does not belong to this cluster")
    assert look.spent
    assert story.api.get(path(resource, story.namespace, name)) == made


def test_a_pod_that_is_only_so_labelled_is_no_node_and_nobody_calls_it(live, story):
    live.up(replicas=2)
    security = {"runAsNonRoot": True, "runAsUser": 1, "seccompProfile": {"type": "RuntimeDefault"}}
    container = {"name": "c", "image": "c", "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}}
    labels = OURS | {"app.kubernetes.io/component": "node"}
    spec = {"securityContext": security, "containers": [container]}
    pods = path("pods", story.namespace)
    story.api.create(pods, {"metadata": {"name": "stranger-0", "labels": labels}, "spec": spec})
    for component in ("web", "redis"):
        other = {"name": f"stranger-{component}", "labels": labels | {"app.kubernetes.io/component": component}}
        story.api.create(pods, {"metadata": other, "spec": spec})
        nowhere = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes are available"}
        story.api.merge(f"{pods}/{other['name']}/status", {"status": {"phase": "Pending", "conditions": [nowhere]}})
    eventually("it runs", lambda: "stranger-0" in story.kubelet.nodes, within=15)
    live.scale(3)
    eventually(
        "the third node is linked", lambda: len(story.kubelet.nodes["live-2"].links) == 2 if "live-2" in story.kubelet.nodes else False, within=15
    )
    eventually("the status tells of three", lambda: live.status()["nodesSummary"] == "3/3", within=15)
    assert {node["name"] for node in live.status()["nodes"]} == {"live-0", "live-1", "live-2"}
    stranger = story.kubelet.nodes["stranger-0"]
    assert (stranger.asked, stranger.links) == (0, {})
    assert live.condition("Degraded")["status"] == "False", "nobody is told of what strangers lack"
    assert not live.events("NoHost")
