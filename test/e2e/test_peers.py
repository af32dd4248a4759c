"""Clients that others wrote publish and play for 90 s, and the ways of each that a server must bear."""

from dataclasses import dataclass

import pytest

from harness import foreign
from harness.growth import Watched, watch_all
from harness.peers import Page
from harness.waiting import PATIENCE, eventually

pytestmark = [pytest.mark.alone, pytest.mark.foreign]

LONG_SECONDS = 90
# Three times the pace of `sfu-bench watch`, which tells its counters once a second.
LONGEST_PAUSE_SECONDS = 3.0 * PATIENCE
# Of the frames that a steady client sends or decodes, at 15 a second. A starved machine drops some at the encoder.
FEWEST_FRAMES = LONG_SECONDS * 15 // 3


@dataclass
class Frames:
    """Counts frames of video where a counter would count packets, so that sound alone is no success."""

    counter: object

    def count(self) -> int:
        return self.counter.frames()

    def closed(self) -> str:
        return self.counter.closed()


PUBLISHERS = (
    "chromium",
    "firefox",
    "eyevinn",
    "medooze",
    "ffmpeg-high",
    "aiortc",
    "wrtc",
    "obs",
    "pion",
    "pion-h264",
    "gstreamer",
    "str0m",
)
# Each viewer and the publisher that it watches, on another node. What str0m sends is made up: it can be counted, not decoded.
VIEWERS = {
    "chromium": "wrtc",
    "chromium-high": "ffmpeg-high",
    "firefox": "pion",
    "eyevinn": "medooze",
    "medooze": "eyevinn",
    "aiortc": "chromium",
    "wrtc": "aiortc",
    "libdatachannel": "pion-h264",
    "libdatachannel-vp8": "str0m",
    "pion": "gstreamer",
    "pion-h264": "obs",
    "gstreamer": "firefox",
    "str0m": "firefox",
}
NODES = ("sfu-1", "sfu-2", "sfu-3")


@dataclass
class LongRun:
    publishers: dict[str, Watched]
    ended: dict[str, str]
    viewers: dict[str, Watched]
    audio: dict[str, int]


@pytest.fixture(scope="module")
def long_run(_cluster, _browsers, page_url, module_peers, media) -> LongRun:
    """All of them at once, so that 90 s of each cost 90 s."""
    cluster, peers = _cluster, module_peers
    cluster.wait_whole(within=40)
    node_of = {name: NODES[i % len(NODES)] for i, name in enumerate(PUBLISHERS)}
    pages = {name: Page(_browsers(name), page_url) for name in ("chromium", "firefox")}

    def start_publisher(name):
        url = cluster.whip(f"long-{name}", node_of[name])
        match name:
            case "chromium" | "firefox":
                return pages[name].publish(url)
            case "eyevinn" | "medooze":
                return foreign.in_page(pages["chromium"], name, "publish", url)
            case "ffmpeg-high":
                return peers.ffmpeg(url, profile="high")
            case "aiortc":
                return peers.aiortc("publish", url)
            case "str0m":
                return peers.generate(url)
            case "wrtc":
                return peers.foreign(foreign.wrtc, "publish", url)
            case "obs":
                return peers.foreign(foreign.libdatachannel, "publish", url, "--media", media)
            case "pion":
                return peers.foreign(foreign.pion, "publish", url, "--media", media)
            case "pion-h264":
                return peers.foreign(foreign.pion, "publish", url, "--media", media, "--video", "h264")
            case "gstreamer":
                return peers.foreign(foreign.gstreamer, "publish", url)

    def start_viewer(name):
        watched = VIEWERS[name]
        far = NODES[(NODES.index(node_of[watched]) + 1) % len(NODES)]
        url = cluster.whep(f"long-{watched}", far)
        match name:
            case "chromium" | "firefox" | "chromium-high":
                return pages[name.partition("-")[0]].watch(url)
            case "eyevinn" | "medooze":
                return foreign.in_page(pages["chromium"], name, "watch", url)
            case "aiortc":
                return peers.aiortc("watch", url)
            case "str0m":
                return peers.count(url)
            case "wrtc":
                return peers.foreign(foreign.wrtc, "watch", url, "--video-first")
            case "libdatachannel":
                return peers.foreign(foreign.libdatachannel, "watch", url)
            case "libdatachannel-vp8":
                return peers.foreign(foreign.libdatachannel, "watch", url, "--video", "vp8")
            case "pion" | "pion-h264":
                return peers.foreign(foreign.pion, "watch", url)
            case "gstreamer":
                return peers.foreign(foreign.gstreamer, "watch", url)

    publishers = {name: start_publisher(name) for name in PUBLISHERS}
    # What a publisher sends is counted at the far end of a link.
    arriving = {}
    for name in PUBLISHERS:
        far = NODES[(NODES.index(node_of[name]) + 2) % len(NODES)]
        arriving[name] = peers.count(cluster.whep(f"long-{name}", far))
    viewers = {name: start_viewer(name) for name in VIEWERS}
    counters = {("from", name): Frames(counter) for name, counter in arriving.items()}
    counters |= {("to", name): viewer if name != "str0m" else Frames(viewer) for name, viewer in viewers.items()}
    for name, counter in counters.items():
        eventually(f"video {' '.join(name)} begins", lambda c=counter: c.count() > 0, within=20)
    seen = watch_all(counters, LONG_SECONDS)
    return LongRun(
        publishers={name: seen["from", name] for name in PUBLISHERS},
        ended={name: publishers[name].closed() for name in PUBLISHERS},
        viewers={name: seen["to", name] for name in VIEWERS},
        audio={name: audio(viewer) for name, viewer in viewers.items()},
    )


def audio(viewer) -> int:
    if hasattr(viewer, "audio"):
        return viewer.audio()
    return viewer.stats()["audioPackets"] if hasattr(viewer, "stats") else audio_of_line(viewer.last())


def audio_of_line(line: dict) -> int:
    sound = line.get("audio") or 0
    return sound if isinstance(sound, int) else sound["packets"]


@pytest.mark.timeout(LONG_SECONDS + 150)
@pytest.mark.parametrize("name", PUBLISHERS)
def test_a_client_publishes_for_90_seconds(name, long_run):
    steady(long_run.publishers[name])
    assert long_run.ended[name] == ""


@pytest.mark.timeout(LONG_SECONDS + 150)
@pytest.mark.parametrize("name", VIEWERS)
def test_a_client_plays_for_90_seconds(name, long_run):
    steady(long_run.viewers[name])
    assert long_run.audio[name] > 0, "the picture comes, the sound does not"


def steady(watched: Watched) -> None:
    assert watched.over == ""
    assert watched.total >= FEWEST_FRAMES, watched
    assert watched.longest_pause <= LONGEST_PAUSE_SECONDS, watched
