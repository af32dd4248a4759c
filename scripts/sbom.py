#!/usr/bin/env python3
"""Prints what a program is made of, as a CycloneDX 1.5 document (software bill of materials): its crates from Cargo.lock,
and the C libraries that the media node says it is linked with. `make sbom` writes one for each program.

usage: sbom.py PROGRAM [FOLDER-OF-THE-PROGRAMS]"""

import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).parent.parent
# The one that is linked with C libraries, and says so.
WITH_LIBRARIES = "sfu-node"


def metadata() -> dict:
    command = ["cargo", "metadata", "--locked", "--format-version", "1"]
    return json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True, stdin=subprocess.DEVNULL).stdout)


def programs_of(package: dict) -> list[str]:
    return [target["name"] for target in package["targets"] if "bin" in target["kind"]]


def crates(cargo: dict, program: str) -> list[dict]:
    """The program's package, and all that is built into it; not what only its tests or its build use."""
    packages = {package["id"]: package for package in cargo["packages"]}
    nodes = {node["id"]: node for node in cargo["resolve"]["nodes"]}
    waiting = [package["id"] for package in cargo["packages"] if program in programs_of(package)]
    if not waiting:
        raise SystemExit(f"sbom.py: there is no program {program} in this workspace")
    found: dict[str, dict] = {}
    while waiting:
        current = waiting.pop()
        if current in found:
            continue
        found[current] = packages[current]
        # `null`: built into it; else `dev` or `build`.
        waiting += [dep["pkg"] for dep in nodes[current]["deps"] if any(kind["kind"] is None for kind in dep["dep_kinds"])]
    return sorted(found.values(), key=lambda package: (package["name"], package["version"]))


def component(package: dict) -> dict:
    name, version = package["name"], package["version"]
    entry = {"type": "library", "name": name, "version": version, "purl": f"pkg:cargo/{name}@{version}"}
    if package.get("license"):
        entry["licenses"] = [{"expression": package["license"].replace("/", " OR ")}]
    return entry


def libraries(said: str) -> list[dict]:
    """From `sfu-node --version --verbose`: a line for the program, then one for each library."""
    lines = [line.split() for line in said.splitlines()[1:] if line.strip()]
    return [library(name, version) for name, version, *_ in lines]


def library(name: str, version: str) -> dict:
    return {"type": "library", "name": name, "version": version, "purl": f"pkg:generic/{name.lower()}@{version}"}


def document(packages: list[dict], program: str, linked: Iterable[dict]) -> dict:
    own = next(package for package in packages if program in programs_of(package))
    others = [component(package) for package in packages if package is not own]
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": {**component(own), "name": program, "type": "application"}},
        "components": [*others, *linked],
    }


def main() -> None:
    if len(sys.argv) not in (2, 3):
        raise SystemExit(__doc__)
    program = sys.argv[1]
    linked: list[dict] = []
    if program == WITH_LIBRARIES:
        if len(sys.argv) != 3:
            raise SystemExit(f"sbom.py: {program} has to be asked for its libraries: name the folder that it is built in")
        command = [str(Path(sys.argv[2]) / program), "--version", "--verbose"]
        linked = libraries(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    print(json.dumps(document(crates(metadata(), program), program, linked), indent=2))


if __name__ == "__main__":
    main()
