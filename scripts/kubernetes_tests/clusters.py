"""Test clusters for the run: brought up where they are not, and taken down again by whoever brought them up."""

import json
import subprocess
from dataclasses import dataclass, field

from .files import ROOT, cache
from .output import Output
from .processes import Processes

CLUSTER = "scripts/cluster.sh"


class CannotUse(RuntimeError):
    """A cluster that cannot be had; the message says why."""


@dataclass(frozen=True)
class TestCluster:
    name: str
    feature_gates: str = ""


@dataclass
class Clusters:
    """Those of one run."""

    processes: Processes
    brought_up: list[str] = field(default_factory=list)

    def up(self, cluster: TestCluster, output: Output) -> None:
        """Up, with the images of the built programs."""
        present = gates(cluster.name)
        if present is None:
            # Before: one that is half up has to go as well.
            self.brought_up.append(cluster.name)
            self._run(output, cluster, "up", *(["--feature-gates", cluster.feature_gates] if cluster.feature_gates else []))
        elif present != cluster.feature_gates:
            raise CannotUse(
                f'cluster {cluster.name} is up with feature gates "{present}", and its tests need "{cluster.feature_gates}": '
                f"{CLUSTER} --name {cluster.name} down"
            )
        self._run(output, cluster, "images")

    def down(self) -> None:
        for name in self.brought_up:
            subprocess.run([CLUSTER, "--name", name, "down"], cwd=ROOT, check=False)
        self.brought_up.clear()

    def _run(self, output: Output, cluster: TestCluster, *words: str) -> None:
        code = self.processes.run([CLUSTER, "--name", cluster.name, *words], output)
        if code != 0:
            raise CannotUse(f"{CLUSTER} --name {cluster.name} {words[0]} ended with {code}")


def gates(name: str) -> str | None:
    """The feature gates of a cluster that is up; None for one that is not."""
    if subprocess.run([CLUSTER, "--name", name, "status"], cwd=ROOT, check=False, capture_output=True).returncode != 0:
        return None
    return json.loads((cache() / "cluster/state" / name / "ready.json").read_text())["feature_gates"]
