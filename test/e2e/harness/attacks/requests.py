"""Attacks by well-formed requests: floods of descriptions, of sessions, of names, of event streams."""

import contextlib
import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus

import httpx

from harness.attacks.descriptions import FRAGMENTS, OFFERS
from harness.attacks.scene import LOOPBACK, Scene, location, sessions_ended
from harness.offers import offer, with_vp8_as

SDP = {"Content-Type": "application/sdp"}
FRAGMENT = {"Content-Type": "application/trickle-ice-sdpfrag", "If-Match": "*"}
# What a request may be answered that asks for too much: anything but that something broke.
TOO_MANY = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)
AT_ONCE = 4
# As many as a front door of 400 connections has in all.
STREAMS = 50
# Another client that looks at the cluster.
OBSERVER = "203.0.113.99"


def bearable(answer: httpx.Response, what: str) -> httpx.Response:
    """Asserts that an answer is a success, a refusal with a reason, or that there is too much to do."""
    status = answer.status_code
    assert status in TOO_MANY or status < HTTPStatus.INTERNAL_SERVER_ERROR, f"{what}: {status} {answer.text}"
    if status in TOO_MANY:
        assert int(answer.headers["Retry-After"]) > 0, f"{what}: {status} {answer.headers}"
    return answer


def at_once(scene: Scene, attackers: int, attack: Callable[[int], None]) -> None:
    """Runs `attack(0)`, `attack(1)`, ... side by side. If one fails, the others end."""

    def one(number: int) -> None:
        try:
            attack(number)
        except BaseException:
            scene.over.set()
            raise

    with ThreadPoolExecutor(attackers, "attacker") as pool:
        list(pool.map(one, range(attackers)))


def offers_that_cost_most(scene: Scene) -> None:
    """Floods both doors with descriptions of 64 KiB."""
    numbers = itertools.count()
    with sessions_ended(scene) as sessions:

        def flood(attacker: int) -> None:
            with scene.http() as http:
                for base, (what, body) in itertools.cycle(itertools.product(scene.doors(), OFFERS.items())):
                    number = next(numbers)
                    if number == AT_ONCE:
                        scene.under_way.set()
                    elif not scene.goes_on() and number > len(OFFERS) * 2:
                        return
                    path = f"whep/{scene.stream}" if attacker % 2 else f"whip/costly-{number}"
                    answer = bearable(http.post(f"{base}/{path}?node={scene.node}", content=body, headers=SDP), what)
                    if answer.status_code == HTTPStatus.CREATED:
                        sessions.add(location(answer))

        at_once(scene, AT_ONCE, flood)


def fragments_and_answers_that_cost_most(scene: Scene) -> None:
    """Floods sessions of the attacker's own with fragments, and offers of the node with answers."""
    names = itertools.count()
    numbers = itertools.count()
    with sessions_ended(scene) as sessions:

        def flood(attacker: int) -> None:
            node, _ = scene.doors()
            bodies, headers = (FRAGMENTS, FRAGMENT) if attacker % 2 else (OFFERS, SDP)
            with scene.http() as http:
                session = None
                for what, body in itertools.cycle(bodies.items()):
                    number = next(numbers)
                    if number == 2 * AT_ONCE:
                        scene.under_way.set()
                    elif not scene.goes_on() and number > 2 * len(OFFERS):
                        return
                    if session is None:
                        if headers is FRAGMENT:
                            asked = http.post(
                                f"{node}/whip/patched-{next(names)}", content=offer(direction="sendonly"), headers=SDP
                            )
                        else:
                            asked = http.post(f"{node}/whep/{scene.stream}")
                        if bearable(asked, "a session to patch").status_code != HTTPStatus.CREATED:
                            continue
                        session = location(asked)
                        sessions.add(session)
                    answer = bearable(http.patch(session, content=body, headers=headers), what)
                    if answer.status_code == HTTPStatus.NOT_FOUND:
                        session = None

        at_once(scene, AT_ONCE, flood)


