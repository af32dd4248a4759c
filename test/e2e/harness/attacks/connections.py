"""Attacks by connections that are kept: silent ones, those that trickle."""

import itertools
import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, replace

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
# Seconds: well before 10, after which headers and bodies that are not complete are given up in any case.
BOUNDED_WITHIN = 3


@dataclass(frozen=True)
class Listener:
    """Where connections are made, and how many there may be."""

    port: int
    most: int
    # For those that finish the handshake, where it has TLS.
    tls: ssl.SSLContext | None = None
    # Whose connections they are.
    source: str = LOOPBACK


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
            address, source = (LOOPBACK, self._listener.port), (self._listener.source, 0)
            connection = socket.create_connection(address, timeout=5 * PATIENCE, source_address=source)
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

        eventually("no listener has more than it may", bounded, within=BOUNDED_WITHIN)
        scene.under_way.set()
        while not scene.over.wait(0.1):
            for name, one in held.items():
                one.add(max(0, listeners[name].most - one.sweep()))
        for name, one in held.items():
            assert one.closed, f"{name} has closed none"


# What all connections of loopback together may trickle: it has no share that would keep it from taking all places.
FROM_LOOPBACK = 20
# Places that one client may have, of ten: half, and those that it had asked for by then.
SHARE = 6


def slow_bodies(scene: Scene, listeners: Mapping[str, Listener]) -> None:
    """Bodies of which a byte comes now and then, at every place that one client can get."""
    heads = [POST + more for more in (b"Content-Length: 60000\r\n\r\nv=0\r\n", b"Transfer-Encoding: chunked\r\n\r\n")]
    source = own_address()
    with ExitStack() as stack:
        doors = []
        for name in ("clients", "front door"):
            most = listeners[name].most
            held = stack.enter_context(closing(Held(replace(listeners[name], source=source or LOOPBACK))))
            doors.append((held, most * 11 // 10 if source else FROM_LOOPBACK, most * SHARE // 10))
        for held, number, _ in doors:
            held.add(number, itertools.cycle(heads))
        shared = lambda: all(held.sweep() <= share for held, _, share in doors)  # noqa: E731
        eventually("nobody has more than a share", shared, within=BOUNDED_WITHIN)
        scene.under_way.set()
        while not scene.over.wait(0.2):
            for held, number, _ in doors:
                held.trickle(b"1\r\na\r\n")
                held.add(min(FROM_LOOPBACK, number - held.sweep()), itertools.cycle(heads))


def own_address() -> str | None:
    """An address of this machine that is not loopback, and so has a share; none where there is no network."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked, suppress(OSError):
        # Nothing is sent: the kernel names the address that it would send from.
        asked.connect(("192.0.2.1", 9))
        return asked.getsockname()[0]
    return None
