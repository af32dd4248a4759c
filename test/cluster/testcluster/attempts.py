"""Keeps in the cache which tests needed a second attempt: a race that shows in one of ten runs would hide behind it 99 times in 100."""

import json
import os
from datetime import UTC, datetime

from .layout import cache

# Which run this is part of: of scripts/check.sh, or of one of its suites alone.
RUN = os.environ.get("SFUMATO_RUN", "by hand")
FILE = cache().parent / "second-attempts.jsonl"


class SecondAttempts:
    """A plugin of pytest."""

    def __init__(self, folder: str):
        self._folder = folder

    def pytest_runtest_logreport(self, report) -> None:
        # It has failed, and is tried once more.
        if report.outcome == "rerun":
            lines = report.longreprtext.strip().splitlines() or [""]
            line = {
                "test": f"{self._folder}/{report.nodeid}",
                "error": next((line for line in lines if line.startswith("E ")), lines[-1])[:500],
                "when": report.when,
                "run": RUN,
                "cluster": os.environ.get("SFUMATO_CLUSTER", ""),
                "at": datetime.now(UTC).isoformat(timespec="seconds"),
            }
            FILE.parent.mkdir(parents=True, exist_ok=True)
            # One write: several clusters' tests append at once.
            with FILE.open("a") as file:
                file.write(json.dumps(line) + "\n")
