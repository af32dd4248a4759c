"""An attack by a client that is connected: it has keys, and encrypts what is no media."""

import random
import socket
import struct
from contextlib import suppress

import pylibsrtp
from aiortc.rtcdtlstransport import generate_certificate
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from OpenSSL import SSL

from harness.attacks.datagrams import BURST, DTLS_RECORDS, PAUSE, binding, credentials, damaged, tail
from harness.attacks.requests import SDP
from harness.attacks.scene import LOOPBACK, Scene, location, sessions_ended
from harness.offers import AUDIO, FINGERPRINT, VIDEO, offer
from harness.waiting import PATIENCE

# Of AES-128 in counter mode, with its salt (RFC 5764 section 4.1.2).
PROFILE, KEY, SALT = b"SRTP_AES128_CM_SHA1_80", 16, 14
CONNECTED_WITHIN = 5
STREAM = "broken"
PACKETS = 30_000
# More than that pylibsrtp does not encrypt.
LONGEST = 1_200
# What `harness.offers` announces: SSRC and payload type of sound and picture; and those of nobody.
SOURCES = ((1000, int(AUDIO["opus"][0])), (1001, int(VIDEO["VP8"][0])), (1001, 50), (7, 96))
# Types of RTCP packets (RFC 3550, RFC 4585, RFC 3611), and two that nobody has.
REPORTS = (200, 201, 202, 203, 204, 205, 206, 207, 192, 223)


def own_certificate() -> tuple[SSL.Context, str]:
    """A client's certificate, ready for DTLS, and its fingerprint."""
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = generate_certificate(key)
    context = SSL.Context(SSL.DTLS_METHOD)
    context.use_certificate(certificate)
    context.use_privatekey(key)
    context.set_tlsext_use_srtp(PROFILE)
    return context, certificate.fingerprint(hashes.SHA256()).hex(":").upper()


def connect(wire: socket.socket, answer: str, context: SSL.Context) -> pylibsrtp.Session:
    """ICE and DTLS; answers with the keys for what this client sends."""
    user, password, port = credentials(answer)
    wire.connect((LOOPBACK, port))
    wire.settimeout(CONNECTED_WITHIN * PATIENCE)
    wire.send(binding(user, password))
    client = SSL.Connection(context, None)
    client.set_connect_state()
    while not shaken(client, wire):
        if (packet := wire.recv(4096))[0] in DTLS_RECORDS:
            client.bio_write(packet)
    secrets = client.export_keying_material(b"EXTRACTOR-dtls_srtp", 2 * (KEY + SALT))
    own = secrets[:KEY] + secrets[2 * KEY : 2 * KEY + SALT]
    return pylibsrtp.Session(pylibsrtp.Policy(key=own, ssrc_type=pylibsrtp.Policy.SSRC_ANY_OUTBOUND))


def shaken(client: SSL.Connection, wire: socket.socket) -> bool:
    """Whether the handshake is done; sends what it has to say."""
    done = False
    with suppress(SSL.WantReadError):
        client.do_handshake()
        done = True
    with suppress(SSL.WantReadError):
        while True:
            wire.send(client.bio_read(1500))
    return done


def broken_rtp(number: int, chance: random.Random) -> bytes:
    """RTP with an announced source, and extensions, padding and a payload that are none."""
    ssrc, payload_type = SOURCES[number % len(SOURCES)]
    first = 0x80 | chance.choice((0, 0x10, 0x20, 0x30, chance.randrange(64)))
    head = struct.pack("!BBHII", first, chance.randrange(2) << 7 | payload_type, number & 0xFFFF, number * 90 & 0xFFFFFFFF, ssrc)
    extension = struct.pack("!HH", chance.choice((0xBEDE, 0x1000, 0xFFFF)), chance.randrange(6)) if first & 0x10 else b""
    return head + extension + tail(chance)[:LONGEST]


def broken_rtcp(number: int, chance: random.Random) -> bytes:
    """RTCP packets one behind the other, with counts, lengths and contents that do not go together."""
    ssrc, _ = SOURCES[number % len(SOURCES)]
    parts = []
    for _ in range(chance.randrange(1, 4)):
        body = struct.pack("!II", ssrc, chance.choice((ssrc, 1000, 1001, 7))) + chance.randbytes(4 * chance.randrange(12))
        length = chance.choice((len(body) // 4, len(body) // 4, chance.randrange(40), 0, 0xFFFF))
        parts.append(struct.pack("!BBH", 0x80 | chance.randrange(64), chance.choice(REPORTS), length) + body)
    packet = b"".join(parts)
    return packet if number % 3 else damaged(packet, chance)


def broken_media(scene: Scene) -> None:
    """30,000 packets of RTP and RTCP that are encrypted as they should be, and broken inside."""
    chance = random.Random(PACKETS)
    context, fingerprint = own_certificate()
    node, _ = scene.doors()
    sdp = offer(direction="sendonly").replace(FINGERPRINT, fingerprint)
    wire = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with sessions_ended(scene) as sessions, scene.http() as http, wire:
        answer = http.post(f"{node}/whip/{STREAM}", content=sdp, headers=SDP)
        assert answer.status_code == 201, answer.text
        sessions.add(location(answer))
        keys = connect(wire, answer.text, context)
        sent = 0
        while sent < PACKETS or scene.goes_on():
            for _ in range(BURST):
                sent += 1
                # libsrtp does not encrypt what is too broken.
                with suppress(pylibsrtp.Error):
                    wire.send(keys.protect(broken_rtp(sent, chance)) if sent % 2 else keys.protect_rtcp(broken_rtcp(sent, chance)))
            scene.under_way.set()
            scene.over.wait(PAUSE)
        [session] = scene.cluster.admin("GET", scene.node, "sessions", params={"stream": STREAM}).json()["sessions"]
        assert session["connected"], session
        assert session["media"]["packets"] > PACKETS / 50, f"most was dropped before anybody read it: {session}"
