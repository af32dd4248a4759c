#!/usr/bin/env python3
"""Keeps the offer that a client sends, as a seed for the tests of the SDP code.

    capture.py NAME.sdp COMMAND... URL ...     the argument that reads URL becomes the address of a server that refuses every offer

The file is written as it came. Nothing that it names is reachable later: keys and candidates are those of one short run.
"""

import http.server
import subprocess
import sys
import threading
from pathlib import Path

PATIENCE_SECONDS = 30


class Recorder(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.server.offer = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(422)
        self.send_header("Content-Length", "0")
        self.end_headers()
        self.server.came.set()

    def log_message(self, *_):
        pass


def main(target: str, command: list[str]) -> None:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Recorder) as server:
        server.came = threading.Event()
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/whip/capture"
        client = subprocess.Popen([url if part == "URL" else part for part in command], stdin=subprocess.DEVNULL)
        try:
            if not server.came.wait(PATIENCE_SECONDS):
                raise SystemExit(f"no offer within {PATIENCE_SECONDS} s")
            Path(target).write_bytes(server.offer)
        finally:
            client.terminate()
            client.wait()
            server.shutdown()


if __name__ == "__main__":
    if len(sys.argv) < 4 or "URL" not in sys.argv:
        raise SystemExit(__doc__)
    main(sys.argv[1], sys.argv[2:])
