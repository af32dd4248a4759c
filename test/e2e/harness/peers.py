"""Publishers and viewers of every kind behind two small shapes.

A viewer has `count()` (frames or packets so far), `closed()` (why its session is over, else an empty text), and `stop()`.
A publisher has `stop()` (an orderly end: DELETE) and, where it is a process, `child`.
"""

import contextlib
import json
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

import imageio_ffmpeg

from harness.processes import Child, tail
from harness.waiting import eventually

OVER = ("disconnected", "failed", "closed")


class PagePeer:
    """A session in the test's own page in a browser."""

    def __init__(self, browser, opened: dict, what: str):
        self.browser = browser
        self.id = opened["id"]
        self.url = opened["url"]
        self.answer = opened["answer"]
        self.links = opened.get("links", "")
        self._what = what

    def __str__(self):
        return f"{self.browser.name}'s {self._what}"

    def stats(self) -> dict:
        return self.browser.run("id => peer.stats(id)", self.id)

    def count(self) -> int:
        return self.stats()["framesDecoded"]

    def height(self) -> int:
        """Rows of the pictures that come at present."""
        return self.stats()["frameHeight"]

    def send(self, on: bool) -> None:
        """Stops sending media, or goes on; the connection stays."""
        self.browser.run("(id, on) => peer.send(id, on)", self.id, on)

    def closed(self) -> str:
        stats = self.stats()
        over = [f"{e['what']} {e['state']}" for e in stats["events"] if e["what"] != "ice" and e["state"] in OVER]
        return ", ".join(over) or (stats["connectionState"] if stats["connectionState"] in OVER else "")

    def restart(self) -> None:
        """Restarts ICE."""
        self.browser.run("id => peer.restart(id)", self.id)

    def stop(self) -> int | None:
        """Ends the session by DELETE and answers its status."""
        return self.browser.run("id => peer.close(id)", self.id)


class Page:
    """The test's own WHIP and WHEP page, open in a browser."""

    def __init__(self, browser, url: str):
        self.browser = browser
        browser.open(url)

    def publish(self, url: str, **options) -> PagePeer:
        return PagePeer(self.browser, self.browser.run("(u, o) => peer.publish(u, o)", url, options), f"publisher at {url}")

    def watch(self, url: str, **options) -> PagePeer:
        return PagePeer(self.browser, self.browser.run("(u, o) => peer.watch(u, o)", url, options), f"viewer at {url}")


class ProcessPeer:
    """A peer that is a process and prints JSON lines."""

    def __init__(self, name: str, command: list, directory: Path, env: dict[str, str] | None = None):
        self._out = directory / f"{name}.out"
        file = self._out.open("wb")
        self.child = Child(name, command, directory / f"{name}.log", stdout=file, env=env)
        file.close()
        self.name = name

    def __str__(self):
        return self.name

    def last(self) -> dict:
        """The newest whole line, or an empty dict before the first."""
        for line in reversed(tail(self._out, 20).splitlines()):
            with contextlib.suppress(ValueError):
                value = json.loads(line)
                if isinstance(value, dict):
                    return value
        return {}

    def text(self) -> str:
        """All that it has printed."""
        return self._out.read_text(errors="replace")

    def started(self, probe, within: float = 15):
        """Waits until `probe(last line)` holds; fails at once, with the log, when the process ends before."""

        def check():
            if probe(self.last()):
                return True
            if not self.child.running():
                raise RuntimeError(f"{self.name} ended with {self.child.process.returncode}:\n{self.child.tail(15)}")
            return False

        try:
            eventually(f"{self.name} has started", check, within=within)
        except BaseException:
            self.child.stop()
            raise

    def ended(self) -> str:
        return "" if self.child.running() else f"the process ended with {self.child.process.returncode}: {self.child.tail(3)}"

    def stop(self) -> None:
        self.child.stop()


class AiortcPeer(ProcessPeer):
    """aiortc as publisher (VP8 and Opus; H264 in the role `publish-without-sps`) or viewer."""

    def __init__(
        self, role: str, url: str, name: str, directory: Path, *, authority: Path | None = None, address: str | None = None
    ):
        trusted = [authority] if authority else []
        env = {"PEER_ADDRESS": address} if address else None
        super().__init__(name, [sys.executable, Path(__file__).with_name("aiortc_peer.py"), role, url, *trusted], directory, env)
        self.started(lambda line: line.get("state") == "connected")

    def count(self) -> int:
        return self.last().get("video", 0)

    def height(self) -> int:
        """Rows of the newest picture."""
        return self.last().get("height", 0)

    @property
    def url(self) -> str:
        return self.last()["session"]

    def lose_packets(self, on: bool) -> None:
        """Begins, or stops, to lose most packets that arrive."""
        self.child.process.send_signal(signal.SIGUSR1 if on else signal.SIGUSR2)

    def take_other_ssrc(self) -> None:
        """Its pictures go on with another SSRC than its offer says."""
        self.child.process.send_signal(signal.SIGHUP)

    def closed(self) -> str:
        state = self.last().get("state", "")
        return state if state in OVER else self.ended()


