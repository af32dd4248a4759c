"""Session descriptions of 64 KiB that cost most to read. `sfu-node/src/tests/worst.rs` counts the steps of these and of others."""

from collections.abc import Callable

# Longest body that a client may send, in bytes.
BODY = 64 * 1024
CREDENTIALS = "a=ice-ufrag:e2e0\r\na=ice-pwd:0123456789abcdef01234567\r\n"
HEAD = (
    f"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n{CREDENTIALS}"
    "a=fingerprint:sha-1 00:01:02:03:04:05:06:07:08:09:0A:0B:0C:0D:0E:0F:10:11:12:13\r\n"
)
VIDEO = "m=video 9 UDP/TLS/RTP/SAVPF"
ONE = f"{HEAD}{VIDEO} 96\r\na=mid:0\r\na=rtpmap:96 VP8/90000\r\n"
FORMATS = " ".join(str(number) for number in range(128))
ALL_FORMATS = f"{HEAD}{VIDEO} {FORMATS}\r\na=mid:0\r\n" + "".join(f"a=rtpmap:{n} H264/90000\r\n" for n in range(128))
FEEDBACK = ("nack", "nack pli", "ccm fir", "transport-cc", "goog-remb")


def filled(before: str, line: Callable[[int], str], most: int = BODY) -> str:
    """A description with as much of `line(0)`, `line(1)`, ... as a body may hold, and at most so many."""
    parts, length = [before], len(before)
    for number in range(most):
        more = line(number)
        if length + len(more) > BODY:
            break
        parts.append(more)
        length += len(more)
    return "".join(parts)


# Beyond the bounds, which is told before anything is walked.
BEYOND = {
    "an RTX payload type again and again": filled(f"{HEAD}a=rtpmap:97 rtx/90000\r\n{VIDEO} 96", lambda _: " 97"),
    "rids": filled(ONE, lambda n: f"a=rid:r{n} send\r\n"),
    "layers": filled(f"{ONE}a=simulcast:send q", lambda n: f";r{n}"),
    "parameters": filled(f"{ONE}a=fmtp:96 a=1", lambda n: f";a{n}=1"),
    "sections": filled(HEAD, lambda n: f"{VIDEO} 96\r\na=mid:{n}\r\n"),
    "candidates": filled(ONE, lambda n: f"a=candidate:{n} 1 udp 1 192.0.2.1 9 typ host\r\n"),
    "members of a bundle": filled(f"{HEAD}a=group:BUNDLE", lambda n: f" {n}"),
    "empty lines": filled(HEAD, lambda _: "\n"),
}
# As much as is allowed, which is read to its end.
WITHIN = {
    "parameters of all payload types": filled(
        ALL_FORMATS, lambda n: f"a=fmtp:{n} packetization-mode=1;profile-level-id=42e01f{';p=1' * 30}\r\n", 128
    ),
    "wildcard feedback": filled(ALL_FORMATS, lambda n: f"a=rtcp-fb:* {FEEDBACK[n % 5]}\r\n", 768),
    "sections of candidates": filled(
        f"{HEAD}a=group:BUNDLE {' '.join(str(n) for n in range(16))}\r\n",
        lambda n: f"{VIDEO} 96\r\na=mid:{n}\r\na=rtpmap:96 VP8/90000\r\n" + "a=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\n" * 80,
        16,
    ),
    "long lines": filled(ONE, lambda _: f"a=x:{'y' * 4_080}\r\n", 15),
}
OFFERS = BEYOND | WITHIN

SECTION = f"{CREDENTIALS}{VIDEO} 96\r\na=mid:0\r\n"
# For a PATCH: the same kind, as a fragment (RFC 8840).
FRAGMENTS = {
    "candidates": filled(SECTION, lambda n: f"a=candidate:{n} 1 udp 1 192.0.2.1 9 typ host\r\n"),
    "as many candidates as are allowed": filled(SECTION, lambda _: "a=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\n", 512),
    "sections": filled(CREDENTIALS, lambda n: f"{VIDEO} 96\r\na=mid:{n}\r\n"),
    "credentials": filled("", lambda n: f"a=ice-ufrag:u{n}\r\na=ice-pwd:p{n}\r\n"),
    "empty lines": filled(SECTION, lambda _: "\n"),
    "payload types": filled(f"{CREDENTIALS}{VIDEO} 96", lambda n: f" {n}"),
}
