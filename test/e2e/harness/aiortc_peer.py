"""A WHIP or WHEP client on aiortc, as a process of its own: `aiortc_peer.py publish|publish-without-sps|watch URL [AUTHORITY]`.
Without SPS: H264 as of cameras that say SPS and PPS in SDP only.
An https URL must show a certificate of the file AUTHORITY. Media comes from the address in PEER_ADDRESS, or from 127.0.0.1.

Prints one JSON line each 200 ms: {"video": frames, "audio": frames, "height": of the newest picture, "state": connectionState}.
While it has had SIGUSR1 and not SIGUSR2 after that, it loses most of the packets that arrive.
On SIGHUP, its pictures go on with another SSRC than its offer says.
Ends its session and itself on SIGTERM.
"""

import asyncio
import contextlib
import fractions
import json
import os
import random
import signal
import ssl
import sys
import time
from urllib.parse import urljoin

import aioice.ice
import httpx
from aiortc import (
    MediaStreamTrack,
    RTCConfiguration,
    RTCPeerConnection,
    RTCRtpSender,
    RTCSessionDescription,
    VideoStreamTrack,
)
from aiortc.codecs.h264 import H264Encoder
from aiortc.mediastreams import MediaStreamError
from aiortc.rtcdtlstransport import RTCDtlsTransport
from av import AudioFrame, VideoFrame

# A link that a busy machine has let go stale is up again within seconds.
RETRY_SECONDS = 12
FRAME_RATE = 15
# Most of what is lost is asked for again and may arrive then: this leaves far more than a tenth.
LOST_SHARE = 0.6

# One address and nothing else; aioice would leave loopback out.
aioice.ice.get_host_addresses = lambda use_ipv4, use_ipv6: [os.environ.get("PEER_ADDRESS", "127.0.0.1")]

counts = {"video": 0, "audio": 0, "height": 0}
losing = False


def lose_packets():
    """Drops packets between SRTP and the receiver: what is lost is reported, as if the network had lost it."""
    deliver = RTCDtlsTransport._handle_rtp_data
    chance = random.Random(1)

    async def handle(self, data, arrival_time_ms):
        if not (losing and chance.random() < LOST_SHARE):
            await deliver(self, data, arrival_time_ms)

    RTCDtlsTransport._handle_rtp_data = handle


def lose(value):
    global losing
    losing = value


def leave_out_sps():
    packetize = H264Encoder._packetize
    SPS, PPS = 7, 8

    def rest(packages):
        return packetize(nal for nal in packages if nal[0] & 0x1F not in (SPS, PPS))

    H264Encoder._packetize = staticmethod(rest)


def take_other_ssrc(pc):
    for sender in pc.getSenders():
        if sender.kind == "video":
            sender._ssrc = (sender._ssrc + 1) % 2**32


class Picture(VideoStreamTrack):
    """320 x 240 with a bright square that moves."""

    def __init__(self):
        super().__init__()
        self._start = None
        self._index = 0

    async def recv(self):
        self._start = self._start or time.monotonic()
        await asyncio.sleep(max(0, self._start + self._index / FRAME_RATE - time.monotonic()))
        frame = VideoFrame(320, 240, "yuv420p")
        luma = bytearray(b"\x30" * (320 * 240))
        left = (self._index * 4) % 288
        for row in range(96, 144):
            luma[row * 320 + left : row * 320 + left + 32] = b"\xe0" * 32
        frame.planes[0].update(bytes(luma))
        for plane in (1, 2):
            frame.planes[plane].update(b"\x80" * (160 * 120))
        frame.pts = self._index * 90000 // FRAME_RATE
        frame.time_base = fractions.Fraction(1, 90000)
        self._index += 1
        counts["video"] += 1
        return frame


class Tone(MediaStreamTrack):
    """48 kHz stereo, a square wave of 480 Hz, 20 ms a frame."""

    kind = "audio"

    def __init__(self):
        super().__init__()
        self._start = None
        self._index = 0
        half = 48000 // 480 // 2
        wave = [800 if (n // half) % 2 else -800 for n in range(960)]
        self._samples = b"".join(int(s).to_bytes(2, "little", signed=True) * 2 for s in wave)

    async def recv(self):
        self._start = self._start or time.monotonic()
        await asyncio.sleep(max(0, self._start + self._index * 0.02 - time.monotonic()))
        frame = AudioFrame(format="s16", layout="stereo", samples=960)
        frame.planes[0].update(self._samples)
        frame.sample_rate = 48000
        frame.pts = self._index * 960
        frame.time_base = fractions.Fraction(1, 48000)
        self._index += 1
        counts["audio"] += 1
        return frame


async def count(track):
    with contextlib.suppress(MediaStreamError):
        while True:
            frame = await track.recv()
            counts[track.kind] += 1
            if track.kind == "video":
                counts["height"] = frame.height


async def negotiate(pc, http, url, retry_seconds):
    await pc.setLocalDescription(await pc.createOffer())
    deadline = time.monotonic() + retry_seconds
    while True:
        answer = await http.post(url, content=pc.localDescription.sdp, headers={"Content-Type": "application/sdp"})
        if answer.status_code == 201:
            await pc.setRemoteDescription(RTCSessionDescription(sdp=answer.text, type="answer"))
            return urljoin(url, answer.headers["Location"])
        if answer.status_code not in (409, 503) or time.monotonic() > deadline:
            raise SystemExit(f"POST {url}: {answer.status_code} {answer.text}")
        await asyncio.sleep(0.2)


async def main(role, url, authority=None):
    over = asyncio.Event()
    lose_packets()
    for number, value in ((signal.SIGUSR1, True), (signal.SIGUSR2, False)):
        asyncio.get_running_loop().add_signal_handler(number, lose, value)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, over.set)
    pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, take_other_ssrc, pc)
    tasks = set()

    @pc.on("track")
    def on_track(track):
        tasks.add(asyncio.ensure_future(count(track)))

    verify = ssl.create_default_context(cafile=authority) if authority else True
    async with httpx.AsyncClient(trust_env=False, timeout=20, verify=verify) as http:
        if role.startswith("publish"):
            pc.addTransceiver(Tone(), direction="sendonly")
            video = pc.addTransceiver(Picture(), direction="sendonly")
            wanted = ("video/VP8", "video/rtx")
            if role == "publish-without-sps":
                leave_out_sps()
                wanted = ("video/H264", "video/rtx")
            codecs = RTCRtpSender.getCapabilities("video").codecs
            video.setCodecPreferences([c for c in codecs if c.mimeType in wanted])
            session = await negotiate(pc, http, url, 0)
        else:
            pc.addTransceiver("audio", direction="recvonly")
            pc.addTransceiver("video", direction="recvonly")
            session = await negotiate(pc, http, url, RETRY_SECONDS)
        while not over.is_set():
            print(json.dumps(counts | {"state": pc.connectionState, "session": session}), flush=True)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(over.wait(), 0.2)
        with contextlib.suppress(httpx.HTTPError):
            await http.delete(session)
    await pc.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
