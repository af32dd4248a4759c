"""What /proc knows: the cluster is found there, not in pid files, so that nothing that is left over can be overlooked."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path


def pids() -> Iterator[int]:
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            yield int(entry)


def command_line(pid: int) -> list[str]:
    """Empty for kernel threads, zombies, and what has just ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]
    except OSError:
        return []


def namespace(pid: int, kind: str) -> str:
    """Which namespace of this kind (`net`, `pid`, `mnt`) a process is in; empty where it has ended."""
    try:
        return os.readlink(f"/proc/{pid}/ns/{kind}")
    except OSError:
        return ""


def in_namespace(kind: str, which: str) -> list[int]:
    if not which:
        return []
    return [pid for pid in pids() if namespace(pid, kind) == which]


def memory(pid: int) -> dict[str, int]:
    """What a process holds, in bytes: `VmRSS` in all, `VmHWM` at most, `RssAnon` without the program's own file."""
    lines = [line.split() for line in Path(f"/proc/{pid}/status").read_text().splitlines()]
    return {line[0].rstrip(":"): int(line[1]) * 1024 for line in lines if line[0] in ("VmRSS:", "VmHWM:", "RssAnon:")}


def alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def parents() -> dict[int, int]:
    """The parent of every process."""
    found = {}
    for pid in pids():
        with contextlib.suppress(OSError):
            found[pid] = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return found


def ancestors(pid: int) -> set[int]:
    """A process and those that it came from."""
    parent, found = parents(), set()
    while pid > 1 and pid not in found:
        found.add(pid)
        pid = parent.get(pid, 0)
    return found


def families(roots: set[int]) -> set[int]:
    """These processes and all that came from them."""
    children: dict[int, list[int]] = {}
    for pid, parent in parents().items():
        children.setdefault(parent, []).append(pid)
    found, todo = set(), list(roots)
    while todo:
        pid = todo.pop()
        if pid not in found:
            found.add(pid)
            todo += children.get(pid, [])
    return found
