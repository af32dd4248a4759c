"""Control groups of the cluster's containers. They are the kernel's, one tree for all machines, and outlive a machine whose plug is pulled, while
those of a real computer are gone with its memory. A kubelet that finds them at its start waits three seconds for each."""

import os
from collections.abc import Iterable
from pathlib import Path

from .layout import Layout

HIERARCHIES = Path("/sys/fs/cgroup")
# Where containerd puts what has no parent of the kubelet's, and where it keeps a folder for each container that it has started.
CONTAINERS = "k8s.io"
TASKS = "var-lib/containerd/io.containerd.runtime.v2.task/k8s.io"


def of_machine(layout: Layout, machine: str) -> list[str]:
    """Paths of the control groups of a machine's containers, below each hierarchy."""
    tasks = layout.machine(machine) / TASKS
    return [f"{CONTAINERS}/{task.name}" for task in tasks.iterdir()] if tasks.is_dir() else []


def of_cluster(layout: Layout) -> list[str]:
    machines = layout.machine("").iterdir() if layout.machine("").is_dir() else ()
    return [layout.cgroup.lstrip("/"), *(path for machine in machines for path in of_machine(layout, machine.name))]


def existing(paths: Iterable[str]) -> list[Path]:
    tops = (HIERARCHIES, *HIERARCHIES.iterdir())
    return [top / path for path in paths for top in tops if (top / path).is_dir()]


def remove(paths: Iterable[str]) -> list[Path]:
    """Removes control groups in every hierarchy, and returns those that are still in use."""
    left = []
    for root in existing(paths):
        for directory, _, _ in os.walk(root, topdown=False):
            try:
                os.rmdir(directory)
            except OSError:
                left.append(Path(directory))
    return left
