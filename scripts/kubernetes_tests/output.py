"""What several clusters say at once, line by line, each with the cluster's name before it."""

import threading
from dataclasses import dataclass

LOCK = threading.Lock()


@dataclass(frozen=True)
class Output:
    prefix: str

    def line(self, text: str) -> None:
        with LOCK:
            print(f"{self.prefix}{text}", flush=True)
