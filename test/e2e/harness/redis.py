"""As much of Redis's protocol as it takes to look at what the nodes write there, and to take it away."""

import socket


def ask(port: int, *words: str, host: str = "127.0.0.1", password: str | None = None):
    """One command to a Redis; answers text, a number, a list of these, or None."""
    with socket.create_connection((host, port), timeout=5) as connection, connection.makefile("rb") as answer:
        if password:
            _send(connection, "AUTH", password)
            _value(answer)
        _send(connection, *words)
        return _value(answer)


def _send(connection, *words: str) -> None:
    parts = [f"${len(word.encode())}\r\n{word}\r\n" for word in words]
    connection.sendall(f"*{len(words)}\r\n{''.join(parts)}".encode())


def _value(answer):
    line = answer.readline().decode().rstrip("\r\n")
    if not line:
        raise ConnectionError("Redis closed the connection")
    kind, rest = line[0], line[1:]
    if kind == "-":
        raise ConnectionError(f"Redis says {rest}")
    if kind == ":":
        return int(rest)
    if kind == "$":
        return None if rest == "-1" else answer.read(int(rest) + 2)[:-2].decode()
    if kind == "*":
        return [_value(answer) for _ in range(int(rest))]
    return rest
