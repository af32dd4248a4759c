"""The operator in the cluster, as its own manifests install it."""

import contextlib
import functools
import subprocess
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from testcluster import images, process_table
from testcluster.fixtures import foreign
from testcluster.machines import Machine
from testcluster.waiting import eventually

NAMESPACE = "sfumato-system"
# The media node and the operator of the commit before this one (scripts/previous.sh).
PREVIOUS = "localhost/sfumato/sfu-node:previous"
PREVIOUS_OPERATOR = "localhost/sfumato/sfu-operator:previous"


def program(name: str) -> Path:
    return images.programs() / name


class Images(Mapping[str, str]):
    """What Sfumato's images are called, by program. On the test cluster their names end in their digests: where a program was built anew, what ran
    before is replaced. On any other cluster they are called as `make kind-up` calls them."""

    def __getitem__(self, name: str) -> str:
        return self._names[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    @functools.cached_property
    def _names(self) -> dict[str, str]:
        if foreign():
            return {name: f"{images.PREFIX}/{name}:dev" for name in (*images.PROGRAMS, "redis")}
        return images.references(images.programs())

    def missing(self, node: Machine) -> list[str]:
        """Those that a Kubernetes node of the test cluster has not."""
        present = node.run("ctr", "--namespace=k8s.io", "images", "list", "--quiet").split()
        return [reference for reference in self.values() if reference not in present]


IMAGES = Images()


# What the operator waits for, shorter than its defaults: test_lost_host.py runs with those. A cluster at rest costs a request each time that its
# Secret is read, three times a minute; it may cost four.
LEASE_SECONDS = 8
PACE = (
    f"--arg=--lease-duration={LEASE_SECONDS}s",
    "--arg=--lost-after=5s",
    "--arg=--host-patience=10s",
    "--arg=--address-patience=10s",
    "--arg=--secrets-every=20s",
)


def manifests(*options: str) -> str:
    """What `sfu-operator manifests` prints, for the images of this build."""
    named = [f"--arg=--{name}-image={IMAGES[key]}" for name, key in (("node", "sfu-node"), ("web", "sfu-web"), ("redis", "redis"))]
    command = [program("sfu-operator"), "manifests", f"--image={IMAGES['sfu-operator']}", *named, *options]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


class Operator:
    """The operator's Deployment."""

    programs = program("sfu-operator").parent

    def __init__(self, kubectl, namespace: str = NAMESPACE, name: str = "sfu-operator"):
        self.kubectl = kubectl
        self.namespace = namespace
        # Of its Deployment and its Lease. One by Helm is called after its release.
        self.name = name
        self.pace = PACE
        self.user = f"system:serviceaccount:{namespace}:sfu-operator"

    def install(self, *options: str) -> None:
        self.apply(*options)
        if foreign():
            # Other images under the same names do not change what is applied.
            self.kubectl.run("rollout", "restart", "--namespace", self.namespace, "deployment/sfu-operator")
        self.ready()

    def apply(self, *options: str) -> None:
        self.kubectl.run(
            "apply", "--server-side", "--force-conflicts", "--filename", "-", input=manifests(f"--namespace={self.namespace}", *self.pace, *options)
        )

    def rolled_out(self) -> None:
        self.kubectl.run("rollout", "status", "--namespace", self.namespace, f"deployment/{self.name}", "--timeout=90s", timeout=100)

    def ready(self) -> None:
        self.rolled_out()
        eventually("an operator leads", self.leader, within=30)

    def pods(self) -> list[dict]:
        return self.kubectl.get("pods", "--namespace", self.namespace, "--selector", "app.kubernetes.io/name=sfu-operator")

    def leader(self) -> str:
        """The pod that holds the Lease. A Lease that has run out, or whose holder is gone, is nobody's: it stays as its last holder has left it."""
        lease = self.lease()["spec"]
        holder = lease.get("holderIdentity", "")
        pods = {pod["metadata"]["name"] for pod in self.pods() if "deletionTimestamp" not in pod["metadata"]}
        assert holder in pods, f"the Lease is held by {holder!r}, and the pods are {pods}"
        renewed = datetime.fromisoformat(lease["renewTime"])
        assert datetime.now(UTC) < renewed + timedelta(seconds=lease["leaseDurationSeconds"]), f"{holder} renewed the Lease last at {renewed}"
        return holder

    def lease(self) -> dict:
        return self.kubectl.get("lease", self.name, "--namespace", self.namespace)

    def replace(self, pod: str) -> None:
        """Has another pod made for this one, at once."""
        self.kubectl.run("delete", "pod", pod, "--namespace", self.namespace, "--grace-period=0", "--force", "--wait=false")

    def process(self) -> int:
        """The leader's, on this computer."""
        option = f"--identity={self.leader()}"
        [pid] = [pid for pid in process_table.pids() if option in process_table.command_line(pid)[1:]]
        return pid

    @contextlib.contextmanager
    def at_its_own_pace(self) -> Iterator[None]:
        """In the block the operator waits as long as it does where nobody says otherwise."""
        self.pace = ()
        self.replace_all()
        try:
            yield
        finally:
            self.pace = PACE
            self.replace_all()

    def replace_all(self, *options: str) -> None:
        """Applies the manifests with other options, and waits until none of the pods of before is left."""
        old = {pod["metadata"]["uid"] for pod in self.pods()}
        self.apply(*options)
        self.rolled_out()
        eventually("the old pods are gone", lambda: not old & {pod["metadata"]["uid"] for pod in self.pods()}, within=60)

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
