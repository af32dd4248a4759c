"""Takes a cluster down, whatever state it is in: up, half made, broken by a test, or long forgotten."""

import contextlib
import os
import shutil
import signal
from pathlib import Path

from . import cgroups, locking, process_table
from .layout import Layout
from .waiting import eventually

ENDED_DEADLINE = 20
KINDS = ("net", "pid", "mnt")


def down(layout: Layout) -> None:
    with locking.only_one(layout):
        remove(layout)


def remove(layout: Layout) -> None:
    layout.ready_mark.unlink(missing_ok=True)
    eventually(f"every process of cluster {layout.name} has ended", lambda: not end(layout), within=ENDED_DEADLINE)
    # The kernel drops a killed container's cgroup use a moment after its process.
    groups = cgroups.of_cluster(layout)
    eventually(f"the cgroups of cluster {layout.name} are gone", lambda: not cgroups.remove(groups), within=ENDED_DEADLINE)
    shutil.rmtree(layout.state, ignore_errors=True)
    if layout.state.exists():
        raise RuntimeError(f"{layout.state} cannot be removed: {[str(path) for path in layout.state.rglob('*')][:5]}")


def end(layout: Layout) -> list[int]:
    """Kills what is alive of a cluster, and returns what that was; never the caller, nor what it came from."""
    found = processes(layout) - process_table.ancestors(os.getpid())
    for pid in found:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return sorted(found)


def processes(layout: Layout) -> set[int]:
    """Every living process of a cluster: its machines' inits, what descends from them, and what sits in their namespaces (a browser in the
    client's network, a command that was entered)."""
    ours = {pid: process_table.command_line(pid) for pid in process_table.pids()}
    ours = {pid: command for pid, command in ours.items() if belongs(layout, command)}
    found = process_table.families(set(ours)) if ours else set()
    # Only an init has namespaces of its own for certain; `unshare` may still be in ours.
    spaces = {(kind, process_table.namespace(pid, kind)) for pid, command in ours.items() if is_init(command) for kind in KINDS}
    spaces -= {(kind, process_table.namespace(1, kind)) for kind in KINDS} | {(kind, "") for kind in KINDS}
    for pid in process_table.pids() if spaces else ():
        if any((kind, process_table.namespace(pid, kind)) in spaces for kind in KINDS):
            found.add(pid)
    return {pid for pid in found if process_table.alive(pid)}


def belongs(layout: Layout, command: list[str]) -> bool:
    """`machine-init STATE MACHINE`, and the `unshare` and `sh` that become it."""
    return str(layout.state) in command and (is_init(command) or os.path.basename(command[0]) in ("unshare", "sh"))


def is_init(command: list[str]) -> bool:
    return os.path.basename(command[0]) == "machine-init"


def leftovers(layout: Layout) -> list[str]:
    """What a cluster that is down has left behind; nothing, if all is well."""
    found = [f"process {pid}: {' '.join(process_table.command_line(pid))[:100]}" for pid in sorted(processes(layout))]
    found += [f"mount {line.split()[1]}" for line in Path("/proc/mounts").read_text().splitlines() if str(layout.state) in line]
    found += [f"cgroup {path}" for path in cgroups.existing(cgroups.of_cluster(layout))]
    if layout.state.exists():
        found.append(f"folder {layout.state}")
    return found
