"""A media node that lies: a real one behind a proxy for its admin API, which changes what it answers.

`sfu-operator local --node-bin` starts the script that `write_program` writes: for one node it runs this file, for the others the
media node itself. What the liar says instead of the truth stands in a file, so that a test can change it while media plays.
"""

import ctypes
import functools
import http.client
import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

LISTEN = "--admin-listen"
PR_SET_PDEATHSIG = 1
ANSWER_DEADLINE = 30
NOT_PASSED_ON = ("content-length", "transfer-encoding", "connection", "keep-alive")


def write_program(directory: Path, node: Path, liars: list[str], lies: Path) -> Path:
    """A program to be started in the place of `node`: those of these names lie what stands in the file `lies`."""
    directory.mkdir(parents=True, exist_ok=True)
    say(lies, {})
    program = directory / "sfu-node-or-liar"
    names = "|".join(f'*" --name {name} "*' for name in liars)
    liar = shlex.join([sys.executable, __file__, str(node), str(lies)])
    program.write_text(f'#!/bin/sh\ncase " $* " in {names}) exec {liar} "$@" ;; esac\nexec {shlex.quote(str(node))} "$@"\n')
    program.chmod(0o755)
    return program


def say(lies: Path, what: dict) -> None:
    """From now on the liars answer this: by the end of a path, such as `node`, the fields that differ from the truth."""
    new = lies.with_suffix(".new")
    new.write_text(json.dumps(what))
    new.replace(lies)


def many(entry: dict, times: int) -> dict:
    """A list that is too long to be written into a file of lies."""
    return {"repeat": entry, "times": times}


def written(value: object) -> bytes:
    match value:
        case {"repeat": entry, "times": times}:
            return repeated(json.dumps(entry).encode(), times)
    return json.dumps(value).encode()


@functools.lru_cache(maxsize=1)
def repeated(entry: bytes, times: int) -> bytes:
    """Kept, since it is long and asked for again and again."""
    return b"[" + b",".join([entry] * times) + b"]"


class Proxy(BaseHTTPRequestHandler):
    """Passes calls on to the real node, and changes its answers."""

    protocol_version = "HTTP/1.1"
    port: int
    lies: Path

    def pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        node = http.client.HTTPConnection("127.0.0.1", self.port, timeout=ANSWER_DEADLINE)
        try:
            path, headers = self.asked()
            node.request(self.command, path, body, headers)
            answer = node.getresponse()
            said = self.change(answer.status, answer.read())
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in NOT_PASSED_ON:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)
        except OSError:
            self.close_connection = True
        finally:
            node.close()

    do_GET = do_PUT = do_POST = do_PATCH = do_DELETE = pass_on

    def asked(self) -> tuple[str, dict[str, str]]:
        """Path and headers of what the real node is asked."""
        # So that a new lie is told soon, and not only with the next news.
        return re.sub(r"\bwait=\w+", "wait=1s", self.path), dict(self.headers)

    def change(self, status: int, truth: bytes) -> bytes:
        what = urlsplit(self.path).path.rpartition("/")[2]
        if status != http.HTTPStatus.OK or what not in ("node", "publications"):
            return truth
        said = json.loads(truth) | json.loads(self.lies.read_text()).get(what, {})
        if what == "node":
            # The process that was started is this one.
            said["pid"] = os.getpid()
        return b"{" + b",".join(json.dumps(key).encode() + b":" + written(value) for key, value in said.items()) + b"}"

    def log_message(self, *_) -> None:
        pass


def die_with_parent() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def main(node: str, lies: str, *options: str) -> int:
    at = options.index(LISTEN) + 1
    address = urlsplit(f"//{options[at]}")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [node, *options[:at], f"127.0.0.1:{port}", *options[at + 1 :]]
    child = subprocess.Popen(command, preexec_fn=die_with_parent)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: child.send_signal(number))
    Proxy.port, Proxy.lies = port, Path(lies)
    server = ThreadingHTTPServer((address.hostname, address.port), Proxy)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return child.wait()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
