"""Port ranges for one cluster: far from the defaults, never shared by two clusters, also not by two runs of this suite."""

import contextlib
import fcntl
import socket
import tempfile
from dataclasses import dataclass
from pathlib import Path

SLOTS = 8
MOST_NODES = 5


@dataclass(frozen=True)
class Slot:
    """Slot k: media from 10000 + 1000 k, links from 10500 + 1000 k (100 a node each), everything else from 18000 + 100 k."""

    number: int

    @property
    def media(self) -> int:
        return 10000 + 1000 * self.number

    @property
    def pipes(self) -> int:
        return self.media + 500

    @property
    def web(self) -> int:
        return 18000 + 100 * self.number

    @property
    def redis(self) -> int:
        return self.web + 1

    @property
    def client(self) -> int:
        return self.web + 10

    @property
    def admin(self) -> int:
        return self.web + 30

    @property
    def health(self) -> int:
        return self.web + 50

    def options(self) -> list[str]:
        ports = {
            "web-port": self.web,
            "client-port-base": self.client,
            "admin-port-base": self.admin,
            "health-port-base": self.health,
            "redis-port": self.redis,
            "media-port-base": self.media,
            "pipe-port-base": self.pipes,
        }
        return [text for name, port in ports.items() for text in (f"--{name}", str(port))]

    def tcp_ports(self) -> list[int]:
        bases = (self.client, self.admin, self.health)
        return [self.web, self.redis, *(base + i for base in bases for i in range(MOST_NODES))]

    def udp_ports(self) -> list[int]:
        return [base + 100 * i + w for base in (self.media, self.pipes) for i in range(MOST_NODES) for w in range(8)]

    def taken(self) -> list[str]:
        """The ports of this slot that somebody listens on."""
        tcp = [f"TCP {port}" for port in self.tcp_ports() if not can_bind(port, socket.SOCK_STREAM)]
        return tcp + [f"UDP {port}" for port in self.udp_ports() if not can_bind(port, socket.SOCK_DGRAM)]


def can_bind(port: int, kind: socket.SocketKind) -> bool:
    with socket.socket(socket.AF_INET, kind) as it:
        if kind == socket.SOCK_STREAM:
            # As servers do: what lingers in TIME_WAIT is no listener.
            it.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            it.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


@contextlib.contextmanager
def slot():
    """A slot that is free, for the length of the block."""
    for number in range(SLOTS):
        candidate = Slot(number)
        with (Path(tempfile.gettempdir()) / f"sfumato-e2e-slot-{number}.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                continue
            if not candidate.taken():
                yield candidate
                return
    raise AssertionError(f"no free range of ports in {SLOTS}: is an old run still alive?")
