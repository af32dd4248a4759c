"""A stream that ends, ends everywhere, and its players are told so that they can try again."""

import signal
import time

import pytest

from harness.growth import grows
from harness.offers import offer
from harness.peers import OVER
from harness.waiting import PATIENCE, eventually

NODES = ("sfu-1", "sfu-2", "sfu-3")


def told_at(viewer) -> float:
    """When a browser's viewer was told of the end, in seconds since the epoch."""
    return min(event["at"] for event in viewer.stats()["events"] if event["what"] != "ice" and event["state"] in OVER) / 1000


@pytest.mark.parametrize("name", ["chromium", "firefox"])
def test_a_deleted_stream_ends_everywhere_within_a_second(name, cluster, page, peers, stream):
    tab = page(name)
    publisher = tab.publish(cluster.whip(stream, "sfu-1"))
    in_browser = [tab.watch(cluster.whep(stream, node)) for node in NODES]
    counters = [peers.count(cluster.whep(stream, node)) for node in NODES]
    for viewer in in_browser:
        grows(viewer)
    began = time.time()
    assert publisher.stop() == 200
    for viewer in counters:
        eventually(f"{viewer} is told", viewer.closed, within=2, every=0.02)
    counters_took = time.time() - began
    for viewer in in_browser:
        eventually(f"{viewer} is told", viewer.closed, within=2)
    took = {str(viewer): round(told_at(viewer) - began, 2) for viewer in in_browser}
    assert max(took.values()) <= PATIENCE, f"players were told after {took} s"
    assert counters_took <= PATIENCE, f"the counters were told after {counters_took:.2f} s"
    for viewer in counters:
        assert "remote" in viewer.closed(), f"{viewer} was not told by DTLS but ran into a time-out: {viewer.closed()}"
    eventually("the front door no longer lists it", lambda: cluster.stream(stream) is None, within=2, errors=())


def test_after_the_end_the_name_is_free_and_players_come_back(cluster, peers, stream):
    first = peers.generate(cluster.whip(stream, "sfu-1"))
    grows(peers.count(cluster.whep(stream, "sfu-3")))
    first.stop()
    peers.generate(cluster.whip(stream, "sfu-2"))
    again = peers.count(cluster.whep(stream, "sfu-3"))
    grows(again)
    assert eventually("it is listed", lambda: cluster.stream(stream), within=5)["origin"] == "sfu-2"


def test_a_viewer_that_leaves_is_no_longer_counted_and_the_link_is_no_longer_used(cluster, peers, stream):
    """The stream stops crossing the link `fanOutIdleTimeout` (30 s) after the last viewer left; that it is kept until then is not
    waited for."""
    peers.generate(cluster.whip(stream, "sfu-1"))
    viewer = peers.count(cluster.whep(stream, "sfu-3"))
    eventually("one viewer is listed", lambda: (s := cluster.stream(stream)) and s["viewers"] == 1, within=5)
    viewer.stop()
    eventually("no viewer is listed", lambda: (s := cluster.stream(stream)) and s["viewers"] == 0, within=5)


def test_a_session_that_never_connects_ends_after_15_seconds_and_says_why(cluster, stream):
    headers, began = {"Content-Type": "application/sdp"}, time.monotonic()
    made = cluster.http.post(cluster.whip(stream, "sfu-1"), content=offer(direction="sendonly"), headers=headers)
    assert made.status_code == 201, made.text
    session = f"{cluster.front}{made.headers['Location']}"
    assert cluster.http.get(session).status_code == 204
    gone = eventually("the session has ended", lambda: (a := cluster.http.get(session)).status_code == 404 and a, within=22)
    assert time.monotonic() - began >= 15
    assert "it never connected" in gone.json()["detail"]
    assert cluster.http.delete(session).status_code == 200, "a client that sends DELETE all the same has nothing to worry about"


def test_a_publisher_that_vanishes_is_ended_by_its_silence(cluster, peers, stream):
    """Killed, it says nothing at all: no DELETE, no DTLS close. A session is over after 15 s without a packet."""
    generator = peers.generate(cluster.whip(stream, "sfu-2"))
    viewer = peers.count(cluster.whep(stream, "sfu-1"))
    generator.child.process.send_signal(signal.SIGKILL)
    # The viewer's own limit (8 s of silence) comes first: it is the stream that is looked at.
    eventually("the stream is gone", lambda: cluster.stream(stream) is None, within=25, errors=())
    assert viewer.closed()
    peers.generate(cluster.whip(stream, "sfu-3"))
