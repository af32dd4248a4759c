"""A node that is drained loses no viewer, and cuts no publisher before the deadline."""

import signal
import time

import httpx
import pytest

from harness.cluster import manifest
from harness.growth import Steady, grows
from harness.offers import offer
from harness.waiting import eventually, meanwhile

DEADLINE = 15
# What a viewer may miss when its node goes.
BACK_WITHIN = 5


@pytest.fixture
def scaled(make_cluster, tmp_path):
    """A cluster from a file, and what writes another number of nodes into it."""
    file = tmp_path / "cluster.yaml"

    def start(nodes: int):
        scale(nodes)
        options = ("-f", file, "--workers", "1", "--drain-deadline", f"{DEADLINE}s")
        return make_cluster(nodes=None, options=options).started(nodes)

    def scale(nodes: int) -> None:
        file.write_text(manifest(nodes))

    return start, scale


def test_from_5_nodes_to_2_every_viewer_plays_elsewhere_within_5_s_and_no_publisher_is_cut_before_the_deadline(
    scaled, peers, stream
):
    start, scale = scaled
    cluster = start(5)
    staying, leaving = f"{stream}-stays", f"{stream}-leaves"
    peers.generate(cluster.whip(staying, "sfu-1"))
    publisher = peers.generate(cluster.whip(leaving, "sfu-5"))
    steady = peers.count(cluster.whep(staying, "sfu-2"))
    flocks = [
        peers.flock(7, cluster.whep(staying, "sfu-3"), cluster.whep(staying)),
        peers.flock(7, cluster.whep(leaving, "sfu-4"), cluster.whep(leaving)),
        peers.flock(6, cluster.whep(staying, "sfu-5"), cluster.whep(staying)),
    ]
    leavers = [cluster.pid(node) for node in ("sfu-3", "sfu-4", "sfu-5")]
    with Steady([steady]):
        scaled_at = time.monotonic()
        scale(2)
        for flock in flocks:
            eventually(
                f"all of {flock} have come back and play", lambda f=flock: f.returned() == f.playing() == f.viewers, within=12
            )
            assert flock.longest_gap() < BACK_WITHIN
            assert flock.nodes() <= {"sfu-1", "sfu-2"}, f"{flock} is on {flock.nodes()}"
        # Those who watch the stream that is published on a node that leaves play on as long as its publisher may stay.
        assert publisher.child.running(), "the publisher was cut although its deadline is not over"
        eventually("those who watch it play on", lambda: flocks[1].playing() == flocks[1].viewers, within=3)
        eventually("the deadline ends the publisher", lambda: not publisher.child.running(), within=DEADLINE + 10)
        stayed = time.monotonic() - scaled_at
        cluster.gone(leavers, within=10)
        cluster.wait_whole(2)
    assert stayed >= DEADLINE, f"the publisher was cut after {stayed:.1f} s"
    told = cluster.child.tail(2000)
    for words in ("sfu-5 is drained (scaleDown)", "sfu-5 is drained: nobody is left", "sfu-5 has ended"):
        assert words in told, f"{words!r} was not told:\n{told}"
    assert "was killed" not in told


def test_scaling_up_again_in_mid_drain_keeps_the_node_and_its_publisher(scaled, peers, stream):
    start, scale = scaled
    cluster = start(3)
    publisher = peers.generate(cluster.whip(stream, "sfu-3"))
    viewer = peers.count(cluster.whep(stream, "sfu-1"))
    before = cluster.report("sfu-3")
    with Steady([viewer]):
        scale(2)
        eventually("it is drained", lambda: cluster.report("sfu-3")["drain"]["reasons"] == ["scaleDown"], within=10)
        refused = cluster.http.post(
            f"{cluster.client_url('sfu-3')}/whep/{stream}", content="v=0", headers={"Content-Type": "application/sdp"}
        )
        assert refused.status_code == 503
        assert int(refused.headers["Retry-After"]) > 0
        scale(3)
        after = cluster.wait_whole(3)["sfu-3"]
    assert (after["pid"], after["incarnation"]) == (before["pid"], before["incarnation"])
    assert after["drain"]["reasons"] == []
    assert publisher.child.running()


