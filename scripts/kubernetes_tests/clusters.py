"""Test clusters for the run: brought up where they are not, and taken down again by whoever brought them up."""

import json
import shutil
import subprocess
import threading
from dataclasses import dataclass, field
from pathlib import Path

from .attempts import SecondAttempts
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
    run: str
    """Names the run, for second attempts."""
    brought_up: list[str] = field(default_factory=list)
    # One after the other: three control planes that start at once take three times as long, and all deadlines with them.
    _turn: threading.Lock = field(default_factory=threading.Lock)

    def up(self, cluster: TestCluster, output: Output) -> None:
        """Up, with the images of the built programs."""
        present = gates(cluster.name)
        if present is None:
            # Before: one that is half up has to go as well.
            self.brought_up.append(cluster.name)
            with self._turn:
                self._bring_up(cluster, output)
        elif present != cluster.feature_gates:
            raise CannotUse(
                f'cluster {cluster.name} is up with feature gates "{present}", and its tests need "{cluster.feature_gates}": '
                f"{CLUSTER} --name {cluster.name} down"
            )
        self._run(output, cluster, "images")

    def _bring_up(self, cluster: TestCluster, output: Output) -> None:
        words = ["up", *(["--feature-gates", cluster.feature_gates] if cluster.feature_gates else [])]
        try:
            self._run(output, cluster, *words)
        except CannotUse as error:
            # Its logs would go with it.
            kept = keep_logs(cluster.name)
            output.line(f"{error}; its logs are in {kept}. Bringing it up once more")
            SecondAttempts().add(f"bring-up of a test cluster ({cluster.name})", str(error), self.run)
            self._run(output, cluster, *words)

    def down(self) -> None:
        for name in self.brought_up:
            subprocess.run([CLUSTER, "--name", name, "down"], cwd=ROOT, check=False)
        self.brought_up.clear()

    def _run(self, output: Output, cluster: TestCluster, *words: str) -> None:
        code = self.processes.run([CLUSTER, "--name", cluster.name, *words], output)
        if code != 0:
            raise CannotUse(f"{CLUSTER} --name {cluster.name} {words[0]} ended with {code}: {output.last}")


def keep_logs(name: str) -> Path:
    """Copies the logs of a cluster that did not come up, in place of those of an earlier one; returns where they are."""
    logs, kept = cache() / "cluster/state" / name / "log", cache() / "cluster/failed" / name
    shutil.rmtree(kept, ignore_errors=True)
    kept.mkdir(parents=True)
    if logs.is_dir():
        shutil.copytree(logs, kept, dirs_exist_ok=True)
    return kept


def gates(name: str) -> str | None:
    """The feature gates of a cluster that is up; None for one that is not."""
    if subprocess.run([CLUSTER, "--name", name, "status"], cwd=ROOT, check=False, capture_output=True).returncode != 0:
        return None
    return json.loads((cache() / "cluster/state" / name / "ready.json").read_text())["feature_gates"]
