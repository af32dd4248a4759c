#!/usr/bin/env python3
"""Writes the files of charts/ that follow from others, so that no chart can differ from the code.

chart_files.py CHARTS OPERATOR CRD      into the folder CHARTS: by the program `sfu-operator` and its CRD

charts/sfumato/files/                   the CRD, and the rights that `sfu-operator manifests` prints
charts/*/values.schema.json             values.schema.in.json, with the CRD for `definition:spec.web.pods`, and
                                        charts/kubernetes.schema.json for `kubernetes:SecurityContext`
charts/*/README.md                      a table of the values, from the comments of values.yaml
"""

import argparse
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

WRITTEN = "written by `make generate`"
PROXY = "--node-access=proxy"


def rights(operator: Path) -> dict[str, list]:
    """What the operator may do in the namespaces of clusters, what `proxy` adds to that, and what it may do in its own."""

    def rules(*options: str) -> dict[str, list]:
        printed = subprocess.run([operator, "manifests", *options], capture_output=True, text=True, check=True).stdout
        return {item["kind"]: item["rules"] for item in yaml.safe_load_all(printed) if "rules" in item}

    usual, proxied = rules(), rules(PROXY)
    clusters = usual["ClusterRole"]
    added = [rule for rule in proxied["ClusterRole"] if rule not in clusters]
    return {"clusters": clusters, "proxy": added, "own": usual["Role"]}


def strict(schema: Any) -> Any:
    """A schema of Kubernetes as one of JSON Schema: there, what is not named is refused only where that is said."""
    if isinstance(schema, list):
        return [strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    found = {
        key: strict(value)
        for key, value in schema.items()
        if not key.startswith("x-kubernetes-") and key not in ("description", "nullable")
    }
    if schema.get("x-kubernetes-int-or-string"):
        found.pop("anyOf", None)
        found["type"] = ["integer", "number", "string"]
    elif schema.get("nullable") and isinstance(found.get("type"), str):
        found["type"] = [found["type"], "null"]
    if schema.get("nullable") and "enum" in found:
        found["enum"] = [*found["enum"], None]
    if "properties" in schema and "additionalProperties" not in schema and not schema.get("x-kubernetes-preserve-unknown-fields"):
        found["additionalProperties"] = False
    return found


def field(crd: dict, path: str) -> dict:
    """The schema of a field of an SfuCluster, such as `spec.web.pods`."""
    found = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    for name in path.split("."):
        found = found["properties"][name]
    return found


def completed(base: dict, crd: dict, kubernetes: dict) -> dict:
    """A schema of values, with each schema of others that it refers to among its own."""
    others: dict[str, Any] = {}

    def complete(schema: Any) -> Any:
        if isinstance(schema, list):
            return [complete(item) for item in schema]
        if not isinstance(schema, dict):
            return schema
        whose, _, name = str(schema.get("$ref", "")).partition(":")
        if whose not in ("definition", "kubernetes"):
            return {key: complete(value) for key, value in schema.items()}
        others[name] = strict(field(crd, name)) if whose == "definition" else strict(kubernetes[name])
        return {"$ref": f"#/$defs/{name}"}

    made = complete(base)
    made["$defs"] = made.get("$defs", {}) | others
    return made


def rows(text: str) -> Iterator[tuple[str, str, str]]:
    """Name, default and meaning of each value that a comment with `--` explains."""
    path: list[tuple[int, str]] = []
    values = yaml.safe_load(text)
    meaning = None
    for line in text.splitlines():
        if comment := re.match(r"\s*# -- (.*)", line):
            meaning = comment[1]
        elif field := re.match(r"( *)([A-Za-z]+):", line):
            depth = len(field[1])
            path = [*(above for above in path if above[0] < depth), (depth, field[2])]
            if meaning is not None:
                names = [name for _, name in path]
                value: Any = values
                for name in names:
                    value = value[name]
                yield ".".join(names), json.dumps(value), meaning
                meaning = None


def readme(chart: Path) -> str:
    about = yaml.safe_load((chart / "Chart.yaml").read_text())
    table = [f"| `{name}` | {meaning} | `{default}` |" for name, default, meaning in rows((chart / "values.yaml").read_text())]
    intro = (chart / "README.in.md").read_text().strip()
    title = f"<!-- {WRITTEN} from README.in.md and values.yaml -->\n# {about['name']}"
    head = f"{title}\n\n{about['description']}.\n\n{intro}\n\n## Values\n\n"
    return head + "\n".join(["| value | what it is | default |", "|---|---|---|", *table]) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser("chart_files.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("charts", type=Path)
    parser.add_argument("operator", type=Path)
    parser.add_argument("crd", type=Path)
    given = parser.parse_args()
    operator, cluster = given.charts / "sfumato", given.charts / "sfumato-cluster"
    files = operator / "files"
    files.mkdir(exist_ok=True)
    definition = yaml.safe_load(given.crd.read_text())
    (files / given.crd.name).write_text(given.crd.read_text())
    (files / "rights.yaml").write_text(
        f"# {WRITTEN}: what `sfu-operator manifests` prints.\n{yaml.safe_dump(rights(given.operator), sort_keys=False)}"
    )
    kubernetes = json.loads((given.charts / "kubernetes.schema.json").read_text())
    for chart in (operator, cluster):
        schema = completed(json.loads((chart / "values.schema.in.json").read_text()), definition, kubernetes)
        (chart / "values.schema.json").write_text(json.dumps(schema, indent=1) + "\n")
        (chart / "README.md").write_text(readme(chart))


if __name__ == "__main__":
    main()
