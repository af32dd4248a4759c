"""What is published on one node plays on every other, with every client and in every direction."""

import itertools

import pytest

from harness.growth import grows
from harness.page import HELPERS
from harness.waiting import eventually

NODES = ("sfu-1", "sfu-2", "sfu-3")
ACROSS = list(itertools.permutations(NODES, 2))


def test_what_is_published_on_one_node_plays_on_every_other(cluster, peers, stream):
    """In all six directions, without browsers: to a link, media is packets."""
    for node in NODES:
        peers.generate(cluster.whip(f"{stream}-{node}", node))
    viewers = [peers.count(cluster.whep(f"{stream}-{origin}", far)) for origin, far in ACROSS]
    for viewer in viewers:
        grows(viewer)


@pytest.mark.parametrize(
    ("sender", "receiver", "origin", "far"),
    [
        ("chromium", "firefox", "sfu-1", "sfu-3"),
        ("firefox", "chromium", "sfu-2", "sfu-1"),
        ("chromium", "chromium", "sfu-3", "sfu-2"),
    ],
)
def test_a_browser_watches_on_one_node_what_a_browser_publishes_on_another(sender, receiver, origin, far, cluster, page, stream):
    tab = page(sender)
    publisher = tab.publish(cluster.whip(stream, origin))
    viewer = (tab if receiver == sender else page(receiver)).watch(cluster.whep(stream, far))
    assert publisher.url.startswith(f"{cluster.front}/nodes/{origin}/whip/{stream}/")
    assert viewer.url.startswith(f"{cluster.front}/nodes/{far}/whep/{stream}/")
    grows(viewer)
    stats = viewer.stats()
    assert stats["codec"] == "video/VP8"
    assert stats["audioPackets"] > 0, "the picture comes, the sound does not"
    assert publisher.closed() == ""


def test_firefox_watches_on_the_node_that_it_publishes_on(cluster, page, stream):
    tab = page("firefox")
    tab.publish(cluster.whip(stream, "sfu-1"))
    grows(tab.watch(cluster.whep(stream, "sfu-1")))
    assert cluster.stream(stream)["carriedBy"] == [], "nobody watches elsewhere: no link is used"


def test_chromium_plays_the_h264_that_ffmpeg_publishes(cluster, page, peers, stream):
    ffmpeg = peers.ffmpeg(cluster.whip(stream, "sfu-1"))
    viewer = page("chromium").watch(cluster.whep(stream, "sfu-3"), retryMs=15000)
    grows(viewer, within=15)
    stats = viewer.stats()
    assert stats["codec"] == "video/H264"
    assert stats["audioPackets"] > 0
    assert ffmpeg.closed() == ""


def test_aiortc_plays_what_aiortc_publishes_on_another_node(cluster, peers, stream):
    peers.aiortc("publish", cluster.whip(stream, "sfu-2"))
    viewer = peers.aiortc("watch", cluster.whep(stream, "sfu-1"))
    grows(viewer)
    assert viewer.last()["audio"] > 0


@pytest.mark.parametrize("name", ["chromium", "firefox"])
def test_aiortc_and_a_browser_play_each_other(name, cluster, page, peers, stream):
    tab = page(name)
    peers.aiortc("publish", cluster.whip(f"{stream}-a", "sfu-1"))
    by_browser = tab.watch(cluster.whep(f"{stream}-a", "sfu-2"))
    tab.publish(cluster.whip(f"{stream}-b", "sfu-2"))
    by_aiortc = peers.aiortc("watch", cluster.whep(f"{stream}-b", "sfu-3"))
    grows(by_browser)
    grows(by_aiortc)


def test_the_front_door_picks_nodes_when_none_is_named(cluster, peers, stream):
    peers.generate(cluster.whip(stream))
    grows(peers.count(cluster.whep(stream)))


def test_clients_may_go_to_a_node_directly(cluster, peers, stream):
    peers.generate(f"{cluster.client_url('sfu-1')}/whip/{stream}")
    grows(peers.count(f"{cluster.client_url('sfu-2')}/whep/{stream}"))


