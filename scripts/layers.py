#!/usr/bin/env python3
"""Checks which parts of the code may know which: rooms of the media node below its node/, and crates that need no planner.

layers.py                        exit code 1 when a rule is broken; each breach is one line
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rust_modules import Unreadable, manifests_of, read_package, read_toml

# In sfu-node/src, node/ acts on the rooms below it, and negotiate/ and http/ stand on node/: so the lower rooms can be read
# and tested without the upper ones.
NODE_CRATE = Path("sfu-node")
NODE_TYPE = "node::Node"
UPPER = ["node", "negotiate", "http"]
BELOW_NODE = [
    "access",
    "events",
    "ids",
    "layers",
    "limits",
    "links",
    "media",
    "names",
    "options",
    "sdp",
    "sessions",
    "stats",
    "streams",
]

# Packages that must not depend on another, directly or through others: planning and driving is the operator's.
WITHOUT = {"sfu-node": "sfumato-mesh", "sfu-web": "sfumato-mesh"}


def room_of(file: Path, source: Path) -> str:
    """The first folder or file below the source folder, without its ending: `links` of links/beat.rs and of links.rs."""
    return file.relative_to(source).parts[0].removesuffix(".rs") if file.is_relative_to(source) else ""


def rooms_that_look_up(root: Path) -> Iterator[str]:
    folder = root / NODE_CRATE
    source = folder / "src"
    package = read_package(folder, read_toml(folder / "Cargo.toml"))
    rooms = {room_of(file, source) for file in package.files}
    for missing in sorted({*UPPER, *BELOW_NODE} - rooms):
        yield f"{NODE_CRATE}/src/{missing} is not there, so the rule about it checks nothing: name the rooms of today in layers.py"
    named = {place: ("node", path) for place, path in named_in_text(source).items()}
    for arrow in package.arrows:
        upper = room_of(arrow.target, source)
        if upper in UPPER:
            named[arrow.source, arrow.line] = (upper, arrow.path)
    for (file, line), (upper, path) in sorted(named.items()):
        room = room_of(file, source)
        if room in BELOW_NODE:
            place = f"{file.relative_to(root)}:{line}"
            yield f"{place} names {path}: {room}/ stands below {upper}/ and must not know it; pass in what it needs"


def named_in_text(source: Path) -> dict[tuple[Path, int], str]:
    """Where Node is named anywhere in a file: tests and comments of a room need no Node either."""
    return {
        (file, line): NODE_TYPE
        for file in source.rglob("*.rs")
        for line, text in enumerate(file.read_text(encoding="utf-8").splitlines(), 1)
        if NODE_TYPE in text
    }


def normal_dependencies(manifest: dict[str, Any], shared: dict[str, Any]) -> set[str]:
    """The names of the packages that a package is built with, on any platform; not those of its tests and build script."""
    tables = [manifest, *manifest.get("target", {}).values()]
    return {package_of(name, entry, shared) for table in tables for name, entry in table.get("dependencies", {}).items()}


def package_of(name: str, entry: Any, shared: dict[str, Any]) -> str:
    """The package behind the name of a dependency: `name = { package = "other" }`, here or in the workspace."""
    if isinstance(entry, dict) and entry.get("workspace"):
        entry = shared.get(name)
    return str(entry.get("package", name)) if isinstance(entry, dict) else name


def way_to(start: str, end: str, depends_on: dict[str, set[str]]) -> list[str] | None:
    """How a package depends on another: the shortest chain from the one to the other."""
    ways = [[start]]
    seen = {start}
    for way in ways:
        if way[-1] == end:
            return way
        further = sorted(depends_on.get(way[-1], set()) - seen)
        seen.update(further)
        ways.extend([*way, name] for name in further)
    return None


def packages_that_know_too_much(root: Path) -> Iterator[str]:
    shared = read_toml(root / "Cargo.toml")["workspace"].get("dependencies", {})
    manifests = {manifest["package"]["name"]: manifest for manifest in manifests_of(root).values()}
    depends_on = {name: normal_dependencies(manifest, shared) for name, manifest in manifests.items()}
    for package, unwanted in WITHOUT.items():
        for missing in sorted({package, unwanted} - depends_on.keys()):
            yield f"no package is called {missing}, so the rule about it checks nothing: name the packages of today in layers.py"
        way = way_to(package, unwanted, depends_on)
        if way is not None:
            yield f"{package} must not depend on {unwanted}, which plans for the operator, but does: {' -> '.join(way)}"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser("layers.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", metavar="DIR", type=Path, default=Path(__file__).parent.parent, help="the workspace (this one)")
    root: Path = parser.parse_args(arguments).root.resolve()
    try:
        breaches = [*rooms_that_look_up(root), *packages_that_know_too_much(root)]
    except Unreadable as error:
        print(f"layers.py: {error}", file=sys.stderr)
        return 2
    for breach in breaches:
        print(breach)
    print(f"layers: breaches of {len(BELOW_NODE) + len(WITHOUT)} rules: {len(breaches) or 'none'}")
    return 1 if breaches else 0


if __name__ == "__main__":
    sys.exit(main())
