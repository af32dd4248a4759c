"""The API server by HTTP, for what kubectl is too slow for, and for the moments at which news come. `kubectl proxy` is the way, since it knows every
kind of credentials."""

import json
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import httpx

from shared_client import SharedClient
from testcluster.kubectl import Kubectl

CLUSTERS = "/apis/sfumato.dev/v1alpha1/namespaces/{}/sfuclusters"
PODS = "/api/v1/namespaces/{}/pods"
# A single call.
CALL_TIMEOUT = 20
# The proxy's own start and end.
PROXY_DEADLINE = 10


@dataclass(frozen=True)
class News:
    """One event of a watch."""

    kind: str
    """`ADDED`, `MODIFIED`, `DELETED`."""
    object: dict
    at: float
    """When it was read, by this computer's monotonic clock, in seconds."""


class ApiServer:
    def __init__(self, kubectl: Kubectl):
        self._proxy = subprocess.Popen(kubectl.command("proxy", "--port=0"), stdout=subprocess.PIPE, text=True)
        told = self._proxy.stdout.readline()
        self._url = f"http://{told.split()[-1]}"
        self._shared = SharedClient(httpx.Client(base_url=self._url, timeout=CALL_TIMEOUT), 3 * CALL_TIMEOUT)

    def close(self) -> None:
        self._shared.close()
        self._proxy.terminate()
        self._proxy.wait(PROXY_DEADLINE)

    def get(self, path: str, **query: str) -> dict:
        with self._shared.use() as http:
            return http.get(path, params=query).raise_for_status().json()

    def merge(self, path: str, patch: dict[str, Any]) -> dict:
        """A merge patch."""
        with self._shared.use() as http:
            answer = http.patch(path, content=json.dumps(patch), headers={"content-type": "application/merge-patch+json"})
        return answer.raise_for_status().json()

    def news(self, path: str, **query: str) -> Iterator[News]:
        """What there is and whatever changes, until the API server ends the watch."""
        with httpx.stream("GET", self._url + path, params={"watch": "1", **query}, timeout=httpx.Timeout(CALL_TIMEOUT, read=None)) as answer:
            answer.raise_for_status()
            for line in answer.iter_lines():
                event = json.loads(line)
                if event["type"] in ("ADDED", "MODIFIED", "DELETED"):
                    yield News(event["type"], event["object"], time.monotonic())

    def follow(self, path: str, tell: Callable[[News], None], **query: str) -> None:
        """Calls `tell` with all news from a thread of its own, which ends with the connection to the proxy."""

        def run() -> None:
            with suppress(httpx.TransportError):
                for news in self.news(path, **query):
                    tell(news)

        threading.Thread(target=run, name=f"watch {path}", daemon=True).start()
