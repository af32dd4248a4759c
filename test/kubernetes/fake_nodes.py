"""One process that answers for the media nodes of many clusters: admin API over HTTPS, with each cluster's own token and certificate. A link is
fresh while both its ends are there and connected to each other; media there is none. Nodes can be told to be as bad as real ones: slow, silent,
lying, known by another certificate."""

import asyncio
import contextlib
import json
import ssl
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

ADMIN_PORT = 4001
# Where nothing listens: links are numbers here.
PIPE_PORT = 24000
START_DEADLINE = 10


class Refusal(Exception):
    """An answer that is no success."""

    def __init__(self, status: HTTPStatus, detail: str):
        super().__init__(detail)
        self.status = status
        self.detail = detail


@dataclass
class Link:
    id: str
    remote: str | None


class FakeNode:
    """What one node knows, and how it changes: as a real one does it, in docs/admin-api.yaml."""

    def __init__(self, name: str, incarnation: str, address: str, token: str, nodes: "set[FakeNode]"):
        self._nodes = nodes
        """All that run, this one among them."""
        self.name = name
        self.incarnation = incarnation
        self.address = address
        self.token = token
        self.revision = 1
        self.asked = 0
        """Requests."""
        self.links: dict[tuple[str, str, int], Link] = {}
        self.peers: dict[str, dict] = {}
        self.reasons: list[str] = []
        self.publishers = 0
        self.viewers = 0
        self.delay = 0.0
        """Before each answer, in seconds."""
        self.claims: dict = {}
        """What its report says instead of the truth."""
        self.unheard: set[str] = set()
        """Peers of which no packet arrives, whatever is connected."""
        self.changed = asyncio.Event()
        self._drawn = 0

    async def answer(self, method: str, target: str, body: bytes) -> tuple[HTTPStatus, dict | None]:
        self.asked += 1
        url = urlsplit(target)
        query = parse_qs(url.query)
        await asyncio.sleep(self.delay)
        match method, url.path.removeprefix("/admin/v1/").split("/"):
            case "GET", ["node"]:
                await self.wait_for_news(query.get("after", [""])[0], query.get("wait", ["0s"])[0])
                return HTTPStatus.OK, self.report()
            case "PUT", ["links", peer]:
                return HTTPStatus.OK, self.put_links(peer, json.loads(body))
            case "POST", ["links", "close"]:
                self.close_links(json.loads(body))
                return HTTPStatus.NO_CONTENT, None
            case "POST", ["drain"]:
                return HTTPStatus.OK, self.drain(**json.loads(body))
            case "DELETE", ["drain"]:
                return HTTPStatus.OK, self.undrain(query["reason"][0])
        raise Refusal(HTTPStatus.NOT_FOUND, f"{method} {url.path}")

    async def wait_for_news(self, after: str, wait: str) -> None:
        if after != str(self.revision):
            return
        seconds = float(wait.removesuffix("ms")) / 1000 if wait.endswith("ms") else float(wait.removesuffix("s"))
        # Not `wait_for`, which until Python 3.12 swallows a cancellation that comes together with the news.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.changed.wait()

    def report(self) -> dict:
        return {
            "apiVersion": 1,
            "version": "fake",
            "name": self.name,
            "incarnation": self.incarnation,
            "adminUrl": f"https://{self.address}:{ADMIN_PORT}",
            "clientUrl": f"http://{self.address}:3001",
            "revision": self.revision,
            "workers": 1,
            "linkEncryption": False,
            "ready": self.ready,
            "draining": bool(self.reasons),
            "drain": {"reasons": self.reasons},
            "redis": True,
            "peers": list(self.peers.values()),
            "links": [self.link_report(*key, link) for key, link in sorted(self.links.items())],
            "publications": [],
            "carried": [],
            "viewers": self.viewers,
            "publishers": self.publishers,
        } | self.claims

    @property
    def ready(self) -> bool:
        return not self.reasons

    def link_report(self, peer: str, incarnation: str, lane: int, link: Link) -> dict:
        is_heard = peer not in self.unheard and self.is_end_of(self.far_end(incarnation, lane), link)
        heard = "fresh" if is_heard else "stale"
        state = heard if link.remote else "connecting"
        end = {"id": link.id, "remote": link.remote, "state": state, "sinceMs": 0, "rttUs": None}
        return {"peer": peer, "peerIncarnation": incarnation, "lane": lane, **end}

    def far_end(self, incarnation: str, lane: int) -> Link | None:
        """The end that a peer has of a link with this node."""
        peers = (node for node in self._nodes if node.incarnation == incarnation)
        return next((link for node in peers if (link := node.links.get((self.name, self.incarnation, lane)))), None)

    @staticmethod
    def is_end_of(far: Link | None, near: Link) -> bool:
        return far is not None and (far.id, far.remote) == (near.remote, near.id)

    def drain(self, reason: str, deadlineSeconds: int) -> dict:
        """Viewers leave at once, publishers at the deadline."""
        if reason not in self.reasons:
            self.reasons.append(reason)
            self.viewers = 0
            asyncio.get_running_loop().call_later(deadlineSeconds, self.end_publishers)
            self.has_changed()
        return {"reasons": self.reasons}

    def undrain(self, reason: str) -> dict:
        if reason in self.reasons:
            self.reasons.remove(reason)
            self.has_changed()
        return {"reasons": self.reasons}

    def end_publishers(self) -> None:
        if self.reasons and self.publishers:
            self.publishers = 0
            self.has_changed()

    def put_links(self, peer: str, request: dict) -> dict:
        self.must_be_meant(request)
        self.drop(request.get("close", []))
        self.peers[peer] = request["peer"]
        ends = [self.put_lane((peer, request["peer"]["incarnation"], lane["lane"]), lane) for lane in request["lanes"]]
        self.links_have_changed()
        return {"links": ends}

    def put_lane(self, key: tuple[str, str, int], request: dict) -> dict:
        action, seen = request["end"]["action"], request["end"].get("link")
        there = self.links.get(key)
        if action != "ensure" and (there is None or there.id != seen):
            raise Refusal(HTTPStatus.CONFLICT, f"link {seen} is not there")
        remote = request["remote"]["id"] if request.get("remote") else None
        if there is None or action == "replace":
            self._drawn += 1
            there = self.links[key] = Link(f"{self.name}-{self._drawn}", None)
        if remote and there.remote not in (None, remote):
            raise Refusal(HTTPStatus.CONFLICT, f"link {there.id} is connected to {there.remote}")
        there.remote = remote or there.remote
        return {"lane": key[2], "id": there.id, "ip": self.address, "port": PIPE_PORT, "srtp": None, "beat": {}}

    def close_links(self, request: dict) -> None:
        self.must_be_meant(request)
        self.drop(request["links"])
        self.links_have_changed()

    def drop(self, links: list[str]) -> None:
        self.links = {key: link for key, link in self.links.items() if link.id not in links}

    def must_be_meant(self, request: dict) -> None:
        if request["incarnation"] != self.incarnation:
            raise Refusal(HTTPStatus.CONFLICT, f"this is {self.incarnation}")

    def links_have_changed(self) -> None:
        """Peers hear, or hear no more."""
        self.has_changed()
        for node in self._nodes - {self}:
            if any(incarnation == self.incarnation for _, incarnation, _ in node.links):
                node.has_changed()

    def has_changed(self) -> None:
        self.revision += 1
        self.changed.set()
        self.changed = asyncio.Event()


