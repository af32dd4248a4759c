"""Child processes of a test: started with a log and a mark, stopped by pid, looked at through /proc."""

import contextlib
import os
import signal
import subprocess
import time
import uuid
from pathlib import Path
from typing import ClassVar

# Every process that the suite starts, and all that those start, carry this in their environment: that is how leftovers are found
# even when their parent is gone or they have a session of their own.
MARK = "SFUMATO_E2E_MARK"


def clean_environment(mark: str) -> dict[str, str]:
    """The caller's environment without SFUMATO_* and SFU_* settings, which would change what is tested, and with the mark."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("SFUMATO_", "SFU_"))}
    return kept | {MARK: mark, "RUST_BACKTRACE": "1", "NO_COLOR": "1"}


class Child:
    """One process with a log file; `stop` ends it and everything that it started."""

    running_now: ClassVar[list["Child"]] = []

    def __init__(self, name: str, command: list[str | os.PathLike], log: Path, *, env: dict[str, str] | None = None, **popen):
        self.name = name
        self.mark = uuid.uuid4().hex
        self._seen: dict[int, str] = {}
        self.log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        self._log_file = log.open("ab")
        popen.setdefault("stdout", self._log_file)
        popen.setdefault("stderr", self._log_file)
        self.command = [str(part) for part in command]
        self.process = subprocess.Popen(
            self.command,
            stdin=subprocess.DEVNULL,
            env=clean_environment(self.mark) | (env or {}),
            start_new_session=True,
            **popen,
        )
        Child.running_now.append(self)

    @property
    def pid(self) -> int:
        return self.process.pid

    def running(self) -> bool:
        return self.process.poll() is None

    def exit_code(self, within: float = 15) -> int:
        return self.process.wait(timeout=within)

    def family(self) -> list[int]:
        """Pids of this process and all that came from it, also of those whose parent is gone."""
        self._seen |= {pid: started(pid) for pid in marked(self.mark) + descendants(self.pid)}
        return sorted(pid for pid, birth in self._seen.items() if alive(pid) and started(pid) == birth)

    def interrupt(self) -> None:
        """Asks it to end, without waiting."""
        if self.running():
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(signal.SIGTERM)

    def stop(self, within: float = 10) -> None:
        if self.running():
            self.interrupt()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(timeout=within)
        for pid in self.family():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=5)
        self._log_file.close()
        if self in Child.running_now:
            Child.running_now.remove(self)

    def tail(self, lines: int = 60) -> str:
        return tail(self.log, lines)


def tails() -> list[tuple[str, str]]:
    """Name and end of the log of every child that has not been stopped yet."""
    return [(child.name, child.tail(25)) for child in Child.running_now]


def tail(path: Path, lines: int = 60) -> str:
    if not path.is_file():
        return "(no log)"
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 64 * 1024))
        return "\n".join(file.read().decode(errors="replace").splitlines()[-lines:])


def marked(mark: str) -> list[int]:
    """Living processes that carry the mark."""
    needle = f"{MARK}={mark}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if needle in (entry / "environ").read_bytes().split(b"\0") and alive(int(entry.name)):
                    found.append(int(entry.name))
    return found


def descendants(pid: int) -> list[int]:
    """A process and its living descendants: Redis writes its title over its environment, and the mark with it."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                children.setdefault(parent, []).append(int(entry.name))
    found, todo = [], [pid]
    while todo:
        one = todo.pop()
        if alive(one):
            found.append(one)
        todo += children.get(one, [])
    return found


def started(pid: int) -> str:
    """When a process began, in clock ticks since boot: with the pid, it tells a process from a later one of the same pid."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return ""


def alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def most_memory(pid: int) -> int:
    """The most that a process has held so far, in bytes."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


def comm(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def sockets(pid: int, table: str) -> list[tuple[str, int]]:
    """Local (address in hex, port) of a process's sockets in /proc/net/{table}: `udp`, or `tcp`, of which only listeners count."""
    inodes = set()
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            target = os.readlink(fd)
            if target.startswith("socket:["):
                inodes.add(target[8:-1])
    found = []
    for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[9] in inodes and (table.startswith("udp") or fields[3] == "0A"):
            address, port = fields[1].rsplit(":", 1)
            found.append((address, int(port, 16)))
    return found


@contextlib.contextmanager
def stopped(pid: int):
    """SIGSTOP for the length of the block; SIGCONT comes whatever happens."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield time.monotonic()
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
