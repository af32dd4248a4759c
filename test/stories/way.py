"""The way from an operator to the API server, and what may happen on it: chosen requests are answered otherwise, or never."""

import asyncio
import json
import re
import ssl
import threading
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus

import h11
import httpx

from control_plane import ControlPlane

START_DEADLINE = 10
PORT = 8001
# What belongs to one connection, and not to what is passed on.
OF_CONNECTION = {b"host", b"connection", b"transfer-encoding"}


@dataclass
class Rule:
    """What is done to requests of these methods whose path and query have the pattern in them, so many times."""

    methods: str
    pattern: str
    status: HTTPStatus | None
    """What they are answered; without one they are never answered."""
    times: int
    headers: dict[str, str] = field(default_factory=dict)
    hits: int = 0

    def takes(self, method: str, target: str) -> bool:
        if self.hits == self.times or method not in self.methods.split() or not re.search(self.pattern, target):
            return False
        self.hits += 1
        return True

    @property
    def spent(self) -> bool:
        return self.hits == self.times


class Way:
    """Listens at an address, for plain HTTP."""

    def __init__(self, plane: ControlPlane, address: str):
        self.url = f"http://{address}:{PORT}"
        self._server = plane.server
        self._trust = ssl.create_default_context(cafile=str(plane.authority))
        self._address = address
        self._rules: list[Rule] = []
        self._conversations: set[asyncio.Task] = set()
        self._listener: asyncio.Server | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="way", daemon=True)
        self._thread.start()
        self.open()

    def open(self) -> None:
        async def listen():
            self._listener = await asyncio.start_server(self._connection, self._address, PORT)

        self._run(listen())

    def cut(self) -> None:
        """Ends all connections and takes no further ones, as where an API server has died."""

        async def end():
            self._listener.close()
            for conversation in list(self._conversations):
                conversation.cancel()
            await asyncio.gather(*self._conversations, return_exceptions=True)

        self._run(end())

    def close(self) -> None:
        self.cut()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(START_DEADLINE)

    def answer(self, methods: str, pattern: str, status: HTTPStatus, times: int = 1, **headers: str) -> Rule:
        """Has the next requests answered so, in the API server's name."""
        return self._add(Rule(methods, pattern, status, times, headers))

    def swallow(self, methods: str, pattern: str, times: int = 1) -> Rule:
        """Has the next requests never answered."""
        return self._add(Rule(methods, pattern, None, times))

    def _add(self, rule: Rule) -> Rule:
        self._rules.append(rule)
        return rule

    def _run(self, what) -> None:
        asyncio.run_coroutine_threadsafe(what, self._loop).result(START_DEADLINE)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        self._conversations.add(task)
        try:
            # Either end may be gone at any time, and the way may be cut.
            with suppress(OSError, httpx.HTTPError, h11.RemoteProtocolError, asyncio.CancelledError):
                async with httpx.AsyncClient(base_url=self._server, verify=self._trust, trust_env=False, timeout=None) as upstream:
                    await self._converse(upstream, reader, writer)
        finally:
            self._conversations.discard(task)
            writer.close()

    async def _converse(self, upstream: httpx.AsyncClient, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request after the other."""
        connection = h11.Connection(h11.SERVER)
        while isinstance(request := await next_event(connection, reader), h11.Request):
            body = b""
            while isinstance(part := await next_event(connection, reader), h11.Data):
                body += part.data
            method, target = request.method.decode(), request.target.decode()
            rule = next((rule for rule in self._rules if rule.takes(method, target)), None)
            if rule is None:
                answer = self._pass_on(upstream, request, body)
            elif rule.status is None:
                await reader.read()
                return
            else:
                answer = refuse(rule)
            async for event in answer:
                writer.write(connection.send(event))
                await writer.drain()
            if connection.our_state is not h11.DONE:
                return
            connection.start_next_cycle()

    async def _pass_on(self, upstream: httpx.AsyncClient, request: h11.Request, body: bytes) -> AsyncIterator[h11.Event]:
        method, target = request.method.decode(), request.target.decode()
        headers = [(name, value) for name, value in request.headers if name not in OF_CONNECTION]
        async with upstream.stream(method, target, headers=headers, content=body) as answer:
            kept = [(name, value) for name, value in answer.headers.raw if name.lower() not in OF_CONNECTION]
            if "content-length" not in answer.headers:
                kept.append((b"transfer-encoding", b"chunked"))
            yield h11.Response(status_code=answer.status_code, headers=kept)
            async for part in answer.aiter_raw():
                yield h11.Data(data=part)
        yield h11.EndOfMessage()


async def next_event(connection: h11.Connection, reader: asyncio.StreamReader) -> h11.Event:
    while (event := connection.next_event()) is h11.NEED_DATA:
        connection.receive_data(await reader.read(65536))
    return event


async def refuse(rule: Rule) -> AsyncIterator[h11.Event]:
    """As the API server says no."""
    words = {"message": f"injected: {rule.status.phrase}", "reason": rule.status.phrase.title().replace(" ", ""), "code": rule.status.value}
    content = json.dumps({"kind": "Status", "apiVersion": "v1", "status": "Failure", **words}).encode()
    headers = {"content-type": "application/json", "content-length": str(len(content))} | rule.headers
    yield h11.Response(status_code=rule.status.value, headers=list(headers.items()))
    yield h11.Data(data=content)
    yield h11.EndOfMessage()
