"""What a node holds for sessions goes with them: after 1,000 rounds of publish, play and end, nothing is left."""

import itertools
import json
import random
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from harness.offers import offer, with_vp8_as
from harness.processes import Child
from harness.waiting import eventually

# Rounds with media, each with a publisher and a viewer that connect; the others are offers that nobody stands behind.
WITH_MEDIA, BY_HAND = 300, 700
# Payload types that viewers by hand offer for VP8: the main router's, and two that take a router of their own.
VP8 = (96, 100, 105)
HEADERS = {"Content-Type": "application/sdp"}
# Whoever vanished is ended after 15 s of silence, and what was made for it stands idle for a second after that.
BACK_WITHIN = 45

MANIFEST = """
apiVersion: sfumato.dev/v1alpha1
kind: SfuCluster
metadata: { name: leaks }
spec: { replicas: 2, workersPerNode: 2, mesh: { fanOutIdleTimeout: 1s } }
"""


@pytest.fixture
def forgetful(make_cluster, tmp_path):
    """Two nodes of two workers that keep nothing idle for longer than a second."""
    file = tmp_path / "cluster.yaml"
    file.write_text(MANIFEST)
    # All rounds come from one address, as fast as the machine can.
    env = {"SFUMATO_COPY_IDLE_TIMEOUT": "1s", "SFUMATO_MAX_REQUEST_RATE": "10000"}
    cluster = make_cluster(nodes=None, options=("-f", file), env=env).started(2)
    cluster.nodes = 2
    return cluster


def objects(cluster) -> dict[str, dict]:
    return {name: cluster.objects(name) for name in cluster.names()}


def total(counts: dict[str, dict], what: str) -> int:
    """So many of a kind in all workers of all nodes."""
    return sum(worker[what] for node in counts.values() for worker in node["workers"])


def by_hand(cluster, number: int, http: httpx.Client) -> None:
    """Publishes and plays by HTTP alone; most are ended by DELETE, the others end by themselves since they never connect."""
    random_ = random.Random(number)
    origin, other = random_.sample(cluster.names(), 2)
    name = f"by-hand-{number}"
    publisher = http.post(f"{cluster.client_url(origin)}/whip/{name}", content=offer(direction="sendonly"), headers=HEADERS)
    assert publisher.status_code == 201, publisher.text
    sdp = with_vp8_as(VP8[number % 3], offer(direction="recvonly"))
    watched = random_.choice([origin, other])

    def play():
        answer = http.post(f"{cluster.client_url(watched)}/whep/{name}", content=sdp, headers=HEADERS)
        assert answer.status_code == 201, answer.text
        return answer

    viewer = eventually(f"{name} can be played", play, within=10, every=0.02)
    ended = [(viewer, watched), (publisher, origin)]
    if number % 7 == 0:
        ended = []
    elif number % 5 == 0:
        ended.reverse()
    for answer, node in ended:
        assert http.delete(f"{cluster.client_url(node)}{answer.headers['Location']}").status_code == 200


def test_after_a_thousand_rounds_every_worker_holds_what_it_held_before(forgetful, binaries, tmp_path):
    cluster = forgetful
    before = eventually("the counts stand still", lambda: (one := objects(cluster)) == objects(cluster) and one, within=10)
    children = []
    for origin, other in itertools.permutations(cluster.names()):
        out = tmp_path / f"churn-{origin}.out"
        command = [binaries / "sfu-bench", "churn", "--publish", cluster.client_url(origin), "--watch", cluster.client_url(other)]
        command += ["--rounds", str(WITH_MEDIA // 2), "--at-once", "3", "--name", f"churn-{origin}"]
        with out.open("wb") as file:
            children.append((Child(f"sfu-bench churn {origin}", command, tmp_path / f"churn-{origin}.log", stdout=file), out))
    during = []
    with httpx.Client(trust_env=False, timeout=20) as http, ThreadPoolExecutor(4) as pool:
        for first in range(0, BY_HAND, 100):
            list(pool.map(lambda number: by_hand(cluster, number, http), range(first, first + 100)))
            during.append(objects(cluster))
    for child, out in children:
        assert child.exit_code(within=120) == 0, child.tail()
        assert json.loads(out.read_text().splitlines()[-1]) == {"rounds": WITH_MEDIA // 2}
    for what, least in (("routers", 1), ("transports", 8), ("producers", 4), ("consumers", 4), ("handlers", 20)):
        most = max(total(counts, what) for counts in during)
        assert most >= total(before, what) + least, f"{what} never grew: what would be found?"

    def back():
        assert objects(cluster) == before
        return True

    eventually("every worker holds what it held before", back, within=BACK_WITHIN, every=0.5)
