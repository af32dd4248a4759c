"""Connected and black: whatever keeps a picture from being shown is told, with what to change."""

from harness.growth import grows
from harness.waiting import eventually
from test_statistics import Admin

# After the first RTP, and one look more.
TOLD = 15
# On the product's own page.
WATCH = "async options => { await sfumato.watch(options); }"
TROUBLE = """() => {
    const told = document.querySelector('[data-testid="session-trouble"]');
    return told && !told.hidden ? told.textContent : "";
}"""


def track(cluster, stream: str, kind: str) -> dict:
    now = cluster.stream(stream)
    assert now, "it is not listed"
    return next(it for it in now["tracks"] if it["kind"] == kind)


def has_state(cluster, stream: str, kind: str, state: str) -> bool:
    now = track(cluster, stream, kind)
    assert now.get("state") == state, now
    return True


def lines(cluster, node: str, *words: str) -> list[str]:
    """What a node has logged with all these words."""
    log = (cluster.state / "logs" / f"{node}.log").read_text()
    return [line for line in log.splitlines() if all(word in line for word in words)]


def test_h264_without_sps_is_told_everywhere_with_what_to_change(cluster, browser, peers, stream):
    admin, tab = Admin(cluster, "sfu-1"), browser("chromium")
    publisher = peers.aiortc("publish-without-sps", cluster.whip(stream, "sfu-1"))
    eventually("it is known", lambda: has_state(cluster, stream, "video", "noKeyFrame"), within=TOLD)
    assert track(cluster, stream, "audio")["state"] == "flowing"
    told = lines(cluster, "sfu-1", stream, 'track="video"', 'state="noKeyFrame"')
    assert len(told) == 1, told
    assert "config-interval=-1" in told[0]
    assert "dump_extra" in told[0]
    assert admin.metrics()['sfu_node_tracks{kind="video",state="noKeyFrame"}'] >= 1

    # A viewer on another node: it asks for a key frame again and again, and its page says why there is none.
    tab.open(f"{cluster.front}/")
    eventually("the page has its script", lambda: tab.run("() => !!window.sfumato?.watch"), within=5)
    tab.run(WATCH, {"stream": stream, "node": "sfu-3"})
    eventually("the page says why", lambda: "dump_extra" in tab.run(TROUBLE), within=TOLD)

    def requests() -> int:
        return next(it for it in admin.sessions(stream) if it["role"] == "publisher")["media"]["keyFrameRequests"]

    state = """() => document.querySelector('[data-testid="session-state"]').textContent"""
    eventually("its state says so", lambda: tab.run(state) == "live on sfu-3, no picture", within=TOLD)
    (black,) = Admin(cluster, "sfu-3").sessions(stream)
    assert (black["role"], black["state"]) == ("viewer", "noKeyFrame"), black
    assert Admin(cluster, "sfu-3").metrics()["sfu_node_viewers_without_picture"] >= 1
    eventually("its node logs it", lambda: lines(cluster, "sfu-3", stream, "no picture could be sent"), within=TOLD)
    before = requests()
    eventually("key frames are asked for again", lambda: requests() >= before + 3, within=TOLD)
    assert publisher.closed() == "", "it is not ended: sound plays"


def test_a_publisher_whose_ssrc_changes_is_ended_with_the_reason_and_may_come_back(cluster, peers, stream):
    publisher = peers.aiortc("publish", cluster.whip(stream, "sfu-1"))
    grows(peers.count(cluster.whep(stream, "sfu-2")))
    eventually("its pictures flow", lambda: has_state(cluster, stream, "video", "flowing"), within=TOLD)
    admin = Admin(cluster, "sfu-1")
    ended = 'sfu_node_sessions_ended_total{role="publisher",reason="strange_ssrc"}'
    before = admin.metrics()[ended]
    publisher.take_other_ssrc()
    eventually("its session is ended", publisher.closed, within=TOLD)
    assert admin.metrics()[ended] == before + 1
    told = lines(cluster, "sfu-1", stream, 'track="video"', 'state="strangeSsrc"')
    assert len(told) == 1, told
    assert "a=ssrc" in told[0]
    assert lines(cluster, "sfu-1", stream, "session ends: it sent RTP with an SSRC"), "the end is told with its reason"
    again = peers.aiortc("publish", cluster.whip(stream, "sfu-1"))
    grows(peers.count(cluster.whep(stream, "sfu-2")))
    assert again.closed() == ""
