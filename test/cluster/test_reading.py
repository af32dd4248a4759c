"""What tests read over a kept connection is what kubectl answers, and so are the errors."""

import json
import subprocess
import sys

import pytest

from testcluster.kubectl import Kubectl, KubectlError
from testcluster.reading import NotHere, Reader, Wanted

FORMS = {
    "a list": "configmaps --namespace NAMESPACE",
    "some of a list": "configmaps --namespace NAMESPACE --selector letter=b",
    "some, as one word": "configmaps --namespace=NAMESPACE --selector=letter=b",
    "some, by a set": "configmaps --namespace NAMESPACE --selector letter in (a,b)",
    "none of a list": "configmaps --namespace NAMESPACE --selector letter=z",
    "by a field": "configmaps --namespace NAMESPACE --field-selector metadata.name=a",
    "one": "configmap a --namespace NAMESPACE",
    "one, with a slash": "configmap/a --namespace NAMESPACE",
    "by a short name": "cm a -n NAMESPACE",
    "of a group": "deployments.apps --namespace kube-system",
    "of a group, short": "deploy --namespace kube-system",
    "without a namespace": "namespace NAMESPACE",
    "all without a namespace": "clusterroles",
    "a namespace that does not matter": "clusterrole view --namespace NAMESPACE",
    "the context's namespace": "service kubernetes",
    # Of one whose objects nobody changes meanwhile: namespaces of earlier tests are still being deleted.
    "of all namespaces": "serviceaccounts --all-namespaces --field-selector metadata.namespace=kube-system",
    "several kinds": "configmaps,serviceaccounts,deployments --namespace NAMESPACE",
}


@pytest.fixture
def letters(kubectl, namespace):
    """Two ConfigMaps."""
    maps = [{"metadata": {"name": name, "namespace": namespace, "labels": {"letter": name}}, "data": {"is": name}} for name in "ab"]
    items = [{"apiVersion": "v1", "kind": "ConfigMap"} | it for it in maps]
    kubectl.apply(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
    return namespace


def words(form: str, namespace: str) -> list[str]:
    """A selector with spaces is one word."""
    head, _, selector = form.replace("NAMESPACE", namespace).partition(" letter in ")
    return [*head.split(), *([f"letter in {selector}"] if selector else [])]


def test_what_is_read_is_what_kubectl_answers(kubectl, letters):
    seen = 0
    for about, form in FORMS.items():
        asked = words(form, letters)
        # By whom it was read: a form that goes to kubectl would be compared to itself.
        read = Reader(kubectl).get(Wanted.parse(tuple(asked)))
        assert read == kubectl.get(*asked) == kubectl.get_by_kubectl(*asked), about
        seen += len(read)
    assert seen > len(FORMS)


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ("configmap nobody --namespace NAMESPACE", r'Error from server \(NotFound\): configmaps "nobody" not found'),
        ("unicorns --namespace NAMESPACE", 'the server doesn\'t have a resource type "unicorns"'),
        ("configmaps --namespace NAMESPACE --field-selector data.is=a", r"Error from server \(BadRequest\): .*is not a known field selector"),
    ],
)
def test_what_kubectl_refuses_is_refused_in_its_words(kubectl, namespace, form, error):
    for get in (kubectl.get, kubectl.get_by_kubectl):
        with pytest.raises(KubectlError, match=error):
            get(*words(form, namespace))


@pytest.mark.parametrize(
    "form", ["pods --watch", "pods a b", "pod a --selector b=c", "pods --output-watch-events", "sfu/live --subresource=scale", ""]
)
def test_a_form_that_is_not_known_is_left_to_kubectl(form):
    with pytest.raises(NotHere):
        Wanted.parse(tuple(form.split()))


def test_a_form_that_is_left_to_kubectl_is_answered(kubectl, letters):
    both = kubectl.get("configmaps", "a", "b", "--namespace", letters)
    assert [it["data"]["is"] for it in both] == ["a", "b"]


def test_credentials_that_only_kubectl_can_use_are_left_to_it(kubectl, letters, tmp_path):
    """Here a program that tells the token, as those of clouds do."""
    config = json.loads(kubectl.run("config", "view", "--raw", "--minify", "--flatten", "--output=json"))
    token = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {"token": config["users"][0]["user"]["token"]}}
    (tmp_path / "token.json").write_text(json.dumps(token))
    program = {"apiVersion": token["apiVersion"], "interactiveMode": "Never", "command": "cat", "args": [str(tmp_path / "token.json")]}
    config["users"][0]["user"] = {"exec": program}
    (tmp_path / "kubeconfig").write_text(json.dumps(config))
    other = Kubectl(tmp_path / "kubeconfig")
    with pytest.raises(NotHere, match="exec"):
        Reader(other)
    assert other.get("configmap", "a", "--namespace", letters)["data"] == {"is": "a"}


@pytest.mark.testcluster
def test_an_api_server_that_is_away_is_an_error_and_is_read_again_when_it_is_back(kubectl, faults, letters):
    assert kubectl.get("configmap", "a", "--namespace", letters)
    with faults.api_server_gone(), pytest.raises(KubectlError, match="ConnectError"):
        kubectl.get("configmap", "a", "--namespace", letters)
    assert kubectl.get("configmap", "a", "--namespace", letters)["data"] == {"is": "a"}


def test_bringing_a_cluster_up_needs_nothing_that_is_installed():
    """`cluster.sh` runs by the system's Python, without the tests' environment."""
    isolated = [sys.executable, "-I", "-S", "-c", "import sys; sys.path.insert(0, '.'); import testcluster.bring_up, testcluster.tear_down"]
    subprocess.run(isolated, cwd=__file__.rpartition("/")[0], check=True)
