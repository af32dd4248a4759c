"""A name has one publisher: who may take it over, who wins, and how fast a publisher that vanished is back."""

import contextlib
import json
import random
import signal
import time

import pytest

from harness.faults import without_udp
from harness.growth import grows
from harness.offers import offer
from harness.processes import Child, sockets, stopped
from harness.waiting import PATIENCE, eventually, meanwhile

# A publisher that crashed or lost its network publishes again under its name within this many seconds.
BACK_WITHIN = 4
# How often a stubborn publisher tries: far below the requests a second that a node takes from one address (--max-request-rate,
# another test's matter), which a fast machine exceeds without a pause.
TRIES_EVERY = 0.02
# Two publications of one name never both live for longer than this many seconds.
TWO_WINNERS = 2


def publish_by_hand(cluster, stream: str, node: str):
    """An answer to an offer that nobody stands behind."""
    headers = {"Content-Type": "application/sdp"}
    return cluster.http.post(cluster.whip(stream, node), content=offer(direction="sendonly"), headers=headers, timeout=10)


def back_after(cluster, stream: str, node: str, began: float) -> float:
    """Tries to publish every 250 ms, as an encoder does, and tells how long after `began` it was let in."""

    def attempt():
        answer = publish_by_hand(cluster, stream, node)
        assert answer.status_code == 201, f"{answer.status_code} {answer.text}"
        return time.monotonic() - began

    return eventually(f"{stream} may be published again on {node}", attempt, within=20, every=0.25)


def origins(cluster, stream: str) -> list[str]:
    """Every node that says it publishes the stream, once for each publication."""
    return [name for name, report in cluster.reports().items() for p in report["publications"] if p["stream"] == stream]


@pytest.mark.parametrize("node", ["sfu-1", "sfu-2"])
@pytest.mark.parametrize("redis", ["redis answers", "redis is away"])
def test_a_publisher_that_was_killed_is_back_within_four_seconds(node, redis, cluster, peers, stream):
    generator = peers.generate(cluster.whip(stream, "sfu-1"))
    viewer = peers.count(cluster.whep(stream, "sfu-3"))
    grows(viewer)
    if redis == "redis answers":
        generator.child.process.send_signal(signal.SIGKILL)
        took = back_after(cluster, stream, node, time.monotonic())
    else:
        with stopped(cluster.child_named("redis-server")):
            generator.child.process.send_signal(signal.SIGKILL)
            took = back_after(cluster, stream, node, time.monotonic())
    assert took <= BACK_WITHIN * PATIENCE, f"it took {took:.2f} s"
    eventually("the one before has ended", lambda: origins(cluster, stream) == [node], within=TWO_WINNERS)
    eventually("the viewer of the one before is told", viewer.closed, within=TWO_WINNERS)
    assert "remote" in viewer.closed()


@pytest.mark.parametrize("node", ["sfu-1", "sfu-2"])
def test_a_publisher_that_lost_its_network_is_back_within_four_seconds(node, cluster, peers, stream):
    generator = peers.generate(cluster.whip(stream, "sfu-1"))
    viewer = peers.count(cluster.whep(stream, "sfu-3"))
    grows(viewer)
    with without_udp([port for _, port in sockets(generator.child.pid, "udp")]) as began:
        took = back_after(cluster, stream, node, began)
    assert took <= BACK_WITHIN * PATIENCE, f"it took {took:.2f} s"
    eventually("one publication is left", lambda: origins(cluster, stream) == [node], within=TWO_WINNERS)
    # Its network is back; its session is not, and it is told so by ICE that goes unanswered, and by HTTP when it asks.
    eventually("the one before knows", lambda: not generator.child.running(), within=15)
    told = cluster.http.get(generator.last()["session"])
    assert told.status_code == 404
    assert "another publisher took the name over" in told.json()["detail"]


def test_a_publisher_that_sends_keeps_its_name_for_as_long_as_others_try(cluster, peers, stream):
    generator = peers.generate(cluster.whip(stream, "sfu-1"))
    viewer = peers.count(cluster.whep(stream, "sfu-2"))
    until, statuses = time.monotonic() + 5, set()
    while time.monotonic() < until:
        statuses |= {publish_by_hand(cluster, stream, node).status_code for node in cluster.names()}
        time.sleep(TRIES_EVERY)
    assert statuses == {409}
    assert generator.child.running()
    grows(viewer)
    assert viewer.closed() == ""


