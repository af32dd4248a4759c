"""Where an attack takes place, and how it is run beside a test."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import httpx

from harness.cluster import Cluster
from harness.waiting import PATIENCE, eventually

# From its start until an attack has the place that it can get, and from the end of a test until it is over.
BEGINS_WITHIN, ENDS_WITHIN = 30, 30
LOOPBACK = "127.0.0.1"


@dataclass
class Scene:
    """One attack: whom it meets, and as whom."""

    cluster: Cluster
    # Everything that can be aimed is aimed at this node. It is where newcomers publish and watch.
    node: str
    # A stream that plays.
    stream: str
    # A stream that newcomers will publish.
    newcomers: str
    # The attacker's, as the proxies of loopback name it.
    address: str
    # Set by the attack when those who come now come into the middle of it.
    under_way: threading.Event = field(default_factory=threading.Event)
    # Set by the test when it has seen enough.
    over: threading.Event = field(default_factory=threading.Event)

    def goes_on(self) -> bool:
        return not self.over.is_set()

    def http(self, most: int | None = 10) -> httpx.Client:
        """A client with the attacker's address, and so many connections."""
        named = {"X-Forwarded-For": self.address}
        return httpx.Client(trust_env=False, timeout=20 * PATIENCE, headers=named, limits=httpx.Limits(max_connections=most))

    def doors(self) -> tuple[str, str]:
        """Base URLs of the listeners for clients: the node's own, and the front door's."""
        return self.cluster.client_url(self.node), self.cluster.front

    def listeners(self) -> dict[str, int]:
        """The ports of all listeners of HTTP."""
        urls = {
            "front door": self.cluster.front,
            "clients": self.cluster.client_url(self.node),
            "admin": self.cluster.admin_url(self.node),
            "health": self.cluster.health_url(self.node),
        }
        return {name: httpx.URL(url).port for name, url in urls.items()}


Attack = Callable[[Scene], None]


@contextlib.contextmanager
def under(attack: Attack, scene: Scene) -> Iterator[None]:
    """Runs an attack beside the block, which begins when it is under way. What it says to have seen counts as the test's own."""
    with ThreadPoolExecutor(1, "attack") as pool:
        running = pool.submit(attack, scene)
        try:
            eventually("the attack is under way", lambda: scene.under_way.is_set() or running.done(), within=BEGINS_WITHIN)
            if running.done():
                running.result()
            assert scene.under_way.is_set(), "the attack ended before it was under way"
            yield
            assert not running.done() or running.exception(), "the attack was over before the newcomers were in"
        finally:
            scene.over.set()
        running.result(timeout=ENDS_WITHIN * PATIENCE)


@contextlib.contextmanager
def sessions_ended(scene: Scene) -> Iterator[set[str]]:
    """A set of session URLs that are ended with the block: no attack leaves its sessions to the one after it."""
    sessions: set[str] = set()
    try:
        yield sessions
    finally:
        with httpx.Client(trust_env=False, timeout=10 * PATIENCE) as http:
            for session in sessions:
                http.delete(session)


def location(answer: httpx.Response) -> str:
    """The session's URL, of an answer that opened one."""
    return str(answer.request.url.join(answer.headers["Location"]))
