"""Nodes that are not there: somebody names them, they say as much as a node may say, without end, and take clients and hang."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

# A few bytes each, and much more than that in the memory of whoever reads them.
TRACK = {"kind": "audio", "codec": "", "layers": [{}] * 8}
PUBLICATION = {"id": "p", "stream": "s", "generation": 0, "worker": 0, "tracks": [TRACK] * 4, "viewers": 0}
PUBLICATION |= {"subscribers": ["n"] * 64}
# Just below a megabyte.
PUBLICATIONS = json.dumps([PUBLICATION] * 1_350).encode()
REPORT = {
    "apiVersion": 1,
    "version": "1",
    # Never the revision that it is asked about, so each answer comes at once.
    "revision": 0,
    "workers": 1,
    "linkEncryption": False,
    "ready": True,
    "draining": False,
    "redis": True,
    "peers": [],
    "links": [],
    "carried": [],
    "viewers": 0,
    "publishers": 0,
}


class Node(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.server.end.is_set():
            # A connection that was open goes on in a thread of its own.
            self.close_connection = True
            return
        begin = json.dumps(REPORT | self.server.peer).encode().removesuffix(b"}")
        said = begin + b', "publications": ' + PUBLICATIONS + b"}"
        self.server.asked += 1
        try:
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)
        except OSError:
            self.close_connection = True

    def do_POST(self) -> None:
        """Takes a client's offer, and never answers."""
        self.server.clients += 1
        self.server.end.wait()
        self.close_connection = True

    def log_message(self, *_) -> None:
        pass


class Crowd:
    """So many of them, on loopback, until the end of the block."""

    def __init__(self, count: int):
        self._servers = [ThreadingHTTPServer(("127.0.0.1", 0), Node) for _ in range(count)]
        for number, server in enumerate(self._servers):
            url = f"http://127.0.0.1:{server.server_port}"
            server.peer = {"name": f"crowd-{number}", "incarnation": f"0.{number}", "adminUrl": url, "clientUrl": url}
            server.asked, server.clients, server.end = 0, 0, threading.Event()
            server.daemon_threads = True

    @property
    def peers(self) -> list[dict]:
        return [server.peer for server in self._servers]

    @property
    def asked(self) -> list[int]:
        """How often each was asked."""
        return [server.asked for server in self._servers]

    @property
    def clients(self) -> int:
        """How many clients were sent to them."""
        return sum(server.clients for server in self._servers)

    def __enter__(self):
        for server in self._servers:
            threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_):
        for server in self._servers:
            server.end.set()
            server.shutdown()
            server.server_close()
