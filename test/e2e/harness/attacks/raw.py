"""Attacks by bytes on the listeners of HTTP: shapes that are none, long headers, paths that lead out, many requests at once."""

import itertools
import re
import selectors
import socket
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, suppress

from harness.attacks.scene import LOOPBACK, Scene
from harness.waiting import PATIENCE

# Anywhere: a body ends without a line of its own.
STATUS = re.compile(rb"HTTP/1\.[01] (\d{3}) ")
# What a server says of a request that it does not understand.
NOT_IMPLEMENTED, OTHER_VERSION = 501, 505
POST = b"POST /whip/shape HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/sdp\r\n"
GET = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n"
# Ends the header of a request that is the last of its connection.
LAST = b"Connection: close\r\n\r\n"
# What a request that was hidden in another would be answered with a 200.
HIDDEN = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"

# No request of HTTP/1.1: refused, or the connection is closed without a word, or nothing comes as long as the request has no end.
SHAPES = {
    "HTTP/0.9": b"GET /livez\r\n\r\n",
    "a version that is none": b"GET /livez HTTP/9.9\r\nHost: localhost\r\n\r\n",
    "the preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9),
    "a ClientHello": b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00",
    "no first line": b": :\r\n\r\n",
    "blanks in the path": b"GET /livez and more HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "NUL in the path": b"GET /live\0z HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "NUL in a header": GET + b"X: a\0b\r\n\r\n",
    "a path without its slash": b"GET livez HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a method of 8,000 letters": b"G" * 8_000 + b" /livez HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a method of controls": b"\x01\x02 /livez HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a method that nobody knows": b"BREW /livez HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "CONNECT": b"CONNECT example.test:443 HTTP/1.1\r\nHost: example.test:443\r\n\r\n",
    "a path of 20,000 letters": b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "101 headers": GET + b"".join(b"X-%d: y\r\n" % number for number in range(101)) + b"\r\n",
    "a header without a colon": GET + b"nonsense\r\n\r\n",
    "a blank before the colon": GET + b"X : y\r\n\r\n",
    "a header that is folded": GET + b"X: a\r\n b\r\n\r\n",
    "CR without LF": GET + b"X: a\rY: b\r\n\r\n",
    "Content-Length below zero": POST + b"Content-Length: -1\r\n\r\n",
    "Content-Length with a sign": POST + b"Content-Length: +5\r\n\r\nhello",
    "Content-Length in hex": POST + b"Content-Length: 0x5\r\n\r\nhello",
    "Content-Length without end": POST + b"Content-Length: " + b"9" * 30 + b"\r\n\r\n",
    "two lengths": POST + b"Content-Length: 5\r\nContent-Length: %d\r\n\r\nhello" % (5 + len(HIDDEN)) + HIDDEN,
    "two lengths in one": POST + b"Content-Length: 5, 6\r\n\r\nhello" + HIDDEN,
    "an encoding that nobody knows": POST + b"Transfer-Encoding: cow\r\n\r\nhello" + HIDDEN,
    "chunked, and then not": POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n" + HIDDEN,
    "a chunk whose size is none": POST + b"Transfer-Encoding: chunked\r\n\r\nnonsense\r\n" + HIDDEN,
    "a chunk of 2^68 bytes": POST + b"Transfer-Encoding: chunked\r\n\r\n" + b"F" * 17 + b"\r\n" + HIDDEN,
    "a chunk below zero": POST + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n" + HIDDEN,
    "a chunk that is longer than it says": POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\nhello\r\n0\r\n\r\n",
    "64 kB of chunk extensions": POST + b"Transfer-Encoding: chunked\r\n\r\n1;" + b"x" * 64_000 + b"\r\nh\r\n0\r\n\r\n",
    "64 kB of trailers": POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n" + b"X: yyyyyyyyy\r\n" * 5_000 + b"\r\n",
}
# Unusual, and yet requests: one answer each, of which it matters only that it is one.
UNUSUAL = {
    "LF alone": b"GET /livez HTTP/1.1\nHost: localhost\nConnection: close\n\n",
    "line ends before it": b"\r\n\r\n" + GET + LAST,
    "an absolute URI": b"GET http://localhost/livez HTTP/1.1\r\nHost: localhost\r\n" + LAST,
    "no host": b"GET /livez HTTP/1.1\r\n" + LAST,
    "two hosts": GET + b"Host: elsewhere.test\r\n" + LAST,
    "an asterisk": b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n" + LAST,
    "an upgrade to HTTP/2": GET + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n" + LAST,
    "an expectation that nobody has": GET + b"Expect: the unexpected\r\n" + LAST,
    "length and chunks": POST + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n" + LAST + b"0\r\n\r\n",
}
# For as long as a busy server may be silent in the middle of something.
ANSWERED_WITHIN = 10


def answers(requests: Iterable[tuple[int, bytes]], within: float) -> list[bytes]:
    """What each port says to these bytes until it closes, or until nothing has come from any for so long; all side by side."""
    with ExitStack() as stack, selectors.DefaultSelector() as ready:
        said: dict[socket.socket, bytes] = {}
        for port, request in requests:
            connection = stack.enter_context(socket.create_connection((LOOPBACK, port), timeout=5 * PATIENCE))
            said[connection] = b""
            # It may be closed before it has taken all.
            with suppress(OSError):
                connection.sendall(request)
            ready.register(connection, selectors.EVENT_READ)
        while ready.get_map() and (seen := ready.select(within * PATIENCE)):
            for key, _ in seen:
                part = b""
                with suppress(OSError):
                    part = key.fileobj.recv(65536)
                said[key.fileobj] += part
                if not part:
                    ready.unregister(key.fileobj)
        return list(said.values())


