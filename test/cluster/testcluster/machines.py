"""A machine of the test cluster: network, process, mount and host-name namespaces, held by one `machine-init`."""

import contextlib
import ctypes
import json
import os
import signal
import subprocess
from pathlib import Path

from . import process_table
from .layout import Layout, binary
from .waiting import eventually

PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
# From unshare to the machine's own init, on a busy computer.
BOOT_DEADLINE = 20
STOP_DEADLINE = 10
# linux/sched.h
CLONE_NEWNET = 0x40000000

# Mounts of its own hide the computer's /run, /var/lib and /var/log: every program keeps its usual paths, two machines never meet
# there, and everything that a pod or a crashed runtime leaves mounted goes with the namespace.
BOOT = r"""
set -e
mount --bind "$1/var-lib" /var/lib
mount --bind "$1/var-log" /var/log
mount -t tmpfs -o mode=755 tmpfs /run
mount --make-rshared /
hostname "$2"
exec "$3" "$4" "$2"
"""


class MachineError(RuntimeError):
    """A command on a machine failed; the message has its output."""


class Machine:
    """Found by its init in /proc; nothing is kept in memory that could be stale."""

    def __init__(self, layout: Layout, name: str):
        self.layout = layout
        self.name = name
        self.directory = layout.machine(name)

    def __repr__(self) -> str:
        return self.name

    # Its life

    def begin_boot(self) -> None:
        for part in ("var-lib", "var-log", "programs"):
            (self.directory / part).mkdir(parents=True, exist_ok=True)
        self.layout.logs.mkdir(parents=True, exist_ok=True)
        boot = ["sh", "-c", BOOT, "boot", str(self.directory), self.name, binary("machine-init"), str(self.layout.state)]
        namespaces = "--net --mount --pid --uts --ipc --fork --kill-child --mount-proc --propagation private".split()
        with self.log("boot").open("ab") as log:
            subprocess.Popen(
                ["unshare", *namespaces, *boot],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                cwd="/",
                env=environment(),
            )

    def finish_boot(self) -> None:
        eventually(f"machine {self.name} has its namespaces (see {self.log('boot')})", self.init, within=BOOT_DEADLINE, every=0.02)

    def boot(self) -> None:
        self.begin_boot()
        self.finish_boot()

    def init(self) -> int | None:
        """The pid of its init, as the computer sees it; None while the machine is off."""
        wanted = [str(self.layout.state), self.name]
        for pid in process_table.pids():
            command = process_table.command_line(pid)
            if len(command) == 3 and command[1:] == wanted and os.path.basename(command[0]) == "machine-init":
                return pid
        return None

    def power_off(self) -> None:
        """Ends all its processes and drops its namespaces, as pulling the plug does; its files stay."""
        init = self.init()
        if init is None:
            return
        members = self.members()
        os.kill(init, signal.SIGKILL)
        eventually(
            f"every process of {self.name} has ended",
            lambda: not any(process_table.alive(pid) for pid in members),
            within=STOP_DEADLINE,
            every=0.02,
        )

    # Commands

    def nsenter(self, *, only_network: bool = False) -> list[str]:
        init = self.init()
        if init is None:
            raise MachineError(f"machine {self.name} of cluster {self.layout.name} is not up")
        kinds = ["--net"] if only_network else ["--net", "--mount", "--pid", "--uts", "--ipc"]
        return ["nsenter", "--target", str(init), *kinds, "--"]

    @contextlib.contextmanager
    def network(self):
        """In this context the calling thread, and every process that it starts, is in the machine's network."""
        init = self.init()
        if init is None:
            raise MachineError(f"machine {self.name} of cluster {self.layout.name} is not up")
        with open("/proc/thread-self/ns/net") as before, open(f"/proc/{init}/ns/net") as there:
            enter_network(there.fileno())
            try:
                yield
            finally:
                enter_network(before.fileno())

    def run(self, *command: str, input: str | None = None, file: Path | None = None, only_network: bool = False) -> str:
        """Runs a command on the machine, or only in its network, and returns its output; `input` or `file` is its standard input."""
        with (file or Path(os.devnull)).open("rb") as source:
            done = subprocess.run(
                [*self.nsenter(only_network=only_network), *command],
                **({"stdin": source} if input is None else {"input": input}),
                capture_output=True,
                text=True,
                env=environment(),
                cwd="/",
                check=False,
            )
        if done.returncode != 0:
            raise MachineError(f"on {self.name}: {' '.join(command)} ended with {done.returncode}: {done.stdout}{done.stderr}")
        return done.stdout

    def script(self, text: str, *, only_network: bool = False) -> str:
        return self.run("sh", "-ec", text, only_network=only_network)

    # Programs

    def start(self, program: str, *arguments: str) -> None:
        """Starts a long-running program; its command is kept, so that `restart` can repeat it."""
        command = [binary(program) if os.path.exists(binary(program)) else program, *arguments]
        (self.directory / "programs" / program).write_text(json.dumps(command))
        self._spawn(program, command)

    def restart(self, program: str) -> None:
        """Starts a program again as it was started before; nothing happens where it runs."""
        if not self.pids(program):
            self._spawn(program, json.loads((self.directory / "programs" / program).read_text()))

    def stop(self, program: str) -> None:
        """Kills a program; those that it started go on."""
        killed = self.pids(program)
        for pid in killed:
            os.kill(pid, signal.SIGKILL)
        eventually(
            f"{program} on {self.name} has ended",
            lambda: not any(process_table.alive(pid) for pid in killed),
            within=STOP_DEADLINE,
            every=0.02,
        )

    def started_programs(self) -> list[str]:
        return [entry.name for entry in sorted((self.directory / "programs").iterdir(), key=lambda entry: entry.stat().st_mtime_ns)]

    def pids(self, program: str) -> list[int]:
        """Living processes of this program on the machine."""
        return [pid for pid in self.members() if os.path.basename((process_table.command_line(pid) or [""])[0]) == program]

    def members(self) -> list[int]:
        """Every process on the machine, pods' included, and what was entered into it."""
        init = self.init()
        if init is None:
            return []
        # A container has a process namespace below the machine's: it is found as a descendant. What was entered from outside is not one.
        inside = process_table.in_namespace("pid", process_table.namespace(init, "pid"))
        return sorted(process_table.families({init, *inside}))

    def log(self, program: str) -> Path:
        return self.layout.logs / f"{self.name}-{program}.log"

    def _spawn(self, program: str, command: list[str]) -> None:
        with self.log(program).open("ab") as log:
            subprocess.Popen(
                [*self.nsenter(), *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                cwd="/",
                env=environment(),
            )


def enter_network(namespace: int) -> None:
    """setns(2) for the calling thread, by the descriptor of a network namespace."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(namespace, CLONE_NEWNET) != 0:
        raise MachineError(f"cannot enter another network: {os.strerror(ctypes.get_errno())}")


def environment() -> dict[str, str]:
    """For everything on a machine: none of the caller's settings, proxies least of all."""
    return {"PATH": PATH, "HOME": "/var/lib", "LANG": "C.UTF-8"}
