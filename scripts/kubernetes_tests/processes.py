"""Programs that run beside each other, and end together when the run is interrupted."""

import contextlib
import os
import signal
import subprocess
import threading
from dataclasses import dataclass, field

from .files import ROOT
from .output import Output

# From an interrupt until pytest has ended its tests' processes and healed what they broke.
END_WITHIN = 60


class Interrupted(RuntimeError):
    """The run is ending: nothing more is started."""


@dataclass
class Processes:
    """Each in a process group of its own, so that an interrupt reaches all that it has started."""

    _lock: threading.Lock = field(default_factory=threading.Lock)
    _running: list[subprocess.Popen] = field(default_factory=list)
    _ending: bool = False

    def run(self, command: list[str], output: Output, environment: dict[str, str] | None = None) -> int:
        """Runs a program to its end; what it says goes to `output`, which remembers the last line."""
        with self._lock:
            if self._ending:
                raise Interrupted
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=os.environ | (environment or {}),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                start_new_session=True,
            )
            self._running.append(process)
        try:
            for line in process.stdout:
                output.line(line.rstrip("\n"))
            return process.wait()
        finally:
            with self._lock:
                self._running.remove(process)

    def end(self) -> None:
        """Interrupts all, and kills what does not end for it."""
        with self._lock:
            self._ending = True
            running = list(self._running)
        for process in running:
            signal_group(process, signal.SIGINT)
        for process in running:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(END_WITHIN)
            signal_group(process, signal.SIGKILL)


def signal_group(process: subprocess.Popen, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)
