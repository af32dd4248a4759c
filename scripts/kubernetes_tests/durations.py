"""How long each file of tests took last time: the queue begins with the longest."""

import json
from pathlib import Path

from .files import cache, write

# For a machine that has run none of them.
DEFAULTS = Path(__file__).with_name("durations.json")
# A file that nobody has run yet: begun early, in case that it is long.
UNKNOWN = 120.0


class Durations:
    """Seconds by file. A file of the repository has those of a fresh machine."""

    def __init__(self, path: Path | None = None):
        self._path = path or cache() / "kubernetes-durations.json"
        self._seconds: dict[str, float] = json.loads(DEFAULTS.read_text())
        if self._path.is_file():
            self._seconds |= json.loads(self._path.read_text())

    def of(self, file: str) -> float:
        return self._seconds.get(file, UNKNOWN)

    def keep(self, file: str, seconds: float) -> None:
        self._seconds[file] = round(seconds, 1)
        write(self._path, json.dumps(self._seconds, indent=2, sort_keys=True) + "\n")
