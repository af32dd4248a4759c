"""The written images run in pods under the strictest pod security: their libraries are complete, and they write nowhere."""

import json

import pytest

from testcluster import images
from testcluster.fixtures import foreign
from testcluster.waiting import eventually


@pytest.fixture(scope="session")
def image():
    """`image("sfu-node")`: what the image of the built program is called; on any other cluster, what `make kind-up` calls it."""
    return images.references(images.programs()).__getitem__ if not foreign() else "localhost/sfumato/{}:dev".format


def pod(namespace: str, image: str, arguments: list[str], *, claim: str | None = None) -> str:
    secure = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
    container = {"name": "it", "image": image, "imagePullPolicy": "IfNotPresent", "args": arguments, "securityContext": secure}
    spec = {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 1,
        "securityContext": {"runAsNonRoot": True, "runAsUser": 65532, "fsGroup": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
    }
    if claim:
        container["volumeMounts"] = [{"name": "data", "mountPath": "/data"}]
        spec["volumes"] = [{"name": "data", "persistentVolumeClaim": {"claimName": claim}}]
    return json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "it", "namespace": namespace}, "spec": spec})


def logs(kubectl, namespace: str) -> str:
    return kubectl.run("logs", "--namespace", namespace, "it")


@pytest.mark.parametrize("program", images.PROGRAMS)
def test_a_program_of_ours_runs_from_its_image(kubectl, namespace, image, program):
    kubectl.apply(pod(namespace, image(program), ["--version"]))
    phase = eventually(
        "the pod has ended",
        lambda: (now := kubectl.get("pod", "it", "--namespace", namespace)["status"]["phase"]) in ("Succeeded", "Failed") and now,
        within=60,
    )
    assert (phase, logs(kubectl, namespace).split()[0]) == ("Succeeded", program)


def test_redis_runs_from_its_image_and_keeps_its_data_on_a_claimed_volume(kubectl, namespace, image):
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data", "namespace": namespace},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    kubectl.apply(json.dumps(claim))
    kubectl.apply(pod(namespace, image("redis"), ["--dir", "/data", "--appendonly", "yes"], claim="data"))
    eventually("Redis serves", lambda: "Ready to accept connections" in logs(kubectl, namespace), within=60)
    assert kubectl.get("persistentvolumeclaim", "data", "--namespace", namespace)["status"]["phase"] == "Bound"
