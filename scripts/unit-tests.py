#!/usr/bin/env python3
"""Runs the unit tests of the crates that changed files belong to, and of the crates that are built from those.

    unit-tests.py FILE...

All crates are compiled as one workspace, which shares what a build has compiled (docs/building.md, "One profile"): cargo itself
sees what is to be compiled again. Only the tests that a change can have broken run.
"""

import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# A file of this name outside of every crate concerns all of them.
OF_ALL = {"Cargo.toml", "Cargo.lock", "rust-toolchain.toml"}
# What cargo has built comes as JSON, what is wrong with the code as text on stderr.
JSON = "json-render-diagnostics"


def output(*arguments: str) -> str:
    """What cargo prints."""
    return subprocess.run(["scripts/cargo.sh", *arguments], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout


def concerned(metadata: dict, files: Iterable[str]) -> set[str]:
    """Names of the workspace's crates that these files can change."""
    folders = {folder_of(package): package["name"] for package in metadata["packages"]}
    found = set()
    for file in files:
        crates = {folders[folder] for folder in map(str, (Path(metadata["workspace_root"]) / file).parents) if folder in folders}
        if not crates and Path(file).name in OF_ALL:
            return set(folders.values())
        found |= crates
    while more := {package["name"] for package in metadata["packages"] if found & parts(package)} - found:
        found |= more
    return found


def folder_of(package: dict) -> str:
    return str(Path(package["manifest_path"]).parent)


def parts(package: dict) -> set[str]:
    """Crates of the workspace that a crate is built from, also those that only its tests use."""
    return {on["name"] for on in package["dependencies"] if on.get("path")}


def test_programs(messages: str) -> dict[str, list[tuple[str, str]]]:
    """By crate (the folder of its manifest): the programs that cargo has built to test it, each with its target's name."""
    found: dict[str, list[tuple[str, str]]] = {}
    for line in messages.splitlines():
        message = json.loads(line) if line.startswith("{") else {}
        if message.get("reason") == "compiler-artifact" and message.get("executable") and message["profile"]["test"]:
            found.setdefault(folder_of(message), []).append((message["executable"], message["target"]["name"]))
    return found


def main() -> int:
    metadata = json.loads(output("metadata", "--no-deps", "--format-version", "1", "--locked"))
    crates = concerned(metadata, sys.argv[1:])
    if not crates:
        print("no crate is concerned")
        return 0
    print(f"unit tests of {', '.join(sorted(crates))}", flush=True)
    try:
        programs = test_programs(output("test", "--workspace", "--locked", "--lib", "--bins", "--no-run", "--message-format", JSON))
    except subprocess.CalledProcessError as error:
        return error.returncode
    failed = 0
    for package in metadata["packages"]:
        if package["name"] in crates:
            for program, target in programs.get(folder_of(package), []):
                print(f"-- {package['name']}: {target}", flush=True)
                failed |= subprocess.run([program, "--quiet"], cwd=folder_of(package), check=False).returncode != 0
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
