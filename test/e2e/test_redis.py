"""Redis away: nothing that plays stops, nothing is unready, known streams gain viewers."""

import signal

import pytest

from harness.cluster import link_ids
from harness.faults import wait_until
from harness.growth import Steady, grows
from harness.offers import offer
from harness.probes import always_answer
from harness.processes import stopped
from harness.waiting import eventually

# Longer than a claim on a name lives without being refreshed (10 s).
AWAY = 12


def ready(cluster) -> list[str]:
    return [f"{cluster.health_url(node)}/readyz" for node in cluster.names()]


def knows_redis(cluster, expected: bool):
    def check():
        said = {name: report["redis"] for name, report in cluster.reports().items()}
        return all(value is expected for value in said.values()) or None

    return check


def test_redis_hangs_and_comes_back_and_nothing_stops(cluster, peers, stream):
    peers.generate(cluster.whip(f"{stream}-1", "sfu-1"))
    peers.generate(cluster.whip(f"{stream}-2", "sfu-2"))
    viewers = [peers.count(cluster.whep(f"{stream}-1", "sfu-3")), peers.count(cluster.whep(f"{stream}-2", "sfu-1"))]
    ids = link_ids(cluster.reports())
    with Steady(viewers), always_answer(ready(cluster)):
        with stopped(cluster.child_named("redis-server")) as began:
            eventually("every node sees that Redis is away", knows_redis(cluster, False), within=8)
            joined = peers.count(cluster.whep(f"{stream}-1", "sfu-2"))
            grows(joined)
            # New names are accepted after asking the peers; taken ones are refused by their word.
            peers.generate(cluster.whip(f"{stream}-3", "sfu-3"))
            grows(peers.count(cluster.whep(f"{stream}-3", "sfu-1")))
            taken = status_of_publishing(cluster, f"{stream}-1", "sfu-2")
            wait_until(began + AWAY)
        eventually("every node sees Redis again", knows_redis(cluster, True), within=10)
    assert taken == 409
    assert joined.closed() == ""
    assert link_ids(cluster.reports()) == ids
    assert status_of_publishing(cluster, f"{stream}-3", "sfu-2") == 409, "the claim was not written again"


def status_of_publishing(cluster, stream: str, node: str) -> int:
    """Status of an attempt to publish under a name, by an offer that nobody stands behind."""
    answer = cluster.http.post(
        cluster.whip(stream, node), content=offer(direction="sendonly"), headers={"Content-Type": "application/sdp"}, timeout=10
    )
    return answer.status_code


def test_redis_is_killed_and_comes_back_empty_and_nothing_stops(cluster, peers, stream):
    peers.generate(cluster.whip(f"{stream}-1", "sfu-1"))
    peers.generate(cluster.whip(f"{stream}-2", "sfu-3"))
    viewers = [peers.count(cluster.whep(f"{stream}-1", "sfu-2")), peers.count(cluster.whep(f"{stream}-2", "sfu-1"))]
    ids = link_ids(cluster.reports())
    first = cluster.child_named("redis-server")
    with Steady(viewers), always_answer(ready(cluster)):
        for number in (signal.SIGKILL, signal.SIGTERM):
            pid = cluster.child_named("redis-server")
            cluster.kill(pid, number)
            cluster.gone([pid], within=5)
            grows(peers.count(cluster.whep(f"{stream}-1", "sfu-3")))
            eventually("another Redis runs", lambda pid=pid: cluster.child_named("redis-server") != pid, within=15)
        eventually("every node sees Redis again", knows_redis(cluster, True), within=10)
    assert cluster.child_named("redis-server") != first
    assert link_ids(cluster.reports()) == ids
    assert status_of_publishing(cluster, f"{stream}-1", "sfu-2") == 409, "the claim was not written again"


@pytest.mark.parametrize("node", ["sfu-1", "sfu-2", "sfu-3"])
def test_a_cluster_that_lost_redis_can_be_published_to_on_every_node(cluster, peers, stream, node):
    with stopped(cluster.child_named("redis-server")):
        peers.generate(cluster.whip(stream, node))
        grows(peers.count(cluster.whep(stream, node)))
