"""Session descriptions that are written by hand, for requests that must be refused; nobody is behind them."""

FINGERPRINT = ":".join(["AB"] * 32)

AUDIO = {
    "opus": ("111", "opus/48000/2", "minptime=10;useinbandfec=1"),
    "G722": ("9", "G722/8000", ""),
}
VIDEO = {
    "VP8": ("96", "VP8/90000", ""),
    "H264": ("102", "H264/90000", "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f"),
    "H265": ("104", "H265/90000", "profile-id=1"),
}


def offer(*, direction: str, video: str | None = "VP8", audio: str | None = "opus") -> str:
    """An offer as a browser would write it, with these codecs alone."""
    kinds = [kind for kind, codec in (("audio", audio), ("video", video)) if codec]
    lines = [
        "v=0",
        "o=- 4611731400430051336 2 IN IP4 127.0.0.1",
        "s=-",
        "t=0 0",
        f"a=group:BUNDLE {' '.join(str(i) for i in range(len(kinds)))}",
        "a=msid-semantic: WMS e2e",
    ]
    for mid, kind in enumerate(kinds):
        if kind == "audio":
            number, name, parameters = AUDIO[audio]
        else:
            number, name, parameters = VIDEO[video]
        lines += [
            f"m={kind} 9 UDP/TLS/RTP/SAVPF {number}",
            "c=IN IP4 0.0.0.0",
            "a=rtcp:9 IN IP4 0.0.0.0",
            "a=ice-ufrag:e2e0",
            "a=ice-pwd:0123456789abcdef01234567",
            "a=ice-options:trickle",
            f"a=fingerprint:sha-256 {FINGERPRINT}",
            "a=setup:actpass",
            f"a=mid:{mid}",
            "a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid",
            f"a={direction}",
            "a=rtcp-mux",
            "a=rtcp-rsize",
            f"a=rtpmap:{number} {name}",
        ]
        if kind == "video":
            lines += [f"a=rtcp-fb:{number} nack", f"a=rtcp-fb:{number} nack pli"]
        if parameters:
            lines.append(f"a=fmtp:{number} {parameters}")
        if direction == "sendonly":
            lines += [f"a=msid:e2e {kind}", f"a=ssrc:{1000 + mid} cname:e2e"]
    return "\r\n".join(lines) + "\r\n"


def with_vp8_as(number: int, sdp: str) -> str:
    """An offer of `offer` with this payload type for VP8."""
    return sdp.replace(" 96", f" {number}").replace(":96 ", f":{number} ")