def half_open(scene: Scene, named: Callable[[int], list[tuple[str, str]]] | None = None) -> None:
    """Opens sessions that nobody connects, at both doors, for as long as it is let, and then goes on asking."""
    with sessions_ended(scene) as sessions, httpx.Client(trust_env=False, timeout=20) as http:
        refused = False
        for number, base in enumerate(itertools.cycle(scene.doors())):
            if not scene.goes_on() and refused:
                return
            headers = [*SDP.items(), *(named(number) if named else [("X-Forwarded-For", scene.address)])]
            url = f"{base}/whip/half-open-{scene.address.replace('.', '-')}-{number}?node={scene.node}"
            answer = bearable(http.post(url, content=offer(direction="sendonly"), headers=headers), "a half-open session")
            if answer.status_code == HTTPStatus.CREATED:
                sessions.add(location(answer))
            elif answer.status_code == HTTPStatus.TOO_MANY_REQUESTS and "--max-half-open" in answer.text:
                refused = True
                scene.under_way.set()
            assert number < 1000 or refused, f"{len(sessions)} half-open sessions, and none is refused"


def forged_addresses(victim: str) -> Callable[[Scene], None]:
    """Opens sessions likewise, and names another client with each request: none of that is believed."""

    def attack(scene: Scene) -> None:
        def named(number: int) -> list[tuple[str, str]]:
            invented = f"192.0.2.{number % 250 + 1}"
            true = ("X-Forwarded-For", scene.address)
            return (
                [("X-Forwarded-For", f"{invented}, {scene.address}")],
                [("X-Forwarded-For", victim), true],
                [("X-Forwarded-For", f"{LOOPBACK}, {victim}, {scene.address}, {LOOPBACK}")],
                [("Forwarded", f"for={invented}"), ("X-Real-IP", invented), true],
                [("Sfumato-Forwarded-Proof", "0" * 64), ("X-Forwarded-For", invented), true],
                [("X-Forwarded-For", f"::ffff:127.0.0.1, ::1, nobody, {'x' * 2000}, {scene.address}")],
            )[number % 6]

        half_open(scene, named)

    return attack


def payload_types(scene: Scene) -> None:
    """Watches with as many sets of payload types as there are: each other set takes a profile router."""
    node, _ = scene.doors()
    with sessions_ended(scene) as sessions, scene.http() as http:
        free = [number for number in range(97, 127) if number != 111]
        for number in itertools.cycle(free):
            sdp = with_vp8_as(number, offer(direction="recvonly"))
            answer = bearable(http.post(f"{node}/whep/{scene.stream}", content=sdp, headers=SDP), f"VP8 as {number}")
            if answer.status_code == HTTPStatus.CREATED:
                sessions.add(location(answer))
            if number == free[-1]:
                assert len(sessions) >= 16, f"only {len(sessions)} sets of payload types were taken"
                scene.under_way.set()
                if not scene.goes_on():
                    return
                # So that not the request rate is what stops it.
                scene.over.wait(0.5)


def event_streams(scene: Scene) -> None:
    """Opens streams of the cluster view until it is told that it has its share, and reads none of them."""
    url = f"{scene.cluster.front}/api/v1/events"
    with contextlib.ExitStack() as streams:
        http = streams.enter_context(scene.http(most=None))

        def opened(address: str) -> httpx.Response:
            return streams.enter_context(http.stream("GET", url, headers={"X-Forwarded-For": address}))

        statuses = [opened(scene.address).status_code for _ in range(STREAMS)]
        assert statuses[0] == HTTPStatus.OK, f"{statuses}"
        assert statuses[-1] == HTTPStatus.TOO_MANY_REQUESTS, f"{statuses}"
        scene.under_way.set()
        while scene.goes_on():
            assert opened(scene.address).status_code == HTTPStatus.TOO_MANY_REQUESTS
            newcomer = opened(OBSERVER)
            assert newcomer.status_code == HTTPStatus.OK
            assert next(newcomer.iter_lines()), "a stream of another address says nothing"
            newcomer.close()
            scene.over.wait(0.2)
