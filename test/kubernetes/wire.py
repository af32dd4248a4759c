"""What crosses the network of a machine over TCP, as whoever listens there sees it."""

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator

from testcluster.machines import Machine

# linux/if_ether.h
ETH_P_ALL = 0x0003
TCP = 6
# Packets that the kernel has put together are longer than any on a cable.
LONGEST = 1 << 17
# How soon the end is noticed.
PAUSE = 0.2
# Room for what comes while Python looks at something else.
BUFFER = 1 << 24
SO_RCVBUFFORCE = 33


class Wire:
    """The payloads of TCP to and from some ports, on the networks of these machines."""

    def __init__(self, ports: set[int]):
        self._ports = ports
        self._payloads: list[tuple[int, bytes]] = []
        self._closed = threading.Event()
        self._threads: list[threading.Thread] = []

    def seen(self, port: int) -> bytes:
        """What was seen to and from a port so far, one packet after the other."""
        return b"\n".join(payload for at, payload in list(self._payloads) if at == port)

    def tap(self, machine: Machine) -> None:
        with machine.network():
            # Without the header of the link, so that all begin with IP.
            tap = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_ALL))
        tap.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER)
        tap.settimeout(PAUSE)
        thread = threading.Thread(target=self._listen, args=(tap,), name=f"wire of {machine}", daemon=True)
        thread.start()
        self._threads.append(thread)

    def close(self) -> None:
        self._closed.set()
        for thread in self._threads:
            thread.join()

    def _listen(self, tap: socket.socket) -> None:
        with tap:
            while not self._closed.is_set():
                with contextlib.suppress(TimeoutError):
                    self._note(tap.recv(LONGEST))

    def _note(self, packet: bytes) -> None:
        for port, payload in tcp(packet):
            if port in self._ports and payload:
                self._payloads.append((port, payload))


def tcp(packet: bytes) -> Iterator[tuple[int, bytes]]:
    """Both ports of a packet, each with its payload; none of what is no TCP."""
    match packet[0] >> 4 if len(packet) > 9 else 0:
        case 4:
            begin, protocol = (packet[0] & 15) * 4, packet[9]
        case 6:
            begin, protocol = 40, packet[6]
        case _:
            return
    if protocol != TCP or len(packet) < begin + 20:
        return
    payload = packet[begin + (packet[begin + 12] >> 4) * 4 :]
    for port in struct.unpack_from("!HH", packet, begin):
        yield port, payload


@contextlib.contextmanager
def tapped(machines: list[Machine], ports: set[int]) -> Iterator[Wire]:
    """Listens on these machines while in this context."""
    wire = Wire(ports)
    try:
        for machine in machines:
            wire.tap(machine)
        yield wire
    finally:
        wire.close()