def test_a_node_drained_by_hand_is_emptied_and_stays_until_its_reason_is_lifted(make_cluster, peers, stream):
    cluster = make_cluster(nodes=2, options=("--workers", "1")).started()
    peers.generate(cluster.whip(stream, "sfu-1"))
    flock = peers.flock(2, cluster.whep(stream, "sfu-2"), cluster.whep(stream))
    pid = cluster.pid("sfu-2")
    drained = cluster.admin("POST", "sfu-2", "drain", json={"reason": "manual", "deadlineSeconds": 3600})
    assert drained.json()["reasons"] == ["manual"]
    eventually("its viewers play elsewhere", lambda: flock.nodes() == {"sfu-1"} and flock.playing() == 2, within=10)
    assert flock.longest_gap() < BACK_WITHIN
    eventually("the front door shows it", lambda: cluster.json()["nodes"][1]["draining"], within=5)
    report = cluster.report("sfu-2")
    assert (report["pid"], report["viewers"], report["draining"]) == (pid, 0, True)
    assert {link["state"] for link in report["links"]} == {"fresh"}, "its links stay up"
    assert cluster.admin("DELETE", "sfu-2", "drain?reason=roll").json()["reasons"] == ["manual"]
    assert cluster.admin("DELETE", "sfu-2", "drain?reason=manual").json()["reasons"] == []
    cluster.wait_whole()
    grows(peers.count(cluster.whep(stream, "sfu-2")))


def test_a_player_that_listens_is_asked_to_reconnect_before_its_node_goes(make_cluster, peers, stream):
    cluster = make_cluster(nodes=2, options=("--workers", "1")).started()
    peers.generate(cluster.whip(stream, "sfu-1"))
    whep = cluster.whep(stream, "sfu-2")
    eventually(
        "the stream can be watched", lambda: cluster.http.head(whep).status_code == 200 and cluster.stream(stream), within=10
    )
    opened = cluster.http.post(whep, content=offer(direction="recvonly"), headers={"Content-Type": "application/sdp"})
    assert opened.status_code == 201, opened.text
    session = opened.request.url.join(opened.headers["location"])
    events = cluster.http.post(f"{session}/sse", json=["viewercount", "reconnect"])
    assert events.status_code == 201, events.text
    heard = []

    def listen(_):
        with httpx.stream("GET", events.request.url.join(events.headers["location"]), trust_env=False, timeout=30) as answer:
            for line in answer.iter_lines():
                heard.append(line)

    with meanwhile(listen):
        eventually("the player listens", lambda: "event: viewercount" in heard, within=10)
        cluster.admin("POST", "sfu-2", "drain", json={"reason": "manual", "deadlineSeconds": 3600})
        eventually("the player hears it", lambda: "event: reconnect" in heard, within=10)
        eventually("its session ends", lambda: cluster.http.get(session).status_code == 404, within=10)


def test_sigterm_moves_the_viewers_and_a_second_one_waits_for_nobody(make_cluster, peers, stream):
    cluster = make_cluster(nodes=2, options=("--workers", "1", "--drain-deadline", "1h")).started()
    publisher = peers.generate(cluster.whip(stream, "sfu-2"))
    flock = peers.flock(2, cluster.whep(stream, "sfu-2"), cluster.whep(stream))
    pid = cluster.pid("sfu-2")
    cluster.kill(pid, signal.SIGTERM)
    eventually("its viewers play elsewhere", lambda: flock.nodes() == {"sfu-1"} and flock.playing() == 2, within=10)
    assert publisher.child.running()
    cluster.kill(pid, signal.SIGTERM)
    cluster.gone([pid], within=5)
    eventually("it ended in order", lambda: "sfu-2 died: exit code 0" in cluster.child.tail(200), within=5)
    cluster.wait_whole()


# The product's own page watches on a node by name; what it measures is asked for from outside.
WATCH = "async ({ stream, node }) => void (window.e2e = { viewer: await sfumato.watch({ stream, node }) })"
VIEWER = "async () => await e2e.viewer.stats()"


@pytest.mark.parametrize("name", ["chromium", "firefox"])
def test_the_pages_player_comes_back_through_the_front_door_when_its_node_goes(name, make_cluster, peers, browser, stream):
    cluster = make_cluster(nodes=2, options=("--workers", "1")).started()
    peers.aiortc("publish", cluster.whip(stream, "sfu-1"))
    one = browser(name)
    one.open(f"{cluster.front}/")
    eventually("the page has its script", lambda: one.run("() => !!window.sfumato?.watch"), within=5)
    one.run(WATCH, {"stream": stream, "node": "sfu-2"})
    eventually("it plays", lambda: one.run(VIEWER)["framesDecoded"] > 10, within=15)
    assert one.run(VIEWER)["node"] == "sfu-2"
    cluster.admin("POST", "sfu-2", "drain", json={"reason": "manual"}).raise_for_status()
    eventually("its session is moved", lambda: cluster.report("sfu-2")["viewers"] == 0, within=10)

    def plays_elsewhere() -> bool:
        now = one.run(VIEWER)
        return (now["state"], now["node"]) == ("live", "sfu-1") and now["framesDecoded"] > 0

    eventually("it plays on the other node", plays_elsewhere, within=BACK_WITHIN)
