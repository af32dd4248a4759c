"""The operator in the cluster, as its own manifests install it."""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

from testcluster import process_table
from testcluster.waiting import eventually

NAMESPACE = "sfumato-system"
IMAGES = {name: f"localhost/sfumato/{name}:dev" for name in ("sfu-operator", "sfu-node", "sfu-web", "redis")}
# The media node of the commit before this one (scripts/previous.sh).
PREVIOUS = "localhost/sfumato/sfu-node:previous"


def program(name: str) -> Path:
    target = Path(os.environ.get("CARGO_TARGET_DIR", Path(__file__).parents[2] / "target"))
    return target / "debug" / name


def manifests(*options: str) -> str:
    """What `sfu-operator manifests` prints, for the images of this build."""
    images = [f"--arg=--{name}-image={IMAGES[key]}" for name, key in (("node", "sfu-node"), ("web", "sfu-web"), ("redis", "redis"))]
    command = [program("sfu-operator"), "manifests", f"--image={IMAGES['sfu-operator']}", *images, *options]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


class Operator:
    """The operator's Deployment."""

    programs = program("sfu-operator").parent

    def __init__(self, kubectl, namespace: str = NAMESPACE):
        self.kubectl = kubectl
        self.namespace = namespace
        self.user = f"system:serviceaccount:{namespace}:sfu-operator"

    def install(self, *options: str) -> None:
        self.apply(*options)
        self.ready()

    def apply(self, *options: str) -> None:
        self.kubectl.run("apply", "--server-side", "--force-conflicts", "--filename", "-", input=manifests(f"--namespace={self.namespace}", *options))

    def rolled_out(self) -> None:
        self.kubectl.run("rollout", "status", "--namespace", self.namespace, "deployment/sfu-operator", "--timeout=90s", timeout=100)

    def ready(self) -> None:
        self.rolled_out()
        eventually("an operator leads", self.leader, within=30)

    def pods(self) -> list[dict]:
        return self.kubectl.get("pods", "--namespace", self.namespace, "--selector", "app.kubernetes.io/name=sfu-operator")

    def leader(self) -> str:
        """The pod that holds the Lease."""
        return self.lease()["spec"].get("holderIdentity", "")

    def lease(self) -> dict:
        return self.kubectl.get("lease", "sfu-operator", "--namespace", self.namespace)

    def replace(self, pod: str) -> None:
        """Has another pod made for this one, at once."""
        self.kubectl.run("delete", "pod", pod, "--namespace", self.namespace, "--grace-period=0", "--force", "--wait=false")

    def process(self) -> int:
        """The leader's, on this computer."""
        option = f"--identity={self.leader()}"
        [pid] = [pid for pid in process_table.pids() if option in process_table.command_line(pid)[1:]]
        return pid

    @contextlib.contextmanager
    def away(self) -> Iterator[None]:
        """In the block this operator does not run; after it one leads again."""
        self._scale(0)
        try:
            eventually("no operator runs", lambda: not self.pods(), within=60)
            yield
        finally:
            self._scale(2)
            self.ready()

    def _scale(self, replicas: int) -> None:
        self.kubectl.run("scale", "--namespace", self.namespace, "deployment/sfu-operator", f"--replicas={replicas}")
