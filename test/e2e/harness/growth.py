"""Whether something that should keep growing does: the longest pause is what a viewer would have seen."""

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.waiting import PATIENCE, eventually


def grows(viewer, *, within: float = 10, by: int = 10) -> None:
    """Asserts that media reaches a viewer: its count grows by `by` in time."""
    start = viewer.count()
    eventually(f"{viewer} receives {by} more than its {start}", lambda: viewer.count() >= start + by, within=within)


class Steady:
    """A context in which viewers must never pause for longer than `longest` seconds nor be closed.

    A thread samples the counters, so that the test's own body may block; the verdict falls at the end of the block.
    """

    def __init__(self, viewers: Sequence, *, longest: float = 2.5):
        self._viewers = list(viewers)
        self._longest = longest * PATIENCE
        self._pauses = [0.0] * len(self._viewers)
        self._problems: list[str] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._sample, name="steady", daemon=True)

    def __enter__(self):
        for viewer in self._viewers:
            grows(viewer, by=1)
        self._thread.start()
        return self

    def __exit__(self, kind, *_):
        self._over.set()
        self._thread.join(timeout=30)
        if kind is None:
            pauses = [
                f"{viewer} paused for {pause:.2f} s"
                for viewer, pause in zip(self._viewers, self._pauses, strict=True)
                if pause > self._longest
            ]
            assert not self._problems + pauses, f"a viewer was disturbed: {self._problems + pauses}"

    def _sample(self):
        counts = [viewer.count() for viewer in self._viewers]
        times = [time.monotonic()] * len(counts)
        while True:
            last_round = self._over.wait(0.1)
            for i, viewer in enumerate(self._viewers):
                try:
                    before = time.monotonic()
                    count, closed = viewer.count(), viewer.closed()
                    now = time.monotonic()
                except Exception as error:
                    self._problems.append(f"{viewer} could not be asked: {error}")
                    return
                if count > counts[i]:
                    counts[i], times[i] = count, now
                # What the question itself took is the test's time, not the viewer's.
                self._pauses[i] = max(self._pauses[i], before - times[i])
                if closed:
                    self._problems.append(f"{viewer} was closed: {closed}")
                    return
            if last_round:
                return


@dataclass
class Watched:
    """What became of a counter over some time."""

    total: int = 0
    longest_pause: float = 0.0
    over: str = ""


def watch_all(counters: Mapping[str, object], seconds: float, *, every: float = 0.5) -> dict[str, Watched]:
    """Looks at many counters side by side for `seconds`; one that fails or is closed is looked at no more."""
    start = time.monotonic()
    seen = {name: Watched() for name in counters}
    first = {name: counter.count() for name, counter in counters.items()}
    last = dict(first)
    changed = dict.fromkeys(counters, start)
    while (now := time.monotonic()) < start + seconds:
        for name, counter in counters.items():
            if seen[name].over:
                continue
            try:
                before, count, over = time.monotonic(), counter.count(), counter.closed()
            except Exception as error:
                seen[name].over = f"it could not be asked: {error}"
                continue
            if count > last[name]:
                last[name], changed[name] = count, time.monotonic()
            seen[name].longest_pause = max(seen[name].longest_pause, before - changed[name])
            seen[name].total = count - first[name]
            seen[name].over = over and f"closed after {before - start:.0f} s: {over}"
        time.sleep(max(0, now + every - time.monotonic()))
    return seen
