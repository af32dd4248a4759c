"""Attacks by datagrams: strays to the ports of media and links, and ClientHellos that race, repeat and are damaged."""

import itertools
import random
import re
import secrets
import selectors
import socket
import struct
from collections.abc import Callable
from contextlib import ExitStack, suppress

from aioice import stun
from OpenSSL import SSL

from harness.attacks.requests import SDP
from harness.attacks.scene import LOOPBACK, Scene, location, sessions_ended
from harness.offers import offer
from harness.processes import sockets
from harness.waiting import PATIENCE

# The ICE credentials of `harness.offers`.
LOCAL_UFRAG = "e2e0"
RTP_VERSION = 0x80
# `sfu-node/src/links/beat.rs`.
BEAT, BEAT_SSRC = b"SFB1", 0x5F00_0001


def client_hello() -> bytes:
    """The first flight of a DTLS client, as a browser's would be (RFC 5764)."""
    context = SSL.Context(SSL.DTLS_METHOD)
    context.set_tlsext_use_srtp(b"SRTP_AES128_CM_SHA1_80:SRTP_AEAD_AES_128_GCM")
    client = SSL.Connection(context, None)
    client.set_connect_state()
    with suppress(SSL.WantReadError):
        client.do_handshake()
    return client.bio_read(4096)


def binding(user: str, password: str) -> bytes:
    """A STUN request with which a client begins (RFC 8445)."""
    request = stun.Message(message_method=stun.Method.BINDING, message_class=stun.Class.REQUEST)
    request.attributes["USERNAME"] = user
    request.attributes["PRIORITY"] = 2130706431
    request.attributes["ICE-CONTROLLING"] = secrets.randbits(64)
    request.attributes["USE-CANDIDATE"] = None
    request.add_message_integrity(password.encode())
    request.add_fingerprint()
    return bytes(request)


def credentials(answer: str) -> tuple[str, str, int]:
    """User and password for ICE of a client with the offer of `harness.offers`, and the node's port, of an answer to it."""
    ufrag, password = (re.search(rf"^a=ice-{what}:(\S+)", answer, re.MULTILINE)[1] for what in ("ufrag", "pwd"))
    candidate = re.search(rf"^a=candidate:\S+ \d+ udp \d+ {re.escape(LOOPBACK)} (\d+) ", answer, re.MULTILINE | re.IGNORECASE)
    return f"{ufrag}:{LOCAL_UFRAG}", password, int(candidate[1])


def rtp(chance: random.Random) -> bytes:
    """A packet that says to be RTP, with the extension and padding that chance gives it (RFC 3550 section 5.1)."""
    first = RTP_VERSION | chance.randrange(64)
    return struct.pack("!BBHII", first, chance.randrange(256), *(chance.getrandbits(bits) for bits in (16, 32, 32))) + tail(chance)


def rtcp(chance: random.Random) -> bytes:
    """A packet that says to be RTCP, of any type, count and length (RFC 3550 section 6)."""
    first = RTP_VERSION | chance.randrange(64)
    return struct.pack("!BBHI", first, chance.randrange(192, 224), chance.getrandbits(16), chance.getrandbits(32)) + tail(chance)


def beat(chance: random.Random) -> bytes:
    """A packet that says to be a heartbeat of a peer, with more echoes than it has, or fewer."""
    head = struct.pack(
        "!BBHII", RTP_VERSION, chance.randrange(96, 128), *(chance.getrandbits(bits) for bits in (16, 32)), BEAT_SSRC
    )
    return head + BEAT + struct.pack("!IHH", chance.getrandbits(32), chance.randrange(4), chance.randrange(80)) + tail(chance)


def tail(chance: random.Random) -> bytes:
    return chance.randbytes(chance.randrange(chance.choice((16, 200, 1400))))


def damaged(packet: bytes, chance: random.Random) -> bytes:
    """With some bytes changed, and sometimes cut short."""
    bytes_ = bytearray(packet)
    for _ in range(chance.randrange(4)):
        bytes_[chance.randrange(len(bytes_))] = chance.randrange(256)
    return bytes(bytes_[: chance.randrange(1, len(bytes_))] if chance.random() < 0.3 else bytes_)


