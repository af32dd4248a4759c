"""One at a time: an `up` or `down` for one cluster, a writer of images."""

import contextlib
import fcntl
import os
from pathlib import Path

from .layout import Layout


@contextlib.contextmanager
def only_one(layout: Layout):
    layout.lock.parent.mkdir(parents=True, exist_ok=True)
    # Opened for appending: the holder's name must survive whoever only looks.
    with layout.lock.open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.seek(0)
            print(f"cluster {layout.name} is being brought up or down by process {lock.read().strip()}; waiting for it", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


@contextlib.contextmanager
def held(lock: Path):
    """Whoever else wants it waits."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
