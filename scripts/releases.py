#!/usr/bin/env python3
"""Reads what the charts make, and examples/, as each supported release of Kubernetes would.

Every field must be one of its definitions; those of SfuClusters, of crds/. What the charts' values take of Kubernetes'
types must be what the newest release has (charts/kubernetes.schema.json).

usage: releases.py HELM             checks
       releases.py HELM --write     writes charts/kubernetes.schema.json first; then run `make generate`

Run by hand before a release (`make releases`): it fetches the Go module k8s.io/kubernetes in each version, for the
OpenAPI documents in it.
The release that the test cluster runs is tried by its API server in every check (test/stories/test_definitions.py)."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import yaml
from openapi_differences import differences

ROOT = Path(__file__).parents[1]
VERSIONS = ("v1.33.5", "v1.34.4", "v1.35.4", "v1.36.3", "v1.37.2")
OURS = "sfumato.dev"
# Types that values of the charts have, each with the document and the name that it is found by.
IN_VALUES = {
    "PodSecurityContext": ("v1", "io.k8s.api.core.v1.PodSecurityContext"),
    "SecurityContext": ("v1", "io.k8s.api.core.v1.SecurityContext"),
    "MetricSpec": ("autoscaling/v2", "io.k8s.api.autoscaling.v2.MetricSpec"),
    "HorizontalPodAutoscalerBehavior": ("autoscaling/v2", "io.k8s.api.autoscaling.v2.HorizontalPodAutoscalerBehavior"),
}
SCHEMAS_OF_VALUES = ROOT / "charts" / "kubernetes.schema.json"
# Kinds of other projects, which test/stories/test_definitions.py tries, and the file of Kustomize.
OTHERS = (
    "argoproj.io",
    "toolkit.fluxcd.io",
    "gateway.networking.k8s.io",
    "monitoring.coreos.com",
    "kustomize.config.k8s.io",
)


class Release:
    """The OpenAPI documents of one release."""

    def __init__(self, version: str):
        self.version = version

    @cached_property
    def _folder(self) -> Path:
        with tempfile.TemporaryDirectory() as directory:
            command = ["go", "mod", "download", "-json", f"k8s.io/kubernetes@{self.version}"]
            done = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise SystemExit(f"error: {self.version} cannot be fetched: {done.stdout}{done.stderr}")
        return Path(json.loads(done.stdout)["Dir"]) / "api" / "openapi-spec" / "v3"

    def schemas(self, api_version: str) -> dict[str, dict] | None:
        """All that the document of this version of an API defines."""
        group, _, version = api_version.rpartition("/")
        name = f"apis__{group}__{version}_openapi.json" if group else f"api__{version}_openapi.json"
        file = self._folder / name
        return json.loads(file.read_text())["components"]["schemas"] if file.is_file() else None

    def faults(self, item: dict) -> Iterator[str]:
        schemas = self.schemas(item["apiVersion"])
        if schemas is None:
            yield f"there is no {item['apiVersion']}"
            return
        group, _, version = item["apiVersion"].rpartition("/")
        meant = {"group": group, "kind": item["kind"], "version": version}
        found = [one for one in schemas.values() if meant in one.get("x-kubernetes-group-version-kind", [])]
        if not found:
            yield f"{item['apiVersion']} has no {item['kind']}"
            return
        yield from differences(item, found[0], schemas, item["kind"])

    def of_values(self) -> str:
        """What charts/kubernetes.schema.json has to be by this release."""
        types = {}
        for title, (api_version, name) in IN_VALUES.items():
            schemas = self.schemas(api_version)
            assert schemas is not None, f"{self.version} has no {api_version}"
            types[title] = without_words(schemas[name], schemas)
        return json.dumps(types, indent=1) + "\n"


def without_words(schema: dict, schemas: dict) -> dict:
    """A schema with all that it refers to in it, and no descriptions."""
    for part in schema.get("allOf", []):
        schema = schema | part
    if name := schema.get("$ref", "").rpartition("/")[2]:
        return without_words(schemas[name], schemas)
    kept = {key: schema[key] for key in ("type", "enum", "oneOf", "required") if key in schema}
    if "properties" in schema:
        kept["properties"] = {key: without_words(value, schemas) for key, value in schema["properties"].items()}
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            kept[key] = without_words(schema[key], schemas)
    return kept


def definition_of_ours() -> dict:
    """The schema of an SfuCluster. It leaves out what all kinds have."""
    [crd] = [yaml.safe_load(file.read_text()) for file in (ROOT / "crds").glob("*.yaml")]
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    of_all_kinds = {"apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": {"type": "object"}}
    return schema | {"properties": schema["properties"] | of_all_kinds}


def told(source: str, item: dict, fault: str) -> str:
    return f"{source}: {item['kind']} {item['metadata']['name']}: {fault}"


def made(helm: str) -> Iterator[tuple[str, dict]]:
    for values in sorted((ROOT / "test" / "charts" / "values").glob("*.yaml")):
        chart = ROOT / "charts" / values.stem.partition(".")[0]
        command = [helm, "template", "it", chart, f"--values={values}"]
        text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        yield from ((values.name, item) for item in yaml.safe_load_all(text) if item)
    for file in sorted((ROOT / "examples").rglob("*.yaml")):
        yield from ((str(file.relative_to(ROOT)), item) for item in yaml.safe_load_all(file.read_text()) if item)


def main() -> None:
    if len(sys.argv) not in (2, 3) or sys.argv[2:] not in ([], ["--write"]):
        raise SystemExit(__doc__)
    group = lambda item: item["apiVersion"].rpartition("/")[0]  # noqa: E731
    items = [(source, item) for source, item in made(sys.argv[1]) if not group(item).endswith(OTHERS)]
    clusters = [(source, item) for source, item in items if group(item) == OURS]
    of_kubernetes = [(source, item) for source, item in items if group(item) != OURS]
    failed = False

    def report(what: str, faults: list[str]) -> None:
        nonlocal failed
        failed |= bool(faults)
        sys.stdout.write("\n".join([f"{what}, {len(faults)} faults", *(f"  {fault}" for fault in faults)]) + "\n")

    schema = definition_of_ours()
    faults = [told(source, item, fault) for source, item in clusters for fault in differences(item, schema, {}, item["kind"])]
    report(f"crds/: {len(clusters)} SfuClusters", faults)
    releases = [Release(version) for version in VERSIONS]
    for release in releases:
        faults = [told(source, item, fault) for source, item in of_kubernetes for fault in release.faults(item)]
        report(f"{release.version}: {len(of_kubernetes)} objects", faults)
    wanted = releases[-1].of_values()
    if sys.argv[2:]:
        SCHEMAS_OF_VALUES.write_text(wanted)
    stale = ["stale: run this with --write, and then `make generate`"] if SCHEMAS_OF_VALUES.read_text() != wanted else []
    report(f"{SCHEMAS_OF_VALUES.relative_to(ROOT)} by {VERSIONS[-1]}", stale)
    sys.exit(failed)


if __name__ == "__main__":
    main()