def kinds() -> dict[str, Callable[[random.Random], bytes]]:
    hello, request = client_hello(), binding(f"nobody:{LOCAL_UFRAG}", "0123456789abcdef01234567")
    return {
        "random": tail,
        "STUN": lambda chance: damaged(request, chance),
        "ClientHello": lambda chance: damaged(hello, chance),
        "RTP": rtp,
        "RTCP": rtcp,
        "heartbeat": beat,
    }


STRAYS = 60_000
# So that the ports' buffers take them: what floods those is a flood of the link, which nobody can bound.
BURST = 200
PAUSE = 0.01


def strays(scene: Scene) -> None:
    """60,000 packets of six kinds to every port of media and links of all nodes, from a few ports."""
    ports = udp_ports(scene)
    chance = random.Random(60_000)
    makers = itertools.cycle(kinds().values())
    sent = 0
    with ExitStack() as stack:
        senders = [stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in range(8)]
        while sent < STRAYS or scene.goes_on():
            for _ in range(BURST):
                packet = next(makers)(chance)
                senders[sent % len(senders)].sendto(packet, (LOOPBACK, ports[chance.randrange(len(ports))]))
                sent += 1
            scene.under_way.set()
            if sent < STRAYS:
                scene.over.wait(PAUSE)
            else:
                scene.over.wait(10 * PAUSE)


def udp_ports(scene: Scene) -> list[int]:
    """The ports of media and of links of all nodes."""
    cluster = scene.cluster
    ports = [port for node in cluster.names() for _, port in sockets(cluster.pid(node), "udp")]
    first, last = cluster.pipe_range(scene.node)
    assert any(first <= port <= last for port in ports), f"no link among {ports}"
    assert any(cluster.slot.media <= port < cluster.slot.pipes for port in ports), f"no port of media among {ports}"
    return ports


# Clients at one session at a time, and times that each repeats what it says.
RIVALS, REPEATS = 6, 30
# Of three repeats, the one that is damaged: not the first, so that one of them is understood.
DAMAGED = 2
# The first byte of a packet (RFC 7983).
STUN_RECORDS, DTLS_RECORDS = range(4), range(20, 64)
ANSWERED_WITHIN = 2


def client_hellos(scene: Scene) -> None:
    """ICE from several ports at one session, and a ClientHello from each at once, over and over, whole and damaged."""
    chance = random.Random(1)
    node, _ = scene.doors()
    with sessions_ended(scene) as sessions, scene.http() as http:
        for number in itertools.count():
            answer = http.post(f"{node}/whip/hello-{number}", content=offer(direction="sendonly"), headers=SDP)
            assert answer.status_code == 201, answer.text
            sessions.add(location(answer))
            answered = race(answer.text, chance)
            assert answered, "no ClientHello was answered: what was raced for?"
            http.delete(location(answer))
            sessions.discard(location(answer))
            scene.under_way.set()
            if number >= 10 and not scene.goes_on():
                return
            scene.over.wait(PAUSE)


def race(answer: str, chance: random.Random) -> bool:
    """Whether any of the rivals had a word of DTLS from the node whose answer this is."""
    user, password, port = credentials(answer)
    with ExitStack() as stack:
        rivals = [stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in range(RIVALS)]
        for rival in rivals:
            rival.setblocking(False)
            rival.connect((LOOPBACK, port))
        # One has no business here: it sends its ClientHello and asks for nothing before.
        stranger, *rivals = rivals
        hellos = [client_hello() for _ in rivals]
        stranger.send(hellos[0])
        for rival in rivals:
            rival.send(binding(user, password))
        assert heard(rivals, STUN_RECORDS), "nobody's ICE was answered"
        for repeat in range(REPEATS):
            for rival, hello in zip(rivals, hellos, strict=True):
                rival.send(damaged(hello, chance) if repeat % 3 == DAMAGED else hello)
            # And what another one has said, from elsewhere.
            stranger.send(hellos[repeat % len(hellos)])
            rivals[repeat % len(rivals)].send(hellos[(repeat + 1) % len(hellos)])
        return heard(rivals, DTLS_RECORDS)


def heard(rivals: list[socket.socket], first_byte: range) -> bool:
    """Whether a packet of this kind comes to any of them."""
    with selectors.DefaultSelector() as ready:
        for rival in rivals:
            ready.register(rival, selectors.EVENT_READ)
        while seen := ready.select(ANSWERED_WITHIN * PATIENCE):
            for key, _ in seen:
                if key.fileobj.recv(4096)[0] in first_byte:
                    return True
    return False
