#!/usr/bin/env python3
"""Whether what the documents point at is there: relative links and their anchors, files that are named in backticks, tests that
`cargo test` is to pick by name, and tests of pytest (`stories/test_roll.py::test_name`, below test/).

    doc-paths.py [--root DIR]

A file may be named from the root, or from one of the folders that a document walks through (admin-api/src, sfu-node/src,
operator/src, operator/src/controller). Names with a placeholder (`NAME`, `*`, `{`, `<`) are left out.
Exit code 1 when something is missing.
"""

import argparse
import re
import sys
from collections.abc import Iterator
from pathlib import Path

BASES = ("", "admin-api/src", "sfu-node/src", "operator/src", "operator/src/controller")
# A path with a folder and the ending of a source or a document.
FILE = re.compile(r"^[\w.-]+(?:/[\w.-]+)+\.(?:rs|py|sh|toml|yaml|md|js|mjs|go|json)$")
# What `make setup` writes.
WRITTEN = {".cargo/config.toml"}
# A test of pytest, as pytest itself names it.
TEST = re.compile(r"^([\w./-]+\.py)::(test_\w+)$")
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
CODE = re.compile(r"`([^`\n]+)`")
PICKED = re.compile(r"^cargo test --workspace ([a-z_]+)\b", re.M)
FENCE = re.compile(r"^(```|~~~).*?^\1\s*$", re.M | re.S)


def anchors(text: str) -> set[str]:
    """Anchors of a document's headings, as code hosts make them."""
    found = set()
    for heading in re.findall(r"^#{1,6} +(.+?)\s*$", FENCE.sub("", text), re.M):
        plain = re.sub(r"[`*]|\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        found.add(re.sub(r"[^\w\- ]", "", plain).replace(" ", "-"))
    return found


def missing(root: Path, document: Path) -> list[str]:
    """What a document points at and is not there."""
    text = document.read_text(encoding="utf-8")
    prose = FENCE.sub("", text)
    found = []
    for target in LINK.findall(prose):
        if re.match(r"^[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (document.parent / path).resolve() if path else document
        if not file.exists():
            found.append(f"link to {target}")
        elif anchor and file.suffix == ".md" and anchor not in anchors(file.read_text(encoding="utf-8")):
            found.append(f"link to {target}: there is no such heading")
    for code in CODE.findall(prose):
        if test := TEST.match(code):
            file = root / "test" / test[1]
            if not file.exists() or not re.search(rf"^def {test[2]}\(", file.read_text(encoding="utf-8"), re.M):
                found.append(f"`{code}`: there is no such test")
            continue
        if re.search(r"[*<{]|\bNAME\b", code) or code in WRITTEN or not FILE.match(code):
            continue
        if not any((root / base / code).exists() for base in BASES):
            found.append(f"`{code}`")
    for name in PICKED.findall(text):
        if not any(re.search(rf"\bfn \w*{name}", f.read_text(encoding="utf-8")) for f in sources(root)):
            found.append(f"cargo test --workspace {name}: no test is called so")
    return found


def sources(root: Path) -> Iterator[Path]:
    """Rust files of the crates."""
    for manifest in sorted(root.glob("*/Cargo.toml")):
        yield from manifest.parent.rglob("*.rs")


def main() -> int:
    """Names what is missing, document by document."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, default=Path(__file__).resolve().parent.parent)
    root: Path = parser.parse_args().root.resolve()
    documents = [root / "README.md", root / "CONTRIBUTING.md", root / "CHANGELOG.md", *sorted((root / "docs").rglob("*.md"))]
    lost = [f"{d.relative_to(root)}: {what}" for d in documents if d.exists() for what in missing(root, d)]
    for line in lost:
        print(line)
    if lost:
        print(f"documents: {len(lost)} of what they point at is missing")
        return 1
    print(f"documents: all that {len(documents)} point at is there")
    return 0


if __name__ == "__main__":
    sys.exit(main())
