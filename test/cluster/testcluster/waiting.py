"""Conditions with deadlines."""

import os
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

# A starved machine may set this above 1: every deadline is multiplied.
PATIENCE = float(os.environ.get("SFUMATO_E2E_PATIENCE", "1"))
NOT_YET = (OSError, AssertionError, KeyError, IndexError, ValueError, RuntimeError)


class Late(AssertionError):
    """A condition did not come true in time."""


def eventually(what: str, probe: Callable[[], T], *, within: float, every: float = 0.1) -> T:
    """Calls `probe` until it returns something truthy, and returns that; `Late` names what was awaited and what was last seen."""
    limit = within * PATIENCE
    deadline = time.monotonic() + limit
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
        time.sleep(every)
