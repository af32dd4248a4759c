"""Programs that a test starts and ends."""

import os
import signal
import subprocess
from pathlib import Path

from testcluster.waiting import PATIENCE

END_DEADLINE = 10
# None of the caller's settings, proxies and kubeconfigs least of all.
ENVIRONMENT = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "LANG": "C.UTF-8"}


class Process:
    """It ends with this process at the latest, however that ends. A terminal's Ctrl-C does not reach it: its owner stops it."""

    def __init__(self, command: list[str], log: Path, **environment: str):
        self.log = log
        with log.open("ab") as out:
            self._child = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "--", *command],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
                env=ENVIRONMENT | environment,
            )

    @property
    def pid(self) -> int:
        return self._child.pid

    def running(self) -> bool:
        return self._child.poll() is None

    def end(self) -> int:
        """As a kubelet does: asks it, and returns its exit code."""
        self._child.terminate()
        return self._child.wait(END_DEADLINE * PATIENCE)

    def kill(self) -> None:
        self._child.kill()
        self._child.wait(END_DEADLINE * PATIENCE)

    def pause(self) -> None:
        self._child.send_signal(signal.SIGSTOP)

    def proceed(self) -> None:
        self._child.send_signal(signal.SIGCONT)