def statuses(answer: bytes) -> list[int]:
    return [int(status) for status in STATUS.findall(answer)]


def shapes(scene: Scene) -> None:
    """Everything that is no request, and what is an unusual one, to every listener over and over."""
    while scene.goes_on() or not scene.under_way.is_set():
        # Those that wait for more are closed after 10 s: that is another test's.
        for where, codes in spoken(scene, SHAPES, within=1):
            assert all(400 <= code < 500 or code in (NOT_IMPLEMENTED, OTHER_VERSION) for code in codes), where
            assert len(codes) <= 1, where
        for where, codes in spoken(scene, UNUSUAL, within=ANSWERED_WITHIN):
            assert len(codes) == 1, where
            assert codes[0] < 500 or codes[0] in (NOT_IMPLEMENTED, OTHER_VERSION), where
        scene.under_way.set()


def spoken(scene: Scene, shapes: dict[str, bytes], within: float) -> Iterator[tuple[str, list[int]]]:
    """What each listener says to each shape: for people, and its statuses."""
    asked = [(listener, port, what) for listener, port in scene.listeners().items() for what in shapes]
    said = answers([(port, shapes[what]) for _, port, what in asked], within)
    for (listener, _, what), answer in zip(asked, said, strict=True):
        yield f"{listener}, {what}: {answer[:500]}", statuses(answer)


def long_headers(scene: Scene) -> None:
    """390 kB of header, twenty times side by side to each listener: none of it is kept."""
    lines = {"one": b"X: " + b"a" * 390_000 + b"\r\n\r\n", "many": b"X: aaaaaaaaaaaaaaaaaaaaaaaaaa\r\n" * 13_000}
    asked = [(port, GET + text) for port in scene.listeners().values() for text in lines.values() for _ in range(10)]
    while scene.goes_on() or not scene.under_way.is_set():
        said = [statuses(answer) for answer in answers(asked, ANSWERED_WITHIN)]
        # The connection may be reset before the answer is read, since more had come.
        assert all(codes in ([], [431]) for codes in said), f"{said}"
        assert [431] in said, "nobody was told why"
        scene.under_way.set()


FILE, TOKEN = b"root:", "admin-token"
# Ways out of what a listener serves: to files, to other listeners, into paths of the nodes that front doors must not ask for.
OUT = [
    way.encode()
    for up in ("../", "..%2f", "%2e%2e/", "%2e%2e%2f", "..%5c", "....//", "%252e%252e%252f", "..%c0%af", "..;/")
    for root in ("/", "/assets/", "/whip/", "/nodes/sfu-1/", "/nodes/sfu-1/whip/", "/api/v1/")
    for way in (f"{root}{up * 8}etc/passwd", f"{root}{up * 3}admin/v1/node")
] + [
    b"//etc/passwd",
    b"/nodes/sfu-1/admin/v1/node",
    b"/nodes/sfu-1//admin/v1/node",
    b"/nodes/127.0.0.1:22/whip/a/b",
    b"/nodes/http:%2f%2flocalhost%2f/whip/a/b",
    b"/nodes/sfu-1@localhost/whip/a/b",
    b"/nodes/sfu-1/whip/a/b%0d%0aX: y",
    b"/nodes/sfu-1/whip/a%2f..%2f..%2fadmin/b",
    b"http://localhost:1/nodes/sfu-1/whip/a/b",
    b"/nodes/sfu-1/whip/a/b?x=/../../admin/v1/node#y",
]


def ways_out(scene: Scene) -> None:
    """Paths that lead out of what is served."""
    token = (scene.cluster.state / TOKEN).read_bytes().strip()
    methods = itertools.cycle((b"GET", b"DELETE", b"PATCH"))
    listeners = [(name, port) for name, port in scene.listeners().items() if name != "admin"]
    while scene.goes_on() or not scene.under_way.is_set():
        method = next(methods)
        asked = [(name, port, way) for name, port in listeners for way in OUT]
        rest = b" HTTP/1.1\r\nHost: localhost\r\n" + LAST
        requests = [(port, method + b" " + way + rest) for _, port, way in asked]
        for (name, _, way), answer in zip(asked, answers(requests, ANSWERED_WITHIN), strict=True):
            where = f"{name}, {method} {way}: {answer[:500]}"
            assert FILE not in answer, where
            assert token not in answer, where
            assert b"incarnation" not in answer, where
            assert all(300 <= code < 500 for code in statuses(answer)), where
        scene.under_way.set()


# Requests in all, those of one connection, and connections at once.
POSTS, BATCH, AT_ONCE = 5_000, 50, 10
BODIES = (b"", b"v=0\r\n", b"hello", b'{"type":"offer"}')


def posts(scene: Scene) -> None:
    """5,000 requests to both doors as fast as they are taken, and more of them until the test is over."""
    head = POST + b"X-Forwarded-For: %s\r\n" % scene.address.encode()
    bodies = itertools.islice(itertools.cycle(BODIES), BATCH - 1)
    requests = [head + b"Content-Length: %d\r\n\r\n" % len(body) + body for body in bodies]
    batch = b"".join([*requests, head + b"Content-Length: 0\r\n" + LAST])
    doors = [scene.listeners()[name] for name in ("clients", "front door")]
    sent = 0
    while scene.goes_on() or sent < POSTS:
        batches = [(doors[connection % 2], batch) for connection in range(AT_ONCE)]
        said = [code for answer in answers(batches, ANSWERED_WITHIN) for code in statuses(answer)]
        assert len(said) == BATCH * AT_ONCE, f"{len(said)} answers of {BATCH * AT_ONCE}"
        # 409 where two want one name at once.
        assert set(said) <= {400, 409, 429, 503}, f"{set(said)}"
        sent += len(said)
        scene.under_way.set()
