"""A proxy on loopback, behind which a client has an address that is not loopback: where shares count, newcomers come this way."""

import contextlib
import threading
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from urllib.parse import urlsplit

from harness.liar import Proxy


@contextlib.contextmanager
def named_client(base: str, address: str) -> Iterator[str]:
    """A base URL whose requests reach `base` as those of a client with this address."""

    class Naming(Proxy):
        port = urlsplit(base).port

        def asked(self) -> tuple[str, dict[str, str]]:
            return self.path, dict(self.headers) | {"X-Forwarded-For": address}

        def change(self, _: int, truth: bytes) -> bytes:
            return truth

    with ThreadingHTTPServer(("127.0.0.1", 0), Naming) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
