"""Folders or files of tests, one after the other on one cluster."""

import os

from . import summary
from .attempts import SecondAttempts
from .clusters import Clusters, TestCluster, gates
from .output import Output
from .previous import build_previous
from .processes import Processes
from .suite import Suite


def run(processes: Processes, clusters: Clusters, paths: list[str], arguments: list[str], name: str) -> int:
    output = Output("")
    cluster = None
    if not os.environ.get("SFUMATO_KUBECONFIG"):
        cluster = os.environ.get("SFUMATO_CLUSTER", "default")
        clusters.up(TestCluster(cluster, gates(cluster) or ""), output)
        build_previous(processes, cluster, output)
    suites = [Suite([path], arguments, name) for path in paths]
    results = [suite.start(processes, cluster, output) for suite in suites]
    return summary.conclude(results, SecondAttempts().of_run(name), [])
