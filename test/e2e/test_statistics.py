"""Statistics of sessions, kicking, and counters that never fall, with real media."""

import itertools
import re
import signal

from harness.waiting import eventually


class Admin:
    """The admin API and the metrics of one node."""

    def __init__(self, cluster, node: str):
        self._cluster = cluster
        self._node = node

    def _call(self, method: str, path: str, **options):
        headers = {"Authorization": f"Bearer {self._cluster.token()}"}
        return self._cluster.http.request(method, f"{self._cluster.admin_url(self._node)}{path}", headers=headers, **options)

    def sessions(self, stream: str) -> list[dict]:
        answer = self._call("GET", "/admin/v1/sessions", params={"stream": stream})
        assert answer.status_code == 200, answer.text
        return answer.json()["sessions"]

    def kick(self, what: str, which: str) -> None:
        answer = self._call("DELETE", f"/admin/v1/{what}/{which}", params={"reason": "a test"})
        assert answer.status_code == 200, answer.text

    def metrics(self) -> dict[str, float]:
        """Every sample by its name and labels as they are written."""
        text = self._cluster.http.get(f"{self._cluster.health_url(self._node)}/metrics").text
        samples = re.findall(r"^(sfu_node_\S+) (\S+)$", text, re.MULTILINE)
        return {name: float(value) for name, value in samples}


def counters(samples: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in samples.items() if "_total" in name}


def fallen(before: dict[str, float], after: dict[str, float]) -> dict[str, tuple]:
    """Counters that are lower than they were, or gone."""
    return {name: (value, after.get(name)) for name, value in counters(before).items() if after.get(name, -1) < value}


def test_sessions_tell_how_they_go_and_a_kicked_viewer_sees_its_session_close(cluster, peers, stream):
    origin, far = Admin(cluster, "sfu-1"), Admin(cluster, "sfu-3")
    peers.generate(cluster.whip(stream, "sfu-1"))
    eventually("the stream is known", lambda: cluster.stream(stream), within=10)
    both = [peers.count(cluster.whep(stream, "sfu-3")) for _ in range(2)]

    def measured(admin, role, count):
        sessions = [s for s in admin.sessions(stream) if s["role"] == role]
        assert len(sessions) == count
        for session in sessions:
            media = session["media"]
            assert session["connected"]
            assert media["bitrate"] > 100_000, media
            assert media["packets"] > 50, media
            assert media["bytes"] > media["packets"] * 100, media
        return sessions

    (publisher,) = eventually("the publisher is measured", lambda: measured(origin, "publisher", 1), within=15)
    viewers = eventually("the viewers are measured", lambda: measured(far, "viewer", 2), within=15)
    assert {session["publication"] for session in viewers} == {publisher["publication"]}
    assert any(publisher["id"] in line for line in log_lines(cluster, "sfu-1") if "published" in line)

    before = far.metrics()
    victim = viewers[0]
    far.kick("sessions", victim["id"])
    eventually("one viewer's session closes", lambda: any(peer.closed() for peer in both), within=5)
    (stays,) = [peer for peer in both if not peer.closed()]
    left = far.sessions(stream)
    assert [session["id"] for session in left] == [session["id"] for session in viewers if session != victim]
    count = stays.count()
    eventually("the other goes on", lambda: stays.count() > count + 50, within=10)
    after = far.metrics()
    assert not fallen(before, after)
    ended = 'sfu_node_sessions_ended_total{role="viewer",reason="kicked"}'
    assert after[ended] == before[ended] + 1
    assert after['sfu_node_sessions{role="viewer",state="connected"}'] == 1

    origin.kick("publications", publisher["publication"])
    eventually("the viewer of the kicked publication is told", stays.closed, within=5)
    eventually("the stream is gone", lambda: not cluster.stream(stream), within=5)


def log_lines(cluster, node: str) -> list[str]:
    logs = cluster.state.glob(f"logs/{node}*")
    return [line for log in logs for line in log.read_text(errors="replace").splitlines()]


def test_no_counter_falls_when_sessions_end_and_links_are_replaced(cluster, peers, stream):
    near = Admin(cluster, "sfu-1")
    peers.generate(cluster.whip(stream, "sfu-2"))
    eventually("the stream is known", lambda: cluster.stream(stream), within=10)
    viewer = peers.count(cluster.whep(stream, "sfu-1"))
    received = "sfu_node_link_packets_received_total"
    eventually("packets cross the link", lambda: viewer.count() > 100 and near.metrics()[received] > 100, within=15)
    seen = [near.metrics()]

    def look() -> dict[str, float]:
        seen.append(near.metrics())
        return seen[-1]

    incarnation = cluster.report("sfu-2")["incarnation"]
    cluster.kill(cluster.pid("sfu-2"), signal.SIGKILL)

    def replaced() -> bool:
        look()
        return cluster.report("sfu-2")["incarnation"] != incarnation and bool(cluster.whole())

    eventually("the links are made anew", replaced, within=30)
    look()
    for before, after in itertools.pairwise(seen):
        assert not fallen(before, after)
    assert seen[-1][received] >= seen[0][received] > 100
    assert seen[-1]['sfu_node_sessions_ended_total{role="viewer",reason="stream_ended"}'] >= 1
