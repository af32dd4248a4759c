#!/usr/bin/python3
"""A WHIP publisher or WHEP viewer on GStreamer's webrtcbin: `webrtcbin.py publish|watch URL [--video vp8|h264]`.

Prints one JSON line each 200 ms: {"video": frames, "audio": buffers, "state": ..., "session": URL}; a viewer's are decoded.
Ends its session and itself on SIGTERM.
"""

import argparse
import json
import signal
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstSdp", "1.0")
gi.require_version("GstWebRTC", "1.0")
from gi.repository import GLib, Gst, GstSdp, GstWebRTC  # noqa: E402

LINE_MS = 200
REQUEST_SECONDS = 20
RETRY_SECONDS = 0.2
WATCH_PATIENCE_SECONDS = 15

ENCODERS = {
    "vp8": "vp8enc deadline=1 keyframe-max-dist=15 target-bitrate=300000 ! rtpvp8pay pt=96 picture-id-mode=15-bit",
    "h264": "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=15 bitrate=300 "
    "! video/x-h264,profile=constrained-baseline ! rtph264pay pt=96 config-interval=-1 aggregate-mode=zero-latency",
}
CAPS = {
    "audio": "application/x-rtp,media=audio,encoding-name=OPUS,payload=111,clock-rate=48000,encoding-params=(string)2",
    "vp8": "application/x-rtp,media=video,encoding-name=VP8,payload=96,clock-rate=90000",
    "h264": "application/x-rtp,media=video,encoding-name=H264,payload=96,clock-rate=90000,packetization-mode=(string)1",
}
# What a viewer says of H264; a publisher's comes from its encoder.
BASELINE = ",profile-level-id=(string)42e01f"

counts = {"video": 0, "audio": 0}


def publisher(video: str) -> str:
    return f"""
        webrtcbin name=peer bundle-policy=max-bundle
        audiotestsrc is-live=true wave=sine freq=440 volume=0.1 ! audio/x-raw,rate=48000,channels=2
            ! opusenc frame-size=20 ! identity name=audio signal-handoffs=true ! rtpopuspay pt=111 ! {CAPS["audio"]} ! peer.
        videotestsrc is-live=true pattern=ball ! video/x-raw,width=320,height=240,framerate=15/1
            ! videoconvert ! identity name=video signal-handoffs=true ! {ENCODERS[video]} ! {CAPS[video]} ! peer.
    """


def viewer() -> Gst.Pipeline:
    """A pipeline, where the text of a single element would make no pipeline."""
    pipeline = Gst.Pipeline.new()
    webrtc = Gst.ElementFactory.make("webrtcbin", "peer")
    webrtc.set_property("bundle-policy", GstWebRTC.WebRTCBundlePolicy.MAX_BUNDLE)
    pipeline.add(webrtc)
    return pipeline


