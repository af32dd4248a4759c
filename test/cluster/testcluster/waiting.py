"""Conditions with deadlines."""

import os
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

# A starved machine may set this above 1: every deadline is multiplied.
PATIENCE = float(os.environ.get("SFUMATO_E2E_PATIENCE", "1"))
# What has not come in this time [s] is looked for less often [s]: on a busy computer, looking takes time from what is waited for.
SOON = 1
LATER = 0.25
NOT_YET = (OSError, AssertionError, KeyError, IndexError, ValueError, RuntimeError)


class Late(AssertionError):
    """A condition did not come true in time."""


def eventually(what: str, probe: Callable[[], T], *, within: float, every: float = 0.1) -> T:
    """Calls `probe` until it returns something truthy, and returns that; `Late` names what was awaited and what was last seen."""
    limit = within * PATIENCE
    began = time.monotonic()
    deadline = began + limit
    while True:
        try:
            seen = probe()
            last = repr(seen)
        except NOT_YET as error:
            seen, last = None, f"{type(error).__name__}: {error}"
        if seen:
            return seen
        if time.monotonic() >= deadline:
            raise Late(f"not within {limit:g} s: {what}; last seen: {last[:2000]}")
        time.sleep(every if time.monotonic() < began + SOON else max(every, LATER))
