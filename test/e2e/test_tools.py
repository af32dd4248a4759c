"""What the other tests stand on: these fail when the machine is at fault, not the product."""

import os

import pytest

from harness.faults import nft
from harness.growth import grows
from harness.peers import PagePeer, ffmpeg_says


@pytest.mark.parametrize("name", ["chromium", "firefox"])
def test_the_browser_encodes_and_decodes_over_loopback(name, page):
    browser = page(name).browser
    opened = browser.run("() => peer.loopback()")
    grows(PagePeer(browser, {"id": opened["id"], "url": "", "answer": ""}, "loopback"))


def test_chromium_decodes_h264_and_firefox_does_not_offer_it(page):
    video = "() => RTCRtpReceiver.getCapabilities('video').codecs.map(c => c.mimeType)"
    assert "video/H264" in page("chromium").browser.run(video)
    assert "video/H264" not in page("firefox").browser.run(video), "test_play and test_bad_input count on it"


def test_ffmpeg_speaks_whip_and_encodes_h264_and_opus():
    assert "Muxer whip" in ffmpeg_says("-h", "muxer=whip")
    encoders = ffmpeg_says("-encoders")
    assert "libx264" in encoders
    assert "libopus" in encoders


@pytest.mark.skipif(os.geteuid() != 0, reason="takes root")
def test_nftables_takes_rules():
    nft("""
        table inet sfumato_e2e_probe {
            chain probe {
                type filter hook input priority filter;
                udp sport 1-2 udp dport 1-2 drop
            }
        }
        delete table inet sfumato_e2e_probe
    """)
