"""What the charts make, and every file of examples/, is what an API server takes: each object is tried, strictly, and not made.

Kinds of other projects are checked by their own definitions (scripts/definitions.txt)."""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from api_client import ApiClient, Refused, path
from testcluster.layout import binary
from testcluster.waiting import eventually

ROOT = Path(__file__).parents[2]
SETS = sorted((ROOT / "test" / "charts" / "values").glob("*.yaml"))
EXAMPLES = sorted(file for file in (ROOT / "examples").rglob("*.yaml"))
# The file of Kustomize is no object.
NO_OBJECT = "kustomization.yaml"


def documents(text: str) -> Iterator[dict]:
    return (item for item in yaml.load_all(text, yaml.CSafeLoader) if item)


def rendered(chart: str, namespace: str, *options: str) -> str:
    command = [os.environ["SFUMATO_HELM"], "template", "it", ROOT / "charts" / chart, f"--namespace={namespace}", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def api(story) -> ApiClient:
    """An API server that knows the kinds of others as well."""
    known = {item["metadata"]["name"] for item in story.api.get(path("customresourcedefinitions"))}
    for file in sorted(Path(os.environ["SFUMATO_DEFINITIONS"]).glob("*.yaml")):
        [definition] = documents(file.read_text())
        name = definition["metadata"]["name"]
        if name not in known:
            # Another story may be faster.
            created(story.api, path("customresourcedefinitions"), definition)
        served = lambda name=name: established(story.api.get(path("customresourcedefinitions", name=name)))  # noqa: E731
        eventually(f"{name} is served", served, within=20, every=0.05)
    return story.api


def created(api: ApiClient, where: str, item: dict, **query: str) -> None:
    """Or there already: what is refused for that alone was found to be in order."""
    try:
        api.create(where, item, **query)
    except Refused as refused:
        if refused.status != 409:
            raise


def established(definition: dict) -> bool:
    conditions = definition.get("status", {}).get("conditions") or []
    return any(it["type"] == "Established" and it["status"] == "True" for it in conditions)


def tried(api: ApiClient, item: dict, namespace: str) -> None:
    """Creates it without creating it. What belongs to a namespace is tried in that of the story, since its own is not there."""
    group = f"/apis/{item['apiVersion']}" if "/" in item["apiVersion"] else f"/api/{item['apiVersion']}"
    about = f"{item['kind']} {item['metadata']['name']}"
    kinds = [it for it in json.loads(api.text(group))["resources"] if it["kind"] == item["kind"] and "/" not in it["name"]]
    assert kinds, f"{about}: {item['apiVersion']} has no such kind"
    where = group
    if kinds[0]["namespaced"]:
        item["metadata"]["namespace"] = namespace
        where = f"{group}/namespaces/{namespace}"
    try:
        created(api, f"{where}/{kinds[0]['name']}", item, dryRun="All", fieldValidation="Strict")
    except Refused as refused:
        raise AssertionError(f"{about}: {refused}") from refused


@pytest.mark.parametrize("values", SETS, ids=lambda file: file.stem)
def test_an_api_server_takes_what_the_charts_make(api, story, values):
    for item in documents(rendered(values.stem.partition(".")[0], story.namespace, f"--values={values}")):
        tried(api, item, story.namespace)


def test_an_api_server_takes_every_object_of_the_examples(api, story):
    seen = set()
    for file in EXAMPLES:
        for item in documents(file.read_text()):
            if file.name != NO_OBJECT:
                tried(api, item, story.namespace)
                seen.add(item["kind"])
    assert {"SfuCluster", "NetworkPolicy", "Application", "GitRepository", "HelmRelease", "Kustomization", "Deployment"} <= seen


def test_a_field_that_no_route_has_is_refused(api, story):
    """Or the tests above would show nothing."""
    gateway = ROOT / "test" / "charts" / "values" / "sfumato-cluster.gateway.yaml"
    made = documents(rendered("sfumato-cluster", story.namespace, f"--values={gateway}"))
    [route] = [item for item in made if item["kind"] == "HTTPRoute"]
    route["spec"]["rules"][0]["filters"][0]["urlRewrite"]["pathh"] = {}
    with pytest.raises(AssertionError, match="pathh"):
        tried(api, route, story.namespace)


def test_kustomize_puts_the_registry_into_all_images(api, story):
    command = [binary("kubectl"), "kustomize", ROOT / "examples" / "kustomize"]
    made = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    for item in documents(made):
        tried(api, item, story.namespace)
    assert set(re.findall(r"\S*sfumato/sfu-\w+:\S+", made)) == {
        f"registry.example.com/sfumato/sfu-{name}:0.1.0" for name in ("operator", "node", "web")
    }


def helm_values(item: dict) -> tuple[str, str, dict] | None:
    """The chart, the release and the values of an object of Argo CD or Flux that makes a release."""
    spec = item.get("spec", {})
    match item["kind"]:
        case "Application":
            return Path(spec["source"]["path"]).name, spec["source"]["helm"]["releaseName"], spec["source"]["helm"].get("valuesObject", {})
        case "HelmRelease":
            return Path(spec["chart"]["spec"]["chart"]).name, spec["releaseName"], spec.get("values", {})
    return None


@pytest.mark.parametrize("tool", ["argocd", "flux"])
def test_what_the_examples_give_to_helm_makes_the_operator_and_a_cluster(tool, tmp_path):
    made = []
    for file in sorted((ROOT / "examples" / tool).glob("*.yaml")):
        for chart, release, values in filter(None, map(helm_values, documents(file.read_text()))):
            given = tmp_path / f"{release}.json"
            given.write_text(json.dumps(values))
            made += [item["kind"] for item in documents(rendered(chart, "media", f"--values={given}"))]
    assert {"Deployment", "CustomResourceDefinition", "SfuCluster"} <= set(made)
