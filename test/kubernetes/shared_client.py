"""An HTTP client for several threads, which is closed when none of them uses it any more."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import httpx


class SharedClient:
    """Closing a socket under a thread that reads it gives its number to whatever is opened next: that thread then takes bytes of somebody else's
    connection, which fails ("bad record mac", "wrong version number") far from where the fault is."""

    def __init__(self, http: httpx.Client, deadline: float):
        self._http = http
        self._deadline = deadline
        """What a request takes at most, in seconds."""
        self._changed = threading.Condition()
        self._users = 0
        self._closed = False

    @contextmanager
    def use(self) -> Iterator[httpx.Client]:
        """The client, for one request. A closed one is a connection that cannot be made, as where the server is away."""
        with self._changed:
            if self._closed:
                raise httpx.ConnectError("this client is closed")
            self._users += 1
        try:
            yield self._http
        finally:
            with self._changed:
                self._users -= 1
                self._changed.notify_all()

    def close(self) -> None:
        """Takes no further requests, and waits for those that go on."""
        with self._changed:
            self._closed = True
            ended = self._changed.wait_for(lambda: not self._users, self._deadline)
        assert ended, f"{self._users} requests go on after {self._deadline} s"
        self._http.close()
