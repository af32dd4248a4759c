"""All files of tests, by a queue over several test clusters."""

import os
import subprocess
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from . import kept, summary
from .attempts import SecondAttempt, SecondAttempts
from .clusters import CannotUse, Clusters, TestCluster
from .durations import Durations
from .files import ROOT
from .output import Output
from .previous import build_previous
from .processes import Interrupted, Processes
from .suite import Result, Suite
from .waiting_files import TestFile, WaitingFiles

FIRST = os.environ.get("SFUMATO_CLUSTER", "default")
# How many are up at once. Two use two cores well; a third one only makes all others wait, until links are stale and peers give up.
AT_ONCE = 2
# An idle one takes a fifth of a core and 2.5 GB.
CLUSTERS = (TestCluster(FIRST), TestCluster(f"{FIRST}-2", "MaxUnavailableStatefulSet=true"), TestCluster(f"{FIRST}-3"))
# Rolls must not depend on a feature of Kubernetes that changes how StatefulSets roll: some run with it, others without.
WITH_THE_GATE = {"test/kubernetes/test_leaving.py", "test/kubernetes/test_rolls.py"}
WITHOUT_THE_GATE = {"test/kubernetes/test_operator.py"}
# The previous release is loaded onto the first cluster.
WITH_THE_PREVIOUS_RELEASE = {"test/kubernetes/test_media_roll.py", "test/kubernetes/test_upgrade.py"}
# What counts packets and seconds of media needs processor time when it needs it. It comes last, one after another on the first
# cluster, when the others have little left to do: at other times, all clusters have starts, rolls and browsers at once.
LAST = {"test/kubernetes/test_media_roll.py", "test/kubernetes/test_media.py", "test/kubernetes/test_media_deletion.py"}
# The other files of test/cluster are about the cluster and not about Sfumato: they run when the cluster has changed. Images are
# made of more than that: licences of all crates, certificates, libraries and Redis of this computer.
OF_SFUMATO = {"test/cluster/test_images_run.py", "test/cluster/test_written_images.py"}


@dataclass
class Run:
    """What the threads of one run share."""

    processes: Processes
    clusters: Clusters
    name: str
    queue: WaitingFiles
    durations: Durations = field(default_factory=Durations)
    results: list[Result] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def work(self, cluster: TestCluster) -> None:
        """Everything on one cluster, from its bring-up to the end of the queue."""
        output = Output(f"{cluster.name} | ")
        try:
            self.clusters.up(cluster, output)
            if cluster.name == FIRST:
                build_previous(self.processes, cluster.name, output)
            while file := self.queue.take(cluster.name):
                self.test(file, cluster, output)
        except Interrupted:
            return
        except (CannotUse, RuntimeError, OSError) as error:
            output.line(f"no tests on {cluster.name}: {error}")
            with self.lock:
                self.results.append(Result(f"cluster {cluster.name}", "", 0, False, str(error)))

    def test(self, file: TestFile, cluster: TestCluster, output: Output) -> None:
        suite = Suite([file.path], [], self.name)
        result = suite.start(self.processes, cluster.name, output)
        output.line(summary.line(result))
        with self.lock:
            self.results.append(result)
            if result.passed:
                self.durations.keep(file.path, result.seconds)


def run(processes: Processes, clusters: Clusters, name: str) -> int:
    began = time.monotonic()
    used = CLUSTERS[: int(os.environ.get("SFUMATO_TEST_CLUSTERS", AT_ONCE))]
    sources = tracked("test/cluster", "test/e2e/requirements.txt")
    files = sorted(path for path in tracked("test/cluster", "test/kubernetes") if is_test(path))
    of_the_cluster = {path for path in files if path.startswith("test/cluster/")} - OF_SFUMATO
    passed, checksum = kept.Passed(), kept.checksum(kept.test_cluster_inputs(set(sources) - OF_SFUMATO))
    notes = []
    if passed.at(checksum) and not os.environ.get("FRESH"):
        notes.append(f"the test cluster's own tests passed at {checksum}; nothing of it has changed since (FRESH=1 runs them)")
        files = [path for path in files if path not in of_the_cluster]
    else:
        passed.forget()
    durations = Durations()
    here = Run(processes, clusters, name, WaitingFiles(test_file(path, durations, used) for path in files), durations)
    threads = [threading.Thread(target=here.work, args=[cluster], name=cluster.name) for cluster in used]
    for thread in threads:
        thread.start()
    for thread in threads:
        # Not at once for ever: an interrupt is noticed between two waits.
        while thread.is_alive():
            thread.join(timeout=0.5)
    have_run = {result.what for result in here.results}
    not_run = [Result(path, "", 0, False, "no cluster has run it") for path in files if path not in have_run]
    attempts = SecondAttempts().of_run(name)
    if of_the_cluster <= {result.what for result in here.results if result.passed} and not attempted(attempts, of_the_cluster):
        passed.keep(checksum)
        notes.append(f"the test cluster's own tests passed at {checksum}")
    notes.append(f"{len(used)} clusters, {time.monotonic() - began:.0f} s")
    return summary.conclude([*here.results, *not_run], attempts, notes)


def attempted(attempts: Iterable[SecondAttempt], files: set[str]) -> bool:
    """Whether one of these needed a second attempt."""
    return any(attempt.test.partition("::")[0] in files for attempt in attempts)


def test_file(path: str, durations: Durations, used: Iterable[TestCluster]) -> TestFile:
    names = {cluster.name for cluster in used}
    if path in WITH_THE_GATE:
        names = {cluster.name for cluster in used if cluster.feature_gates}
    elif path in WITHOUT_THE_GATE:
        names = {cluster.name for cluster in used if not cluster.feature_gates}
    elif path in WITH_THE_PREVIOUS_RELEASE | LAST:
        names = {FIRST}
    return TestFile(path, durations.of(path), frozenset(names), path in LAST)


def is_test(path: str) -> bool:
    return path.rpartition("/")[2].startswith("test_") and path.endswith(".py")


def tracked(*folders: str) -> list[str]:
    """What git knows or would take, and is there."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", *folders]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split()
    return [path for path in listed if (ROOT / path).is_file()]
