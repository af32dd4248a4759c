"""That the test cluster has passed its own tests is kept, as build systems keep results.
It counts until something that these tests depend on changes."""

import hashlib
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from .files import ROOT, cache, write

# What the test cluster is made of, besides its own programs: what runs containers, and what lays out networks and namespaces.
PROGRAMS = "containerd containerd-shim-runc-v2 runc ctr ip nft iptables unshare nsenter openssl".split()
PLUGINS = Path("/usr/lib/cni")


class Passed:
    """That the tests of the test cluster itself have passed, with a checksum of all that they depend on."""

    def __init__(self, path: Path | None = None):
        self._path = path or cache() / "kept" / "test-cluster"

    def at(self, checksum: str) -> bool:
        return self._path.is_file() and self._path.read_text().strip() == checksum

    def keep(self, checksum: str) -> None:
        write(self._path, checksum + "\n")

    def forget(self) -> None:
        self._path.unlink(missing_ok=True)


def checksum(lines: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def test_cluster_inputs(sources: Iterable[str]) -> list[str]:
    """A line for all that the test cluster's own tests depend on: sources, built programs, kernel, the computer's programs."""
    lines = [f"{source} {of_file(ROOT / source)}" for source in sorted(sources)]
    lines.append(f"programs of the cluster {of_file(cache() / 'cluster/bin/stamp')}")
    # The version says which build it is: a distribution may mend a kernel under the same release.
    lines.append(f"kernel {platform.release()} {platform.version()} {platform.machine()}")
    lines.append(f"python {sys.version}")
    found = {name: shutil.which(name) for name in PROGRAMS}
    lines += [f"{name} {of_file(Path(path)) if path else 'missing'}" for name, path in found.items()]
    lines += [f"{plugin} {of_file(plugin)}" for plugin in sorted(PLUGINS.glob("*"))]
    lines.append(f"browser {version(os.environ.get('CHROMIUM') or 'chromium')}")
    return lines


def of_file(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "missing"


def version(program: str) -> str:
    if not shutil.which(program):
        return "missing"
    return subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout.strip()