def readme_ffmpeg() -> list[str]:
    """The arguments of the command that the README gives: what it recommends is what is tested."""
    readme = (Path(__file__).parents[3] / "README.md").read_text()
    command = re.search(r"^ *ffmpeg (.*? -f whip) ", readme, re.DOTALL | re.MULTILINE)
    assert command, "README.md gives no command to publish with FFmpeg"
    return shlex.split(command[1].replace("\\\n", " "))


class FfmpegPublisher:
    """FFmpeg's WHIP muxer: H264 and Opus, as the README says, with a smaller picture."""

    def __init__(self, url: str, name: str, directory: Path, *, profile: str = "baseline", program: Path | str | None = None):
        # One key frame a second: this muxer takes no PLI, so a late viewer waits for the next.
        smaller = {"testsrc2=size=1280x720:rate=30": "testsrc2=size=320x240:rate=15", "30": "15", "1500k": "400k"}
        # The ultrafast preset is baseline by nature.
        other = {} if profile == "baseline" else {"baseline": profile, "ultrafast": "veryfast"}
        arguments = [(smaller | other).get(word, word) for word in readme_ffmpeg()]
        command = [
            program or imageio_ffmpeg.get_ffmpeg_exe(),
            *"-hide_banner -nostdin -loglevel info".split(),
            *arguments[:-2],
            *"-threads 1 -f whip".split(),
            url,
        ]
        self.name = name
        self.child = Child(name, command, directory / f"{name}.log")

    def __str__(self):
        return self.name

    def closed(self) -> str:
        code = self.child.process.poll()
        return "" if code is None else f"ffmpeg ended with {code}: {self.child.tail(3)}"

    def stop(self) -> None:
        self.child.stop()


def ffmpeg_says(*arguments: str) -> str:
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False).stdout


class Generator(ProcessPeer):
    """`sfu-bench publish`: an RTP generator without an encoder, so that a starved machine costs no packets at the source."""

    def __init__(self, binaries: Path, url: str, name: str, directory: Path, options: Sequence[str] = ()):
        command = [binaries / "sfu-bench", "publish", url, "--kbps", "400", "--fps", "20", "--retry-seconds", "6", *options]
        super().__init__(name, command, directory)
        self.started(lambda _: "publishing" in self.text())

    def closed(self) -> str:
        return self.ended()


class Counter(ProcessPeer):
    """`sfu-bench watch`: counts RTP packets and decodes nothing; a line a second, and one at once when its session is closed."""

    def __init__(self, binaries: Path, url: str, name: str, directory: Path, options: Sequence[str] = ()):
        super().__init__(name, [binaries / "sfu-bench", "watch", url, "--json", "--retry-seconds", "12", *options], directory)
        self.started(lambda line: line.get("packets", 0) > 0)

    def count(self) -> int:
        return self.last().get("packets", 0)

    def frames(self) -> int:
        return self.last().get("frames", 0)

    def lost(self) -> int:
        return self.last().get("lost", 0)

    def closed(self) -> str:
        last = self.last()
        return f"closed: {last.get('close')}" if last.get("state") == "closed" else self.ended()


class Flock(ProcessPeer):
    """`sfu-bench watch --again`: viewers that open a new session when theirs ends, as players do; a line a second."""

    def __init__(self, viewers: int, binaries: Path, url: str, again: str, name: str, directory: Path, options: Sequence[str] = ()):
        repeating = ["--again", again, "--viewers", str(viewers), "--retry-seconds", "5"]
        command = [binaries / "sfu-bench", "watch", url, *repeating, *options]
        super().__init__(name, command, directory)
        self.viewers = viewers
        self.started(lambda line: line.get("playing") == viewers, within=30)

    def playing(self) -> int:
        return self.last().get("playing", 0)

    def returned(self) -> int:
        """Viewers that have had media in a second session."""
        return self.last().get("returned", 0)

    def longest_gap(self) -> float:
        """Seconds from the end of a session to the first media of the next, the longest of all viewers."""
        return self.last()["longestGapMs"] / 1000

    def nodes(self) -> set[str]:
        """Nodes that their sessions are on."""
        return {urlsplit(session).path.split("/")[2] if session else "none" for session in self.last()["sessions"]}
