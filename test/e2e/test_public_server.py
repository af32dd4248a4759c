"""`sfu-operator local` for clients on other machines: at an address of this machine that is not loopback."""

import contextlib
import ipaddress
import shlex
import socket
import ssl
import subprocess
from collections.abc import Iterator

import httpx
import pytest
from cryptography import x509

from harness.certificates import CA, CERTIFICATE, KEY, certify
from harness.cluster import Cluster
from harness.growth import grows
from harness.offers import offer
from harness.ports import slot
from harness.tokens import signed_by_secret
from harness.waiting import eventually

# For documentation (RFC 5737): every default route leads there, and nothing is sent.
SOMEWHERE = ("192.0.2.1", 9)
DIRECTION = {"whip": "sendonly", "whep": "recvonly"}
SDP = {"Content-Type": "application/sdp"}


@pytest.fixture(scope="module")
def address() -> str:
    """Of this machine, for others."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as it:
        it.connect(SOMEWHERE)
        own = it.getsockname()[0]
    assert not ipaddress.ip_address(own).is_loopback
    return own


@contextlib.contextmanager
def public(binaries, directory, front: str, *options: str) -> Iterator[Cluster]:
    """Two nodes that other machines reach; the state directory stays."""
    secret = directory / "state" / "auth-secret"
    observer = None if "--open" in options else lambda: signed_by_secret(secret, observe=True)
    with slot() as ports, Cluster(binaries, directory, ports, nodes=2, options=options, observer=observer) as cluster:
        cluster.front = front.format(port=ports.web)
        yield cluster


def printed_tokens(binaries, cluster: Cluster) -> list[str]:
    """Of a publisher, of viewers, and of whoever runs it: by the commands that the cluster printed, as they are."""
    said = cluster.child.log.read_text().splitlines()
    commands = [shlex.split(line) for line in said if line.strip().startswith("sfu-operator token ")]

    def made(command: list[str]) -> str:
        it = [binaries / command[0], *command[1:]]
        return subprocess.run(it, check=True, capture_output=True, text=True, timeout=10).stdout.strip()

    return [made(command) for command in commands]


def test_others_publish_and_watch_with_a_token_and_nobody_without(binaries, address, peers, stream, tmp_path):
    with public(binaries, tmp_path, f"http://{address}:{{port}}", "--listen", "0.0.0.0") as cluster:
        cluster.started()
        said = cluster.child.log.read_text()
        for words in (
            "everything is up (after",
            f"{cluster.front}\n",
            f"clients are told to send media to {address}",
            "--public-address",
        ):
            assert words in said, said
        assert "--tls-cert" in said, "that the page has no camera is said"

        for action in ("whip", "whep"):
            answer = cluster.http.post(
                f"{cluster.front}/{action}/{stream}", content=offer(direction=DIRECTION[action]), headers=SDP
            )
            assert answer.status_code == 401, answer.text
        assert cluster.http.get(f"{cluster.front}/api/v1/cluster").status_code == 401

        publisher, viewer, observer = printed_tokens(binaries, cluster)
        for action, wrong in (("whip", viewer), ("whep", publisher)):
            url = f"{cluster.front}/{action}/{stream}"
            headers = {**SDP, "Authorization": f"Bearer {wrong}"}
            answer = cluster.http.post(url, content=offer(direction=DIRECTION[action]), headers=headers)
            assert answer.status_code == 403, answer.text
        for token, expected in ((publisher, 403), (viewer, 403), (observer, 200)):
            headers = {"Authorization": f"Bearer {token}"}
            answer = cluster.http.get(f"{cluster.front}/api/v1/cluster", headers=headers)
            assert answer.status_code == expected, answer.text
        peers.generate(f"{cluster.whip(stream, 'sfu-1')}&access_token={publisher}", "--bind", address)
        grows(peers.count(f"{cluster.whep(stream, 'sfu-2')}&access_token={viewer}", "--bind", address))
        sessions = cluster.admin("GET", "sfu-1", "sessions", params={"stream": stream}).json()["sessions"]
        assert {it["address"] for it in sessions[0]["ice"]["candidates"]} == {address}

        # What is not for clients is not there.
        here = cluster.slot
        for port in (here.redis, here.client, here.admin, here.health):
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection((address, port), timeout=5).close()
        kept = (cluster.state / "auth-secret").read_text()
        assert (cluster.state / "auth-secret").stat().st_mode & 0o777 == 0o600

    # With the same directory, what people were given stays good. Behind a proxy on this machine, media comes from outside as well.
    with public(binaries, tmp_path, "http://127.0.0.1:{port}", "--public-address", address) as cluster:
        cluster.started()
        assert (cluster.state / "auth-secret").read_text() == kept
        assert "--trusted-proxy" in cluster.child.log.read_text(), "that all clients of the proxy count as one is said"
        peers.generate(f"{cluster.whip(stream, 'sfu-1')}&access_token={publisher}", "--bind", address)


def trusts(directory) -> httpx.Client:
    return httpx.Client(verify=ssl.create_default_context(cafile=directory / CA), trust_env=False, timeout=5)


def test_the_front_door_speaks_https_and_follows_a_renewed_certificate(binaries, address, tmp_path):
    def renew() -> None:
        certify(tmp_path, x509.IPAddress(ipaddress.ip_address(address)))

    def answers(client: httpx.Client) -> bool:
        with contextlib.suppress(httpx.ConnectError):
            return client.get(f"{cluster.front}/readyz").status_code == 200
        return False

    renew()
    files = ("--tls-cert", str(tmp_path / CERTIFICATE), "--tls-key", str(tmp_path / KEY))
    with public(binaries, tmp_path, f"https://{address}:{{port}}", "--listen", address, "--open", *files) as cluster:
        cluster.http.close()
        cluster.http = trusts(tmp_path)
        cluster.started()
        said = cluster.child.log.read_text()
        assert f"{cluster.front}\n" in said, said
        assert "--open: whoever reaches the front door may publish and watch" in said
        assert not (cluster.state / "auth-secret").exists()
        renew()
        with trusts(tmp_path) as new:
            eventually("the new certificate is shown", lambda: answers(new), within=15)
            assert new.post(f"{cluster.front}/whip/open", content=offer(direction="sendonly"), headers=SDP).status_code == 201


def test_an_address_of_another_machine_is_refused_before_anything_starts(binaries):
    command = [binaries / "sfu-operator", "local", "--listen", "203.0.113.7"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    for words in ("203.0.113.7 is no address of this machine", "--public-address"):
        assert words in done.stderr
