"""Tests that failed and were tried once more, in all runs on this computer.
A race that shows in one of ten runs would hide behind its second attempts 99 times in 100."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from .files import cache

# In one run. One may be this computer's fault; two are a race.
MOST = 1


@dataclass(frozen=True)
class SecondAttempt:
    """A test that failed, and was tried once more: what became of that is in the report."""

    test: str
    error: str


class SecondAttempts:
    """Those of all runs, as the tests' plugin writes them (test/cluster/testcluster/attempts.py): one JSON object a line."""

    def __init__(self, path: Path | None = None):
        self.path = path or cache() / "second-attempts.jsonl"

    def lines(self) -> list[dict]:
        return [json.loads(line) for line in self.path.read_text().splitlines()] if self.path.is_file() else []

    def add(self, what: str, error: str, run: str) -> None:
        """Writes down what is no test: a cluster that had to be brought up twice."""
        line = {
            "test": what,
            "error": error,
            "when": "setup",
            "run": run,
            "cluster": "",
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a") as file:
            file.write(json.dumps(line) + "\n")

    def of_run(self, run: str) -> list[SecondAttempt]:
        return [SecondAttempt(line["test"], line["error"]) for line in self.lines() if line["run"] == run]

    def times(self, test: str) -> int:
        """In how many runs on this computer this test needed a second attempt."""
        return len({line["run"] for line in self.lines() if line["test"] == test})

    def told(self, attempts: Sequence[SecondAttempt]) -> list[str]:
        """Two lines for each."""
        lines = []
        for attempt in attempts:
            lines.append(f"  second attempt: {attempt.test}: {attempt.error}")
            lines.append(f"    in {self.times(attempt.test)} runs on this computer ({self.path})")
        return lines


def too_many(attempts: Sequence[SecondAttempt]) -> str:
    """What is wrong with so many in one run; nothing, where they pass."""
    return f"{len(attempts)} second attempts: at most {MOST} passes; find each race" if len(attempts) > MOST else ""


def counted_elsewhere() -> bool:
    """Whether this is a part of a run of check.sh, which counts those of all its suites together."""
    return bool(os.environ.get("SFUMATO_RUN"))