def test_a_stream_crosses_a_link_once_however_many_watch(cluster, peers, stream):
    """And the front door's JSON tells where it is, by whom it is watched and that nothing was lost."""
    peers.generate(cluster.whip(stream, "sfu-1"))
    viewers = [peers.count(cluster.whep(stream, node)) for node in ("sfu-3", "sfu-3", "sfu-3", "sfu-1")]
    for viewer in viewers:
        grows(viewer)
    seen = eventually("four viewers are listed", lambda: (s := cluster.stream(stream)) and s["viewers"] == 4 and s, within=5)
    assert (seen["origin"], seen["carriedBy"]) == ("sfu-1", ["sfu-3"])
    assert {track["codec"].lower() for track in seen["tracks"]} == {"opus", "vp8"}
    assert [(on["node"], on["viewers"]) for on in seen["perNode"]] == [("sfu-1", 1), ("sfu-3", 3)]
    carried = seen["perNode"][1]
    # Three viewers over one link: were it carried three times, the link would have received three times what each of them did.
    most = max(viewer.count() for viewer in viewers[:3])
    assert 0 < carried["packetsReceived"] < 2 * (most + 200), f"{carried['packetsReceived']} over the link, {most} to a viewer"
    assert carried["packetsLost"] == 0


OPEN = """async options => {
    const { stream, origin, far } = options;
    const publisher = await sfumato.publish({ stream, node: origin, source: "test", width: 480, height: 270 });
    const viewer = await sfumato.watch({ stream, node: far });
    window.e2e = { publisher, viewer };
}"""


CAMERA_BY_CLICK = (
    f"async () => {{{HELPERS}"
    """
    let opened = 0;
    const devices = navigator.mediaDevices;
    const open = devices.getUserMedia.bind(devices);
    devices.getUserMedia = (wanted) => ((opened += 1), open(wanted));
    await until("the sentence", () => find("publish-error").checkVisibility());
    const before = [find("publish-error").textContent, sfumato.sessions.length, opened];
    find("publish-start").click();
    await until("the publication", () => sfumato.sessions[0]?.state === "live");
    return [...before, opened];
}"""
)


def test_a_link_with_the_camera_sends_nothing_before_a_click(cluster, browser, stream):
    # This browser has the permission stored: it would not ask.
    tab = browser("chromium")
    tab.open(f"{cluster.front}/?publish={stream}&source=camera&autostart=1")
    sentence, sessions, opened, after = tab.run(CAMERA_BY_CLICK, within=60)
    assert "press Publish" in sentence
    assert (sessions, opened, after) == (0, 0, 1)


class OwnPageViewer:
    """What the product's own page tells of its viewer."""

    def __init__(self, browser):
        self._browser = browser

    def __str__(self):
        return f"the viewer of the product's own page in {self._browser.name}"

    def count(self) -> int:
        return self._browser.run("async () => (await e2e.viewer.stats()).framesDecoded ?? 0")


@pytest.mark.parametrize("name", ["chromium", "firefox"])
def test_the_products_own_page_publishes_a_test_picture_and_plays_it_on_another_node(name, cluster, browser, stream, tmp_path):
    one = browser(name)
    one.open(f"{cluster.front}/")
    eventually("the page has its script", lambda: one.run("() => !!window.sfumato?.publish"), within=5)
    one.run(OPEN, {"stream": stream, "origin": "sfu-1", "far": "sfu-3"})
    grows(OwnPageViewer(one))
    assert one.run("async () => (await e2e.viewer.stats()).connectionState") == "connected"
    # The server's own numbers, with RTX and bandwidth estimation.
    assert one.run("() => e2e.viewer.current.pc.remoteDescription.type") == "offer"
    taken = one.run("() => e2e.viewer.current.pc.localDescription.sdp")
    assert "transport-wide-cc" in taken
    assert "rtx/90000" in taken
    seen = cluster.stream(stream)
    assert (seen["origin"], seen["carriedBy"]) == ("sfu-1", ["sfu-3"])
    one.screenshot(tmp_path / f"{name}.png")
    one.open(f"{cluster.front}/index.html")
    eventually("the page is also at /index.html", lambda: one.run("() => !!window.sfumato?.publish"), within=5)