class FakeNodes:
    """Serves nodes, each at its own address, from one thread."""

    def __init__(self):
        self._loop = asyncio.new_event_loop()
        self._servers: dict[str, asyncio.Server] = {}
        self._running: set[FakeNode] = set()
        self._conversations: dict[str, set[asyncio.Task]] = {}
        self._thread = threading.Thread(target=self._loop.run_forever, name="fake nodes", daemon=True)
        self._thread.start()

    def close(self) -> None:
        for address in list(self._servers):
            self.stop(address)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(START_DEADLINE)

    def start(self, name: str, incarnation: str, address: str, secret: dict[str, bytes]) -> FakeNode:
        """A node that answers; `secret` is its cluster's admin Secret."""
        node = FakeNode(name, incarnation, address, secret["token"].decode().split()[0], self._running)
        self._run(self._serve(node, server_tls(secret)))
        return node

    def change(self, node: FakeNode, **what) -> None:
        """Changes a node's attributes, and whoever waits for its news gets them."""

        async def change() -> None:
            for name, value in what.items():
                setattr(node, name, value)
            node.has_changed()

        self._run(change())

    def start_silent(self, address: str) -> None:
        """One that takes connections and says nothing."""
        self._run(self._listen(address, lambda reader, writer: reader.read()))

    def stop(self, address: str) -> None:
        async def end():
            if server := self._servers.pop(address, None):
                server.close()
                conversations = self._conversations.pop(address)
                for conversation in conversations:
                    conversation.cancel()
                await asyncio.gather(*conversations, return_exceptions=True)
            for node in [node for node in self._running if node.address == address]:
                self._running.discard(node)
                node.links_have_changed()

        self._run(end())

    def _run(self, what) -> None:
        asyncio.run_coroutine_threadsafe(what, self._loop).result(START_DEADLINE)

    async def _serve(self, node: FakeNode, tls: ssl.SSLContext) -> None:
        self._running.add(node)
        await self._listen(node.address, lambda reader, writer: converse(node, reader, writer), ssl=tls)

    async def _listen(self, address: str, answer, **options) -> None:
        conversations = self._conversations[address] = set()

        async def connection(reader, writer):
            task = asyncio.current_task()
            conversations.add(task)
            try:
                # Whoever asked may be gone at any time, and so may the node.
                with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                    await answer(reader, writer)
            finally:
                conversations.discard(task)
                writer.close()

        self._servers[address] = await asyncio.start_server(connection, address, ADMIN_PORT, **options)


def server_tls(secret: dict[str, bytes]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory() as directory:
        for name in ("tls.crt", "tls.key"):
            Path(directory, name).write_bytes(secret[name])
        context.load_cert_chain(Path(directory, "tls.crt"), Path(directory, "tls.key"))
    return context


async def converse(node: FakeNode, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """HTTP/1.1, one request after the other."""
    while line := await reader.readline():
        method, target, _ = line.decode().split()
        headers = {name.lower(): value.strip() async for name, value in fields(reader)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        try:
            if headers.get("authorization") != f"Bearer {node.token}":
                raise Refusal(HTTPStatus.UNAUTHORIZED, "the token is not this cluster's")
            status, answer = await node.answer(method, target, body)
        except Refusal as no:
            status, answer = no.status, {"status": no.status, "title": no.status.phrase, "detail": no.detail}
        content = b"" if answer is None else json.dumps(answer).encode()
        writer.write(f"HTTP/1.1 {status.value} {status.phrase}\r\ncontent-type: application/json\r\ncontent-length: {len(content)}\r\n\r\n".encode())
        writer.write(content)
        await writer.drain()


async def fields(reader: asyncio.StreamReader) -> Iterator[tuple[str, str]]:
    while (line := (await reader.readline()).decode().strip()) != "":
        name, _, value = line.partition(":")
        yield name, value
