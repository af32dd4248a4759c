"""`sfu-smoke --check-media`: which of UDP, TCP and TURN gets through to each node, and what to change where none does."""

import contextlib
import http.server
import ipaddress
import re
import ssl
import subprocess
import threading

import httpx
import pytest
from cryptography import x509

from harness.certificates import CA, CERTIFICATE, KEY, certify
from harness.waiting import eventually

PROGRAM = "sfu-smoke"
# Nothing listens there, over UDP or over TCP.
CLOSED = "127.0.0.1:9"
# RFC 5737: no machine has this address.
NOWHERE = "192.0.2.1"
GETS_THROUGH = r"gets through, back after \d+\.\d ms; the node sees 127\.0\.0\.1:\d+"


@pytest.fixture
def run(binaries):
    """Runs it against a front door."""

    def run(door: str, *options) -> subprocess.CompletedProcess[str]:
        command = [binaries / PROGRAM, "--door", door, "--within", "30s", *options]
        return subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)

    return run


@pytest.fixture
def check(run):
    return lambda door, *options: run(door, "--check-media", *options)


@pytest.fixture
def one_node(make_cluster):
    """A cluster of one node with one worker, whose processes have these environment variables."""
    return lambda **env: make_cluster(nodes=1, options=("--workers", "1"), env=env).started()


def test_udp_and_tcp_get_through_to_every_node_and_no_session_stays(cluster, check):
    done = check(cluster.front, "--nodes", "3")
    assert done.returncode == 0, done.stdout + done.stderr
    *lines, passed = done.stdout.splitlines()
    assert passed == "passed: media gets through to every node of 3"
    for name in cluster.names():
        for transport in ("udp", "tcp"):
            seen = [line for line in lines if re.fullmatch(rf"{name}: {transport} 127\.0\.0\.1:\d+: {GETS_THROUGH}", line)]
            assert len(seen) == 1, done.stdout
        assert f"{name}: UDP yes, TCP yes, TURN no server named" in lines
    assert all(not report["publishers"] for report in cluster.reports().values()), "its sessions are over"


def test_a_port_that_nobody_opened_is_told_with_what_to_change(one_node, check):
    turn = f"turn:{CLOSED}?transport=udp username=user credential=kept-to-itself"
    cluster = one_node(SFUMATO_MEDIA_ANNOUNCED=CLOSED, SFUMATO_ICE_SERVERS=turn)
    done = check(cluster.front)
    assert done.returncode == 1, done.stdout + done.stderr
    assert done.stdout.splitlines() == [
        f"sfu-1: udp {CLOSED}: connection refused",
        f"sfu-1: tcp {CLOSED}: connection refused",
        f"sfu-1: turn:{CLOSED}?transport=udp (udp): connection refused",
        "sfu-1: UDP no, TCP no, TURN no",
    ]
    assert "media gets through to 0 of 1 nodes, and not to sfu-1. Advice: nothing listens at port 9 of 127.0.0.1" in done.stderr
    assert "kept-to-itself" not in done.stdout + done.stderr


def test_an_address_that_nobody_has_is_told_with_what_to_change(one_node, check):
    cluster = one_node(SFUMATO_MEDIA_ANNOUNCED=NOWHERE)
    done = check(cluster.front)
    assert done.returncode == 1, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "sfu-1: UDP no, TCP no, TURN no server named"
    # What comes back depends on the network of this machine: nothing, a router's word, or that there is no way.
    advice = done.stderr.partition("Advice: ")[2]
    assert NOWHERE in advice, done.stderr


def test_a_stream_whose_media_never_connects_names_where_it_was_to_go(one_node, run):
    cluster = one_node(SFUMATO_MEDIA_ANNOUNCED=CLOSED)
    done = run(cluster.front)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "node sfu-1 takes no publisher: media did not connect" in done.stderr
    assert f"the candidates udp {CLOSED}, tcp {CLOSED}" in done.stderr
    assert f"`sfu-smoke --check-media --door {cluster.front}`" in done.stderr


def test_a_node_that_takes_no_sessions_is_told(cluster, check):
    cluster.admin("POST", "sfu-2", "drain", json={"reason": "manual", "deadlineSeconds": 3600}).raise_for_status()
    try:
        eventually("the front door knows", lambda: cluster.json()["nodes"][1]["draining"], within=5)
        done = check(cluster.front)
    finally:
        cluster.admin("DELETE", "sfu-2", "drain?reason=manual").raise_for_status()
    assert done.returncode == 1, done.stdout + done.stderr
    assert "sfu-2: not tried: it is draining, and takes no new sessions" in done.stdout.splitlines()
    assert "media gets through to 2 of 3 nodes, and not to sfu-2" in done.stderr


class Forwarding(http.server.BaseHTTPRequestHandler):
    """Passes requests on to `front`, as a proxy with TLS does."""

    front: str
    client: httpx.Client

    def forward(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        kept = {name: self.headers[name] for name in ("Content-Type", "Accept") if name in self.headers}
        answer = self.client.request(self.command, self.front + self.path, content=body, headers=kept)
        self.send_response(answer.status_code)
        for name in ("Content-Type", "Location"):
            if name in answer.headers:
                self.send_header(name, answer.headers[name])
        self.send_header("Content-Length", str(len(answer.content)))
        self.end_headers()
        self.wfile.write(answer.content)

    do_GET = do_POST = do_DELETE = forward

    def log_message(self, *_):
        pass


@pytest.fixture
def with_tls(tmp_path):
    """Puts a front door behind TLS, with a certificate of a CA in `tmp_path`; answers its URL."""
    certify(tmp_path, x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / CERTIFICATE, tmp_path / KEY)
    with contextlib.ExitStack() as stack:

        def start(front: str) -> str:
            client = stack.enter_context(httpx.Client(trust_env=False, timeout=15))
            handler = type("Handler", (Forwarding,), {"front": front, "client": client})
            server = stack.enter_context(http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler))
            server.socket = context.wrap_socket(server.socket, server_side=True)
            threading.Thread(target=server.serve_forever, daemon=True).start()
            stack.callback(server.shutdown)
            return f"https://127.0.0.1:{server.server_port}"

        yield start


def test_a_front_door_with_tls_is_asked_where_its_ca_is_trusted(cluster, check, with_tls, tmp_path):
    door = with_tls(cluster.front)
    done = check(door, "--ca", tmp_path / CA)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "passed: media gets through to every node of 3"
    refused = check(door)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "--ca" in refused.stderr, refused.stderr
