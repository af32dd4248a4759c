"""What several clusters say at once, line by line, each with the cluster's name before it."""

import threading
from dataclasses import dataclass

LOCK = threading.Lock()


@dataclass
class Output:
    prefix: str
    last: str = ""
    """The last line that says anything."""

    def line(self, text: str) -> None:
        with LOCK:
            print(f"{self.prefix}{text}", flush=True)
        self.last = text.strip() or self.last
