"""Which test file a cluster runs next. Pure but for the lock."""

import threading
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class TestFile:
    """A file of tests has a cluster for itself while it runs."""

    path: str
    seconds: float
    """How long it took last time."""
    clusters: frozenset[str]
    """Those that can run it."""
    is_last: bool = False
    """Whether it comes after all others."""


class WaitingFiles:
    """The files that no cluster has taken yet."""

    def __init__(self, files: Iterable[TestFile]):
        self._lock = threading.Lock()
        self._files = list(files)

    def take(self, cluster: str) -> TestFile | None:
        """What this cluster runs next: what fewest clusters can run, of this the longest, so that the last files are short ones.
        What is to come last, after all that. None: there is nothing more for it."""
        with self._lock:
            fitting = [file for file in self._files if cluster in file.clusters]
            if not fitting:
                return None
            chosen = min(fitting, key=lambda file: (file.is_last, len(file.clusters), -file.seconds))
            self._files.remove(chosen)
            return chosen