class Peer:
    def __init__(self, role: str, url: str, video: str):
        self.url = url
        self.patience = 0 if role == "publish" else WATCH_PATIENCE_SECONDS
        self.session = ""
        self.loop = GLib.MainLoop()
        self.failed = None
        self.pipeline = Gst.parse_launch(publisher(video)) if role == "publish" else viewer()
        self.webrtc = self.pipeline.get_by_name("peer")
        # This machine and nothing else; loopback would be left out. Held, since Python takes the only reference to the agent.
        self.agent = self.webrtc.get_property("ice-agent")
        self.agent.emit("add-local-ip-address", "127.0.0.1")
        if role == "publish":
            for kind in counts:
                self.pipeline.get_by_name(kind).connect("handoff", self.on_buffer, kind)
            for index in range(2):
                transceiver = self.webrtc.emit("get-transceiver", index)
                transceiver.set_property("direction", GstWebRTC.WebRTCRTPTransceiverDirection.SENDONLY)
        else:
            for caps in (CAPS["audio"], CAPS[video] + (BASELINE if video == "h264" else "")):
                self.webrtc.emit("add-transceiver", GstWebRTC.WebRTCRTPTransceiverDirection.RECVONLY, Gst.Caps.from_string(caps))
            self.webrtc.connect("pad-added", self.on_track)
        self.webrtc.connect("on-negotiation-needed", self.on_negotiation_needed)
        self.webrtc.connect("notify::ice-gathering-state", self.on_gathering)
        bus = self.pipeline.get_bus()
        bus.add_signal_watch()
        bus.connect("message::error", self.on_error)

    def run(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            GLib.unix_signal_add(GLib.PRIORITY_HIGH, number, self.loop.quit)
        GLib.timeout_add(LINE_MS, self.tell)
        self.pipeline.set_state(Gst.State.PLAYING)
        self.loop.run()
        deleted = None
        if self.session:
            request = urllib.request.Request(self.session, method="DELETE")
            deleted = urllib.request.urlopen(request, timeout=REQUEST_SECONDS).status
        self.tell(deleted=deleted, state="closed")
        self.pipeline.set_state(Gst.State.NULL)
        if self.failed:
            raise SystemExit(self.failed)

    def tell(self, **more) -> bool:
        state = self.webrtc.get_property("connection-state").value_nick
        print(json.dumps(counts | {"state": state, "session": self.session} | more), flush=True)
        return True

    def fail(self, why: str) -> None:
        self.failed = self.failed or why
        self.loop.quit()

    def on_error(self, _bus, message) -> None:
        self.fail(": ".join(str(part) for part in message.parse_error()))

    def on_buffer(self, _element, _buffer, *rest) -> None:
        counts[rest[-1]] += 1

    # Media

    def on_track(self, _webrtc, pad) -> None:
        if pad.direction != Gst.PadDirection.SRC:
            return
        decode = Gst.ElementFactory.make("decodebin")
        decode.connect("pad-added", self.on_decoded)
        self.pipeline.add(decode)
        decode.sync_state_with_parent()
        pad.link(decode.get_static_pad("sink"))

    def on_decoded(self, _decode, pad) -> None:
        kind = pad.get_current_caps().get_structure(0).get_name().partition("/")[0]
        sink = Gst.ElementFactory.make("fakesink")
        sink.set_property("signal-handoffs", True)
        sink.connect("handoff", self.on_buffer, kind)
        self.pipeline.add(sink)
        sink.sync_state_with_parent()
        pad.link(sink.get_static_pad("sink"))

    # Signalling

    def on_negotiation_needed(self, webrtc) -> None:
        webrtc.emit("create-offer", None, Gst.Promise.new_with_change_func(self.on_offer))

    def on_offer(self, promise) -> None:
        reply = promise.get_reply()  # Held: the offer is a part of it.
        self.webrtc.emit("set-local-description", reply.get_value("offer"), Gst.Promise.new())

    def on_gathering(self, webrtc, _property) -> None:
        if webrtc.get_property("ice-gathering-state") == GstWebRTC.WebRTCICEGatheringState.COMPLETE:
            threading.Thread(target=self.negotiate, daemon=True).start()

    def negotiate(self) -> None:
        sdp = self.webrtc.get_property("local-description").sdp.as_text()
        try:
            self.session, answer = offer_to(self.url, sdp, self.patience)
        except OSError as error:
            self.fail(f"POST {self.url}: {error}")
            return
        _, message = GstSdp.SDPMessage.new_from_text(answer)
        description = GstWebRTC.WebRTCSessionDescription.new(GstWebRTC.WebRTCSDPType.ANSWER, message)
        self.webrtc.emit("set-remote-description", description, Gst.Promise.new())


def offer_to(url: str, sdp: str, patience: float) -> tuple[str, str]:
    deadline = time.monotonic() + patience
    while True:
        request = urllib.request.Request(url, data=sdp.encode(), headers={"Content-Type": "application/sdp"}, method="POST")
        try:
            with urllib.request.urlopen(request, timeout=REQUEST_SECONDS) as response:
                location = urllib.parse.urljoin(response.geturl(), response.headers["Location"])
                return location, response.read().decode()
        except urllib.error.HTTPError as error:
            if error.code not in (409, 503) or time.monotonic() >= deadline:
                raise OSError(f"{error.code} {error.read().decode()}") from error
        time.sleep(RETRY_SECONDS)


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("role", choices=["publish", "watch"])
    arguments.add_argument("url")
    arguments.add_argument("--video", choices=list(ENCODERS), default="vp8")
    options = arguments.parse_args()
    Gst.init(sys.argv[:1])
    Peer(options.role, options.url, options.video).run()
