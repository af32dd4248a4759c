"""A media node with HTTPS for front doors, and a front door that uses it: as on Kubernetes. Local mode has none."""

import contextlib
import signal
import ssl
from collections.abc import Iterator
from pathlib import Path

import httpx
from cryptography import x509

from harness.certificates import CA, CERTIFICATE, KEY, certify
from harness.ports import Slot
from harness.processes import Child
from harness.waiting import eventually

# What certificates of nodes are made out to.
NODE = "admin.sfumato.internal"


class SecureNode:
    """The two of them. All that clients may reach is on loopback."""

    def __init__(self, binaries: Path, directory: Path, slot: Slot, env: dict[str, str]):
        self.slot = slot
        self.secure_port = slot.client + 1
        self.front = f"http://127.0.0.1:{slot.web}"
        self.health = f"http://127.0.0.1:{slot.health}"
        directory.mkdir(parents=True, exist_ok=True)
        self._ca = directory / CA
        token = directory / "token"
        token.write_text("e2e-" * 10)
        certify(directory, x509.DNSName(NODE))
        here = "127.0.0.1:{}".format
        tls = ("--admin-tls-cert", directory / CERTIFICATE, "--admin-tls-key", directory / KEY, "--admin-ca", self._ca)
        listeners = ("--listen", here(slot.client), "--secure-listen", here(self.secure_port), "--admin-listen", here(slot.admin))
        more = ("--health-listen", here(slot.health), "--media-port", str(slot.media), "--admin-token-file", token)
        links = ("--pipe-ports", f"{slot.pipes}-{slot.pipes + 99}")
        command = [binaries / "sfu-node", "--workers", "1", *listeners, *tls, *more, *links]
        self.node = Child("sfu-node", command, directory / "node.log", env=env)
        seed = ("--seed", f"https://127.0.0.1:{slot.admin}", "--admin-token-file", token, "--admin-ca", self._ca)
        self.door = Child("sfu-web", [binaries / "sfu-web", "--listen", here(slot.web), *seed], directory / "web.log", env=env)

    def started(self):
        for url in (self.health, self.front):
            eventually(f"{url} is ready", lambda url=url: httpx.get(f"{url}/readyz", trust_env=False).is_success, within=15)
        return self

    def running(self) -> bool:
        return self.node.running() and self.door.running()

    def trust(self) -> ssl.SSLContext:
        """For clients that believe in whatever is there."""
        context = ssl.create_default_context(cafile=str(self._ca))
        context.check_hostname = False
        return context

    def stop(self) -> None:
        self.door.stop()
        # At once: SIGTERM would have it wait for its publishers.
        if self.node.running():
            self.node.process.send_signal(signal.SIGINT)
        self.node.stop()


@contextlib.contextmanager
def secure_node(binaries: Path, directory: Path, slot: Slot, env: dict[str, str]) -> Iterator[SecureNode]:
    one = SecureNode(binaries, directory, slot, env)
    try:
        yield one.started()
    finally:
        one.stop()
