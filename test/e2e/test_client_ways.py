"""Ways of published clients that a server must bear, shown with those clients themselves."""

import httpx
import pytest

from harness import foreign
from harness.growth import grows
from harness.offers import offer
from harness.waiting import eventually

pytestmark = pytest.mark.foreign


def test_obs_may_close_its_connection_before_it_sends_delete(cluster, peers, media, stream):
    """OBS closes DTLS first, which ends the session here; its DELETE gets 200 all the same, and the name is free."""
    obs = peers.foreign(foreign.libdatachannel, "publish", cluster.whip(stream, "sfu-1"), "--media", media)
    grows(peers.count(cluster.whep(stream, "sfu-2")))
    assert obs.end() == 200
    eventually("the stream is no longer listed", lambda: cluster.stream(stream) is None, within=5, errors=())
    grows(peers.foreign(foreign.libdatachannel, "publish", cluster.whip(stream, "sfu-3"), "--media", media))


def test_obs_publishes_three_layers_and_a_browser_plays_one_on_another_node(cluster, page, peers, media, stream):
    """The peer ends where the answer takes fewer layers than it offers, as OBS does."""
    obs = peers.foreign(foreign.libdatachannel, "publish", cluster.whip(stream, "sfu-1"), "--media", media, "--simulcast")
    viewer = page("chromium").watch(cluster.whep(stream, "sfu-3"))
    grows(viewer)
    assert viewer.stats()["codec"] == "video/H264"
    assert obs.closed() == ""


@pytest.mark.parametrize("client", [foreign.pion, foreign.gstreamer, foreign.wrtc])
def test_a_client_ends_its_session_by_the_location_that_it_was_given(client, cluster, peers, media, stream):
    options = ["--media", media] if client is foreign.pion else []
    publisher = peers.foreign(client, "publish", cluster.whip(stream, "sfu-2"), *options)
    assert publisher.last()["session"].startswith(f"{cluster.front}/nodes/sfu-2/whip/{stream}/")
    assert publisher.end() == 200
    eventually("the stream is no longer listed", lambda: cluster.stream(stream) is None, within=5, errors=())


@pytest.mark.parametrize("client", ["eyevinn", "medooze"])
def test_a_client_for_web_pages_publishes_plays_on_another_node_and_ends_in_order(client, cluster, page, peers, stream):
    """Its PATCH and DELETE pass although it sends the tag under another name, or none."""
    tab = page("chromium")
    publisher = foreign.in_page(tab, client, "publish", cluster.whip(stream, "sfu-1"))
    grows(peers.count(cluster.whep(stream, "sfu-2")))
    viewer = foreign.in_page(tab, client, "watch", cluster.whep(stream, "sfu-2"))
    grows(viewer)
    assert viewer.stats()["audioPackets"] > 0
    viewer.stop()
    eventually("its viewer is gone", lambda: cluster.stream(stream)["viewers"] == 1, within=5)
    publisher.stop()
    eventually("the stream is no longer listed", lambda: cluster.stream(stream) is None, within=5, errors=())


def test_ffmpeg_8_cannot_connect_and_leaves_nothing_behind(cluster, peers, stream):
    """Its first release with WHIP; what is wrong with it is in docs/whip-whep.md. The name is free when the session has ended: by a
    DELETE, or after the 15 s that a session has to connect."""
    ffmpeg = peers.ffmpeg(cluster.whip(stream, "sfu-1"), program=foreign.ffmpeg8())
    eventually("ffmpeg 8 gives up", lambda: ffmpeg.closed(), within=40)
    eventually("the stream is no longer listed", lambda: cluster.stream(stream) is None, within=25, errors=())
    log = (cluster.state / "logs" / "sfu-1.log").read_text()
    assert [line for line in log.splitlines() if f"stream={stream}" in line and "session ends: " in line], (
        "the log tells of the end"
    )
    answer = httpx.post(
        cluster.whep(stream, "sfu-1"),
        content=offer(direction="recvonly"),
        headers={"Content-Type": "application/sdp"},
        trust_env=False,
    )
    assert answer.status_code == 409, answer.text


def test_ffmpeg_publishes_in_high_profile_and_a_browser_and_pion_play_it(cluster, page, peers, stream):
    """Neither lists the stream's own profile-level-id: the answer names the nearest entry, and they decode what comes under it."""
    ffmpeg = peers.ffmpeg(cluster.whip(stream, "sfu-1"), profile="high")
    in_browser = page("chromium").watch(cluster.whep(stream, "sfu-3"), retryMs=15000)
    in_pion = peers.foreign(foreign.pion, "watch", cluster.whep(stream, "sfu-2"))
    grows(in_browser, within=15)
    grows(in_pion, within=15)
    assert in_browser.stats()["codec"] == "video/H264"
    assert ffmpeg.closed() == ""


def test_an_old_libwebrtc_plays_what_offers_video_first(cluster, peers, media, stream):
    """It keeps the header extension ids of its own offer. When video comes first its MID is 9, which the worker never writes."""
    peers.foreign(foreign.pion, "publish", cluster.whip(stream, "sfu-1"), "--media", media)
    viewer = peers.foreign(foreign.wrtc, "watch", cluster.whep(stream, "sfu-2"), "--video-first")
    grows(viewer)
    assert viewer.audio() > 0


def test_an_old_libwebrtc_that_offers_sound_first_plays_by_a_counter_offer(cluster, peers, media, stream):
    """Its MID is then 4, under which the worker writes send times; no answer can mend that, so it gets the node's own offer."""
    peers.foreign(foreign.pion, "publish", cluster.whip(stream, "sfu-1"), "--media", media)
    viewer = peers.foreign(foreign.wrtc, "watch", cluster.whep(stream, "sfu-2"))
    assert viewer.last()["counter"], "it was answered as if it could play"
    grows(viewer)
    assert viewer.audio() > 0
    assert viewer.end() == 200
