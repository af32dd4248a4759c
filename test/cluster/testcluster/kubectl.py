"""kubectl against one cluster."""

import json
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import process_table
from .layout import CLIENT, Layout, binary
from .machines import Machine

if TYPE_CHECKING:
    from .reading import Reader

# A single call; `wait` and the like take their own.
CALL_TIMEOUT = 60


class KubectlError(RuntimeError):
    """kubectl ended with an error; the message has what it said."""


class Kubectl:
    def __init__(self, kubeconfig: Path, *, prefix: list[str] | None = None):
        self.kubeconfig = kubeconfig
        self._prefix = prefix or []
        self._reader: Reader | None = None
        self._only_kubectl = False

    @classmethod
    def of(cls, layout: Layout) -> "Kubectl":
        """kubectl for a test cluster: in its client's network, unless this process is there already."""
        client = Machine(layout, CLIENT)
        here = process_table.namespace(os.getpid(), "net") == process_table.namespace(client.init() or 0, "net")
        return cls(layout.kubeconfig, prefix=[] if here else client.nsenter(only_network=True))

    def command(self, *arguments: str) -> list[str]:
        program = binary("kubectl") if os.path.exists(binary("kubectl")) else "kubectl"
        return [*self._prefix, program, "--kubeconfig", str(self.kubeconfig), *arguments]

    def run(self, *arguments: str, input: str | None = None, timeout: float = CALL_TIMEOUT) -> str:
        try:
            done = subprocess.run(self.command(*arguments), input=input, capture_output=True, text=True, timeout=timeout, check=False)
        except subprocess.TimeoutExpired as late:
            raise KubectlError(f"kubectl {' '.join(arguments)}: no answer in {timeout:g} s") from late
        if done.returncode != 0:
            raise KubectlError(f"kubectl {' '.join(arguments)} ended with {done.returncode}: {done.stderr.strip()}")
        return done.stdout

    def get(self, *arguments: str) -> Any:
        """An object, or the items of a list. Over a kept connection (reading.py), but for forms and kubeconfigs that only kubectl understands."""
        from .reading import NotHere, Wanted

        try:
            wanted = Wanted.parse(arguments)
        except NotHere:
            wanted = None
        if wanted and (reader := self._reading()):
            return reader.get(wanted)
        return self.get_by_kubectl(*arguments)

    def get_by_kubectl(self, *arguments: str) -> Any:
        """The same by a process."""
        answer = json.loads(self.run("get", *arguments, "--output", "json"))
        return answer["items"] if answer.get("kind", "").endswith("List") else answer

    def _reading(self) -> "Reader | None":
        """None where kubectl has to do it: in another network than this process, or with credentials that only it can use."""
        from .reading import NotHere, Reader

        if not self._prefix and not self._only_kubectl and not self._reader:
            try:
                self._reader = Reader(self)
            except NotHere:
                self._only_kubectl = True
        return self._reader

    def apply(self, manifest: str) -> str:
        return self.run("apply", "--filename", "-", input=manifest)
