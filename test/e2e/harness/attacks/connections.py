"""Attacks by connections that are kept: silent ones, those that trickle."""

import itertools
import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass

from harness.attacks.raw import POST
from harness.attacks.scene import LOOPBACK, Scene
from harness.waiting import PATIENCE, eventually

# What a client has said when it falls silent.
HALF_SAID = (
    b"",
    b"G",
    b"GET /livez HTTP/1.1\r\nHost: localh",
    b"GET /livez HTTP/1.1\r\nHost: localhost\r\n",
    b"\x16\x03\x01",
    b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n",
)


@dataclass(frozen=True)
class Listener:
    """Where connections are made, and how many there may be."""

    port: int
    most: int
    # For those that finish the handshake, where it has TLS.
    tls: ssl.SSLContext | None = None


class Held:
    """Connections to one listener that are kept for as long as the server lets them."""

    def __init__(self, listener: Listener):
        self._listener = listener
        self._open: list[socket.socket] = []
        self._words = itertools.cycle(HALF_SAID)
        # With TLS, every other one finishes the handshake.
        self._tls = itertools.cycle((None, listener.tls))
        # Those that the server has closed.
        self.closed = 0

    def add(self, number: int, words: Iterator[bytes] | None = None) -> None:
        for _ in range(number):
            connection = socket.create_connection((LOOPBACK, self._listener.port), timeout=5 * PATIENCE)
            # It may be closed at once.
            with suppress(OSError):
                if tls := next(self._tls):
                    connection = tls.wrap_socket(connection)
                connection.sendall(next(words or self._words))
            with suppress(OSError):
                connection.setblocking(False)
            self._open.append(connection)

    def sweep(self) -> int:
        """Gives up those that the server has closed; answers how many are left."""
        gone = {connection for connection in self._open if not lives(connection)}
        for connection in gone:
            connection.close()
        self.closed += len(gone)
        self._open = [connection for connection in self._open if connection not in gone]
        return len(self._open)

    def trickle(self, more: bytes) -> None:
        for connection in self._open:
            with suppress(OSError):
                connection.sendall(more)

    def close(self) -> None:
        for connection in self._open:
            connection.close()


def lives(connection: socket.socket) -> bool:
    try:
        while connection.recv(65536):
            pass
    except (BlockingIOError, ssl.SSLWantReadError):
        return True
    except OSError:
        return False
    return False


def silent(scene: Scene, listeners: Mapping[str, Listener]) -> None:
    """A tenth more than each listener may have, and for each that is closed another one."""
    with ExitStack() as stack:
        held = {name: stack.enter_context(closing(Held(listener))) for name, listener in listeners.items()}
        for name, one in held.items():
            one.add(listeners[name].most * 11 // 10)

        def bounded() -> bool:
            return all(one.sweep() <= listeners[name].most for name, one in held.items())

        eventually("no listener has more than it may", bounded, within=10)
        scene.under_way.set()
        while not scene.over.wait(0.1):
            for name, one in held.items():
                one.add(max(0, listeners[name].most - one.sweep()))
        for name, one in held.items():
            assert one.closed, f"{name} has closed none"


# Bodies of one attacker at each door: less than a tenth of the connections that there are.
SLOW = 20


def slow_bodies(scene: Scene) -> None:
    """Bodies of which a byte comes now and then."""
    head = POST + b"X-Forwarded-For: %s\r\nContent-Length: 60000\r\n\r\nv=0\r\n" % scene.address.encode()
    chunked = POST + b"X-Forwarded-For: %s\r\nTransfer-Encoding: chunked\r\n\r\n" % scene.address.encode()
    with ExitStack() as stack:
        doors = [stack.enter_context(closing(Held(Listener(scene.listeners()[name], SLOW)))) for name in ("clients", "front door")]
        for door in doors:
            door.add(SLOW, itertools.cycle((head, chunked)))
        scene.under_way.set()
        while not scene.over.wait(0.2):
            for door in doors:
                door.trickle(b"1\r\na\r\n")
                door.add(SLOW - door.sweep(), itertools.cycle((head, chunked)))
