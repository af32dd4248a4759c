"""Conditions with deadlines: nothing in this suite sleeps and hopes."""

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

import httpx

T = TypeVar("T")

# What a question to something that starts, stops or breaks may end with; asked again until the deadline.
NOT_YET = (OSError, AssertionError, KeyError, httpx.HTTPError)

# A starved machine may set this above 1: every deadline is multiplied, no assertion about order or identity changes.
PATIENCE = float(os.environ.get("SFUMATO_E2E_PATIENCE", "1"))


class Late(AssertionError):
    """A condition did not come true in time."""


def eventually(what: str, probe: Callable[[], T], *, within: float, every: float = 0.1, errors: tuple = NOT_YET) -> T:
    """Calls `probe` until it returns something truthy, and returns that; `Late` names what was awaited and what was last seen."""
    limit = within * PATIENCE
    deadline = time.monotonic() + limit
    while True:
        try:
            seen = probe()
        except errors as error:
            seen, last = None, f"{type(error).__name__}: {error}"
        else:
            last = repr(seen)
        if seen:
            return seen
        if time.monotonic() >= deadline:
            raise Late(f"not within {limit:g} s: {what}; last seen: {last[:2000]}")
        time.sleep(every)


@contextlib.contextmanager
def meanwhile(job: Callable[[threading.Event], None]) -> Iterator[None]:
    """Runs `job` beside the block; it is to return soon after its event is set, which is at the end of the block."""
    over = threading.Event()
    thread = threading.Thread(target=job, args=(over,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(timeout=10)