@pytest.mark.parametrize("redis", ["redis answers", "redis is away"])
def test_the_names_of_a_killed_node_are_free_at_once(redis, cluster, peers, stream):
    peers.generate(cluster.whip(stream, "sfu-2"))
    grows(peers.count(cluster.whep(stream, "sfu-3")))
    with stopped(cluster.child_named("redis-server")) if redis == "redis is away" else contextlib.nullcontext():
        began = cluster.kill(cluster.pid("sfu-2"))
        answer = publish_by_hand(cluster, stream, "sfu-1")
        took = time.monotonic() - began
    assert answer.status_code == 201, f"{answer.status_code} {answer.text}"
    assert took <= TWO_WINNERS * PATIENCE, f"it took {took:.2f} s"


def test_viewers_end_on_the_publication_that_took_the_name_over(cluster, peers, stream):
    first = peers.generate(cluster.whip(stream, "sfu-1"))
    viewers = [peers.count(cluster.whep(stream, node)) for node in cluster.names()]
    first.child.process.send_signal(signal.SIGKILL)
    peers.generate(cluster.whip(stream, "sfu-2"))
    for viewer in viewers:
        eventually(f"{viewer} is told", viewer.closed, within=TWO_WINNERS)
    # The front door lists one stream of that name, at its new origin, and sends viewers there.
    for _ in viewers:
        grows(peers.count(cluster.whep(stream)))
    assert eventually("it is listed", lambda: cluster.stream(stream), within=5)["origin"] == "sfu-2"
    assert origins(cluster, stream) == ["sfu-2"]


def test_claims_are_written_again_as_soon_as_redis_is_back_and_empty(cluster, peers, stream):
    peers.generate(cluster.whip(stream, "sfu-1"))
    redis = cluster.child_named("redis-server")
    cluster.kill(redis)
    cluster.gone([redis], within=5)
    eventually("another Redis runs", lambda: cluster.child_named("redis-server") != redis, within=15)
    eventually("the claim is there", lambda: cluster.claimed(stream), within=2)
    cluster.redis("FLUSHALL")
    began = time.monotonic()
    eventually("the claim is there", lambda: cluster.claimed(stream), within=5, every=0.02)
    # Claims are refreshed every 3 s; what was lost is noticed earlier.
    assert time.monotonic() - began <= 1.5 * PATIENCE


# Two publishers of one name at the same moment: 200 times in all.

RACES = {"redis answers": 70, "redis is away": 60, "redis comes back empty": 70}


@contextlib.contextmanager
def redis_comes_back_empty_again_and_again(cluster, seed: int):
    """In the block Redis forgets everything and drops its connections at random moments, and is killed now and then."""
    random_, problems = random.Random(seed), []

    def disturb(over):
        killed = time.monotonic()
        while not over.wait(random_.uniform(0.1, 0.8)):
            try:
                # The operator waits longer each time for a process that dies again within 10 s.
                if time.monotonic() - killed > 11:
                    cluster.kill(cluster.child_named("redis-server"))
                    killed = time.monotonic()
                else:
                    cluster.redis("FLUSHALL")
                    cluster.redis("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "no")
            except (OSError, AssertionError) as error:
                # Between a death and the next life.
                problems.append(error)

    with meanwhile(disturb):
        yield


@pytest.mark.parametrize("redis", RACES)
def test_of_two_publishers_of_one_name_one_is_left_and_viewers_end_on_it(redis, cluster, binaries, tmp_path):
    nodes = [text for node in cluster.names() for text in ("--node", cluster.client_url(node))]
    rounds, seed = RACES[redis], 1 + list(RACES).index(redis)
    command = [
        binaries / "sfu-bench",
        "race",
        *nodes,
        "--watch",
        cluster.front,
        "--rounds",
        str(rounds),
        "--seed",
        str(seed),
        "--spread-ms",
        "6",
    ]
    with contextlib.ExitStack() as faults:
        if redis == "redis is away":
            faults.enter_context(stopped(cluster.child_named("redis-server")))
        elif redis == "redis comes back empty":
            faults.enter_context(redis_comes_back_empty_again_and_again(cluster, seed))
        with (tmp_path / "races.jsonl").open("wb") as out:
            child = Child("sfu-bench race", command, tmp_path / "race.log", stdout=out)
        child.exit_code(within=240)
    races = [json.loads(line) for line in (tmp_path / "races.jsonl").read_text().splitlines()]
    assert [race for race in races if race["failure"]] == []
    assert len(races) == rounds, child.tail()
    longest = max(races, key=lambda race: race["overlapMs"])
    assert longest["overlapMs"] <= TWO_WINNERS * 1000 * PATIENCE, f"two winners: {longest}"
    assert all("another publisher" in race["told"] or "is being published on" in race["told"] for race in races), (
        "a loser was not told"
    )
    both = sum(race["letIn"] == 2 for race in races)
    plays = max(race["playsAfterMs"] for race in races)
    print(
        f"{redis}: {rounds} races, both let in {both} times, for {longest['overlapMs']:.0f} ms at most; "
        f"viewers on the winner within {plays:.0f} ms"
    )
