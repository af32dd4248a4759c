"""One `up` or `down` at a time for one cluster."""

import contextlib
import fcntl
import os

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
