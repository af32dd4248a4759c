#!/usr/bin/env python3
"""Prints the licences of everything that is in a program's image: its crates, Rust's standard library, the C libraries that it is
linked with, and the certificates. With all texts, since an image has none of the files that these name.

usage: licences.py PROGRAM
SFUMATO_THIRD_PARTY_SOURCES names the folder that third-party/prepare.sh has filled, if it is not the cache."""

import os
import re
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

from sbom import ROOT, WITH_LIBRARIES, crates, metadata

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sfumato"
# Where third-party/prepare.sh unpacked its sources: where its own caller says.
PREPARED = Path(os.environ.get("SFUMATO_THIRD_PARTY_SOURCES") or CACHE)
CARGO_HOME = Path(os.environ.get("CARGO_HOME") or Path.home() / ".cargo")
# Files that state a licence, at the top of a crate or of what it brings.
STATES_A_LICENCE = re.compile(r"^(un)?(licen[cs]e|copying|copyright|notice)([-._].*)?$", re.IGNORECASE)

# What Debian and Ubuntu say of their packages, and the texts of the licences that they only name there.
DEBIAN = Path("/usr/share/doc")
COMMON = Path("/usr/share/common-licenses")
NAMES_A_COMMON_LICENCE = re.compile(rf"{COMMON}/([A-Za-z0-9][A-Za-z0-9.+-]*[A-Za-z0-9])")
# What every image holds of the distribution: glibc, libgcc and the certificates.
IN_EVERY_IMAGE = ("libc6", "libgcc-s1", "ca-certificates")
# Of what mediasoup's worker is linked with where no crate brings it: Debian packages, and what third-party/prepare.sh unpacks.
OF_THE_WORKER = ("libstdc++6", "libuv1-dev", "libflatbuffers-dev")
UNPACKED = ("libsrtp2",)
# What third-party/static-openssl builds. It is no crate of this workspace.
OPENSSL = "openssl-src-*/openssl"


@dataclass(frozen=True)
class Part:
    """Something that is in the image."""

    name: str
    licence: str
    """In a word."""
    texts: list[tuple[str, str]] = field(default_factory=list)
    """What is to be read of it, each under a heading."""


def of_files(name: str, licence: str, files: Iterable[Path]) -> Part:
    return Part(name, licence, [(name, text_of(file)) for file in files])


def text_of(file: Path) -> str:
    return file.read_text(encoding="utf-8", errors="replace")


def stated_in(folder: Path, *, deep: bool) -> list[Path]:
    files = folder.rglob("*") if deep else folder.iterdir()
    return sorted(
        file
        for file in files
        if STATES_A_LICENCE.match(file.name) and file.is_file() and file.suffix not in {".rs", ".py", ".h", ".c"}
    )


def of_crate(package: dict) -> Part:
    folder = Path(package["manifest_path"]).parent
    # A crate of the workspace has that of the workspace. One that brings C sources has theirs in folders.
    inside = folder.is_relative_to(ROOT)
    files = [ROOT / "LICENSE"] if inside else stated_in(folder, deep=package["name"].endswith("-sys"))
    return of_files(f"{package['name']} {package['version']}", package.get("license") or "see below", files)


def of_debian(package: str) -> Part:
    """A package of the distribution, with each common licence that its own file names. Another distribution has no such file."""
    file = DEBIAN / package / "copyright"
    if not file.is_file():
        if COMMON.is_dir():
            raise SystemExit(f"error: there is no {file}, so the licence of {package} is not known: install it with its documents")
        return Part(package, "see below")
    text = text_of(file)
    named = sorted(set(NAMES_A_COMMON_LICENCE.findall(text)))
    if missing := [name for name in named if not (COMMON / name).is_file()]:
        raise SystemExit(f"error: {file} names {missing[0]}, and there is no {COMMON / missing[0]}: install base-files again")
    common = [(f"{package}: {COMMON / name}", text_of(COMMON / name)) for name in named]
    return Part(package, "see below", [(package, text), *common])


def unpacked(name: str) -> Part:
    folder = PREPARED / name
    if not folder.is_dir():
        what = "run third-party/prepare.sh, or name the folder that it has filled in SFUMATO_THIRD_PARTY_SOURCES"
        raise SystemExit(f"error: there is no {folder}, so its licence is not known: {what}")
    return of_files(name, "see below", stated_in(folder, deep=False))


