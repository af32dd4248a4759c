"""Addresses below 127.0.0.0/8 that nobody else uses: on Linux each of them is this computer's own, without root, so every pod of a story has one, and
every program its usual port."""

import socket
from collections.abc import Iterator

# 127.64.0.0 to 127.127.255.255: far from 127.0.0.1, where everybody's programs listen.
SECOND = range(64, 128)
# Of a block of 256 addresses; those before are for programs.
FIRST_POD = 16


class Block:
    """256 addresses. They are this process's until it closes the block or ends: the kernel keeps the name of the lock for so long."""

    def __init__(self):
        self._lock = socket.socket(socket.AF_UNIX)
        self._prefix = next(prefix for prefix in prefixes() if self._is_ours(prefix))
        self._pods = [self.address(number) for number in range(255, FIRST_POD - 1, -1)]

    def address(self, number: int) -> str:
        return f"{self._prefix}.{number}"

    def take(self) -> str:
        """An address for a pod."""
        return self._pods.pop()

    def give_back(self, address: str) -> None:
        """It is given to another pod as late as can be: nobody must mistake one for the other."""
        self._pods.insert(0, address)

    def close(self) -> None:
        self._lock.close()

    def _is_ours(self, prefix: str) -> bool:
        try:
            self._lock.bind(f"\0sfumato-stories-{prefix}")
        except OSError:
            return False
        return True


def prefixes() -> Iterator[str]:
    return (f"127.{second}.{third}" for second in SECOND for third in range(256))
