#!/usr/bin/env python3
"""Keeps how long each story took, for scripts/story_choice.py: `scripts/story_durations.py REPORT.xml`, JUnit XML of test/stories.
What the report does not have stays as it was: a run may be of a few stories only."""

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from xml.etree import ElementTree

from kubernetes_tests.files import cache, write

# For a function that nobody has run here: the mean of all, each with all its parameters, of eight side by side on two cores.
UNKNOWN = 10.0


class Durations:
    """Seconds by story, as pytest names it within its file: `test_life.py::test_name[case]`."""

    def __init__(self, seconds: dict[str, float]) -> None:
        self.seconds = seconds
        self._by_function: dict[str, float] = {}
        for story, took in seconds.items():
            function = story.partition("[")[0]
            self._by_function[function] = self._by_function.get(function, 0) + took

    @classmethod
    def read(cls, path: Path | None = None) -> "Durations":
        path = path or kept()
        try:
            return cls(json.loads(path.read_text()))
        except (FileNotFoundError, ValueError):
            return cls({})

    def of(self, story: str) -> float:
        """A story, or all those of a function with parameters."""
        if story in self.seconds:
            return self.seconds[story]
        return self._by_function.get(story, UNKNOWN)

    def of_all(self, stories: Iterable[str]) -> float:
        return sum(map(self.of, stories))

    def longest(self, stories: Iterable[str]) -> float:
        """Of those that have run here. All of them take at least as long, however many run side by side."""
        wanted = set(stories)
        return max((took for story, took in self.seconds.items() if {story, story.partition("[")[0]} & wanted), default=0.0)


def kept() -> Path:
    return cache() / "story-durations.json"


def reported(report: Path) -> dict[str, float]:
    """What a report says of those that passed: one that failed may have waited until it was late."""
    passed = [
        case for case in ElementTree.parse(report).iter("testcase") if case.find("failure") is None and case.find("error") is None
    ]
    return {f"{case.get('classname', '').rpartition('.')[2]}.py::{case.get('name')}": float(case.get("time", 0)) for case in passed}


def main() -> int:
    report = Path(sys.argv[1])
    if report.is_file():
        seconds = Durations.read().seconds | {story: round(took, 1) for story, took in reported(report).items()}
        write(kept(), json.dumps(seconds, indent=2, sort_keys=True) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
