"""Offers of the server to players, with real browsers. An engine that needs them is in `test_client_ways.py`."""

import pytest

from harness.growth import grows

AV1 = pytest.param("AV1", marks=pytest.mark.alone)


@pytest.mark.parametrize("name", ["chromium", "firefox"])
def test_a_browser_plays_through_an_offer_of_the_server(name, cluster, page, stream):
    """An empty POST: the browser answers, and gets RTX and bandwidth estimation, which an answer to its own offer leaves out."""
    chromium = page("chromium")
    chromium.publish(cluster.whip(stream, "sfu-1"))
    viewer = (chromium if name == "chromium" else page(name)).watch(cluster.whep(stream, "sfu-2"), ask=True)
    grows(viewer)
    stats = viewer.stats()
    assert stats["codec"] == "video/VP8"
    assert stats["audioPackets"] > 0
    # What the browser answered: all of it was taken.
    assert "transport-wide-cc" in viewer.answer
    assert "apt=96" in viewer.answer
    assert viewer.stop() == 200


@pytest.mark.parametrize("codec", ["H264", "VP9", AV1])
def test_chromium_plays_every_codec_through_an_offer_of_the_server(codec, cluster, page, stream):
    tab = page("chromium")
    tab.publish(cluster.whip(stream, "sfu-1"), codec=codec)
    viewer = tab.watch(cluster.whep(stream, "sfu-3"), ask=True)
    grows(viewer)
    assert viewer.stats()["codec"] == f"video/{codec}"


def test_h264_of_high_profile_is_played_through_an_offer_of_the_server(cluster, page, peers, stream):
    peers.ffmpeg(cluster.whip(stream, "sfu-1"), profile="high")
    viewer = page("chromium").watch(cluster.whep(stream, "sfu-2"), ask=True, retryMs=15000)
    grows(viewer)
    assert viewer.stats()["codec"] == "video/H264"
