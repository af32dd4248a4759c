#!/usr/bin/env python3
"""Prints the licences of everything that is built into a program, for its image: of its crates, and of the C libraries beside them.

usage: licences.py PROGRAM"""

import os
import re
import sys
from collections.abc import Iterable
from pathlib import Path

from sbom import ROOT, WITH_LIBRARIES, crates, metadata

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sfumato"
# Files that state a licence, at the top of a crate or of what it brings.
STATES_A_LICENCE = re.compile(r"^(un)?(licen[cs]e|copying|copyright|notice)([-._].*)?$", re.IGNORECASE)
# Of the shared libraries that every image holds (glibc, libgcc), as Debian packages them.
SHARED = ("libc6", "libgcc-s1")
# Of what mediasoup's worker is linked with where no crate brings it: Debian packages, and what third-party/prepare.sh unpacks.
OF_THE_WORKER = ("libuv1-dev", "libflatbuffers-dev")
UNPACKED = ("libsrtp2",)
# What third-party/static-openssl builds. It is no crate of this workspace.
OPENSSL = "openssl-src-*/openssl"


def stated_in(folder: Path, *, deep: bool) -> Iterable[Path]:
    files = folder.rglob("*") if deep else folder.iterdir()
    return sorted(
        file
        for file in files
        if STATES_A_LICENCE.match(file.name) and file.is_file() and file.suffix not in {".rs", ".py", ".h", ".c"}
    )


def of_debian(package: str) -> Iterable[Path]:
    return [file for file in [Path("/usr/share/doc") / package / "copyright"] if file.is_file()]


def gathered(packages: list[dict], program: str) -> list[tuple[str, str, list[Path]]]:
    """Name, licence in a word, and files of each part."""
    parts = []
    for package in packages:
        folder = Path(package["manifest_path"]).parent
        # A crate of the workspace has that of the workspace. One that brings C sources has theirs in folders.
        inside = folder.is_relative_to(ROOT)
        files = [ROOT / "LICENSE"] if inside else stated_in(folder, deep=package["name"].endswith("-sys"))
        parts.append((f"{package['name']} {package['version']}", package.get("license") or "see below", list(files)))
    debian = [*SHARED, *(OF_THE_WORKER if program == WITH_LIBRARIES else ())]
    parts += [(package, "see below", list(of_debian(package))) for package in debian]
    if program == WITH_LIBRARIES:
        parts += [(name, "see below", list(stated_in(CACHE / name, deep=False))) for name in UNPACKED if (CACHE / name).is_dir()]
        sources = Path.home().glob(f".cargo/registry/src/*/{OPENSSL}")
        parts += [("OpenSSL", "Apache-2.0", list(stated_in(folder, deep=False))) for folder in sources]
    return parts


def document(parts: list[tuple[str, str, list[Path]]], program: str) -> str:
    """A list of the parts, and each text once, however its lines are broken."""
    texts: dict[str, tuple[str, list[str]]] = {}
    for name, _, files in parts:
        for file in files:
            text = file.read_text(encoding="utf-8", errors="replace").replace("\r\n", "\n").strip()
            _, of = texts.setdefault(" ".join(text.split()), (text, []))
            if name not in of:
                of.append(name)
    listed = "\n".join(f"{name}: {licence}" for name, licence, _ in parts)
    rule = "-" * 80
    return f"What {program} is built of, and under which licences.\n\n{listed}\n\n" + "".join(
        f"{rule}\n{', '.join(of)}\n{rule}\n\n{text}\n\n" for text, of in texts.values()
    )


def main() -> None:
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    program = sys.argv[1]
    sys.stdout.write(document(gathered(crates(metadata(), program), program), program))


if __name__ == "__main__":
    main()