def openssl() -> Part:
    """Its source is where cargo keeps sources, for as long as cargo keeps them. Its licence is a common one, word for word."""
    folders = sorted(CARGO_HOME.glob(f"registry/src/*/{OPENSSL}"))
    files = [file for folder in folders for file in stated_in(folder, deep=False)]
    return of_files("OpenSSL", "Apache-2.0", files or [COMMON / "Apache-2.0"])


class Notices(HTMLParser):
    """The notices of Rust's standard library: the page itself as text, and the texts that it brings, by crate."""

    def __init__(self, page: str):
        super().__init__()
        self.texts: list[tuple[str, str]] = []
        self._said: list[str] = []
        self._crate = ""
        # What is being read: `h3` names a crate, `pre` has a text.
        self._within = ""
        self.feed(page)
        self.close()

    @property
    def page(self) -> str:
        lines = (" ".join(line.split()) for line in "".join(self._said).splitlines())
        return "\n".join(line for line in lines if line)

    def handle_starttag(self, tag: str, _: list) -> None:
        if tag == "h3":
            self._within, self._crate = tag, ""
        elif tag == "pre":
            self._within = tag
            self.texts.append((self._crate, ""))

    def handle_endtag(self, tag: str) -> None:
        if tag == self._within:
            self._within = ""

    def handle_data(self, data: str) -> None:
        if self._within == "pre":
            crate, text = self.texts.pop()
            self.texts.append((crate, text + data))
            return
        if self._within == "h3":
            self._crate += data.strip("📦 \n")
        self._said.append(data)


def standard_library(sysroot: Path) -> Part:
    """As rustup's toolchains bring it, whichever profile they have; else as the distribution's package does."""
    name, licence = "Rust's standard library", "MIT OR Apache-2.0, and see below"
    documents = sysroot / "share/doc/rust"
    file = documents / "COPYRIGHT-library.html"
    if not file.is_file():
        packages = sorted(folder.name for folder in DEBIAN.glob("libstd-rust*-dev"))
        if not packages:
            raise SystemExit(f"error: there is no {file}, so the licence of {name} is not known: a toolchain of rustup has it")
        return Part(name, licence, [text for package in packages for text in of_debian(package).texts])
    notices = Notices(text_of(file))
    texts = [(name, notices.page)]
    # It names the licences of its own parts, and has the texts of what others wrote.
    for text in sorted((documents / "licenses").glob("*.txt")):
        if re.search(rf"(?<![\w.-]){re.escape(text.stem)}(?![\w.-])", notices.page):
            texts.append((f"{name}: {text.stem}", text_of(text)))
    texts += [(f"{crate} in {name}", text) for crate, text in notices.texts]
    return Part(name, licence, texts)


def sysroot() -> Path:
    # In the workspace, whose pin decides which toolchain it is.
    done = subprocess.run(["rustc", "--print", "sysroot"], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    return Path(done.stdout.strip())


def gathered(packages: list[dict], program: str, toolchain: Path) -> list[Part]:
    parts = [*map(of_crate, packages), standard_library(toolchain)]
    debian = [*IN_EVERY_IMAGE, *(OF_THE_WORKER if program == WITH_LIBRARIES else ())]
    parts += map(of_debian, debian)
    if program == WITH_LIBRARIES:
        parts += [*map(unpacked, UNPACKED), openssl()]
    return parts


def document(parts: list[Part], program: str) -> str:
    """A list of the parts, and each text once, however its lines are broken."""
    texts: dict[str, tuple[str, list[str]]] = {}
    for part in parts:
        for heading, content in part.texts:
            text = content.replace("\r\n", "\n").strip("\n").rstrip()
            _, headings = texts.setdefault(" ".join(text.split()), (text, []))
            if heading not in headings:
                headings.append(heading)
    listed = "\n".join(f"{part.name}: {part.licence}" for part in parts)
    rule = "-" * 80
    return f"What {program} is built of, and under which licences.\n\n{listed}\n\n" + "".join(
        f"{rule}\n{', '.join(headings)}\n{rule}\n\n{text}\n\n" for text, headings in texts.values()
    )


def main() -> None:
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    program = sys.argv[1]
    sys.stdout.write(document(gathered(crates(metadata(), program), program, sysroot()), program))


if __name__ == "__main__":
    main()
