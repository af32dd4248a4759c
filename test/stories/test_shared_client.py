"""What the stories ask the API server by, where one thread closes it while another one still asks."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

from shared_client import SharedClient

DEADLINE = 10


@pytest.fixture
def slow():
    """A server that answers when it is told to; it tells when it was asked."""
    asked, answer = threading.Event(), threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.set()
            answer.wait(DEADLINE)
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/", asked, answer
        answer.set()
        server.shutdown()


def in_thread(job):
    """Runs it aside; returns the thread, and the list that gets its outcome."""
    outcome = []

    def run():
        try:
            outcome.append(job())
        except Exception as error:
            outcome.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread, outcome


def test_a_client_is_closed_when_the_last_request_has_its_answer_and_takes_no_other(slow):
    url, asked, answer = slow
    http = httpx.Client(trust_env=False, timeout=DEADLINE)
    shared = SharedClient(http, DEADLINE)

    def ask() -> int:
        with shared.use() as client:
            return client.get(url).status_code

    asking, got = in_thread(ask)
    assert asked.wait(DEADLINE)
    closing, closed = in_thread(shared.close)
    while True:
        try:
            with shared.use():
                pass
        except httpx.ConnectError:
            break
    assert not http.is_closed, "the socket of a request that goes on stays open"
    answer.set()
    for thread in (asking, closing):
        thread.join(DEADLINE)
    assert (got, closed, http.is_closed) == ([200], [None], True)


def test_a_request_without_end_is_told_and_keeps_its_client_open(slow):
    url, asked, answer = slow
    http = httpx.Client(trust_env=False, timeout=DEADLINE)
    shared = SharedClient(http, deadline=0.05)

    def ask() -> int:
        with shared.use() as client:
            return client.get(url).status_code

    asking, got = in_thread(ask)
    assert asked.wait(DEADLINE)
    with pytest.raises(AssertionError, match="1 requests go on"):
        shared.close()
    assert not http.is_closed
    answer.set()
    asking.join(DEADLINE)
    assert got == [200]
    shared.close()
