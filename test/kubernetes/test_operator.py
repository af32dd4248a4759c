"""The operator may be killed at any time: media goes on, and another carries on where it was."""

import itertools
import os
import random
import time
from datetime import datetime

import pytest

from installation import LEASE_SECONDS
from nodes import Nodes, kill
from testcluster.waiting import eventually

# What a follower needs to see a renewal, and to take the Lease when it has run out.
TAKE_OVER = LEASE_SECONDS + 2
KILLS = 10
# The mesh of five nodes is made anew in about this time, from the end of the old pods on.
MAKING_SECONDS = 5
# A restarted operator may have to wait for its turn in kubelet's back-off, or for the Lease.
WHOLE_AGAIN = 120
ROLLED = 240
STABLE_SECONDS = 20


class Points:
    """At which moments the operator is killed, each by a seed of its own. They are the same in every run, so that a failure is one of the change
    that is tested. By hand, SFUMATO_TEST_SEEDS=random draws others, and prints them; a list of seeds repeats those."""

    SEEDS = tuple(range(1, KILLS + 1))

    def __init__(self):
        asked = os.environ.get("SFUMATO_TEST_SEEDS")
        if asked == "random":
            seeds = [random.SystemRandom().randrange(2**32) for _ in self.SEEDS]
        else:
            seeds = [int(seed) for seed in asked.split(",")] if asked else self.SEEDS
        print(f"SFUMATO_TEST_SEEDS={','.join(map(str, seeds))}")
        self._seeds = itertools.cycle(seeds)

    def within(self, seconds: float) -> float:
        """The next one, in seconds from now."""
        return random.Random(next(self._seeds)).uniform(0, seconds)


@pytest.fixture
def points() -> Points:
    return Points()


@pytest.fixture
def killed(operator, layout):
    """`killed()` kills the process of the operator that leads, as soon as one does; afterwards fresh pods run, without any back-off."""

    def kill_leader() -> str:
        leader = operator.leader()
        kill(layout, {pod["metadata"]["name"]: pod for pod in operator.pods()}[leader])
        return leader

    yield lambda: eventually("the operator that leads is killed", kill_leader, within=WHOLE_AGAIN)
    operator.kubectl.run("rollout", "restart", "--namespace", operator.namespace, "deployment/sfu-operator")
    operator.ready()


@pytest.mark.testcluster
@pytest.mark.timeout(900)
def test_an_operator_that_is_killed_at_any_point_of_mesh_making_leaves_nothing_half_made(sfu, operator, killed, points):
    sfu.apply(replicas=5)
    sfu.whole(5)
    for number in range(1, KILLS + 1):
        before = set(sfu.uids().values())
        sfu.run("delete", "pods", "--selector", "app.kubernetes.io/component=node", "--grace-period=0", "--force", "--wait=false")
        point = points.within(MAKING_SECONDS)
        time.sleep(point)
        name = killed()
        began = time.monotonic()
        # Every other time it is started again where it was, and goes on with its own Lease; else another one takes over.
        if number % 2 == 0:
            operator.replace(name)
        eventually("five new pods", lambda before=before: renewed(sfu, before, 5), within=60)
        sfu.whole(5, within=WHOLE_AGAIN)
        print(f"{number}: killed {name} after {point:.2f} s, whole {time.monotonic() - began:.1f} s later")
        if number % 2 == 1:
            operator.replace(name)
    ends = Nodes(sfu).links()
    assert len(ends) == 5 * 4, "an end for each node and peer, and none left over"
    assert {link["state"] for link in ends.values()} == {"fresh"}


def renewed(cluster, before: set[str], nodes: int) -> bool:
    """Whether there are as many pods as there should be, and none of those before."""
    now = set(cluster.uids().values())
    return len(now) == nodes and not before & now


@pytest.mark.testcluster
@pytest.mark.timeout(420)
def test_a_roll_goes_on_where_a_killed_operator_left_it(trio, killed, points):
    before = set(trio.uids().values())
    trio.patch(mesh={"fanOut": "Eager"})
    eventually("the roll has begun", lambda: trio.condition("Reconciling").get("reason") == "Rolling", within=30)
    began = time.monotonic()
    for _ in range(3):
        point = points.within(3)
        time.sleep(point)
        print(f"killed {killed()} after another {point:.2f} s; {len(before & set(trio.uids().values()))} nodes were left to roll")
    eventually("all three pods are new", lambda: renewed(trio, before, 3), within=ROLLED)
    trio.whole(3, within=WHOLE_AGAIN)
    eventually("the roll is over", lambda: not trio.condition("Reconciling"), within=30)
    print(f"rolled, with three kills, in {time.monotonic() - began:.1f} s")


@pytest.mark.testcluster
def test_another_operator_takes_over_within_the_lease(trio, operator, layout, faults):
    leader = operator.leader()
    pod = next(pod for pod in operator.pods() if pod["metadata"]["name"] == leader)
    # Without its kubelet the killed process is not started again, which would go on with its own Lease.
    with faults.kubelet_gone(pod["spec"]["nodeName"]):
        killed_at = time.time()
        kill(layout, pod)
        lease = eventually("another leads", lambda: held_by_another(operator, leader), within=2 * TAKE_OVER)
        took = datetime.fromisoformat(lease["spec"]["acquireTime"]).timestamp() - killed_at
        print(f"killed by SIGKILL; another took over after {took:.1f} s")
        assert took <= TAKE_OVER
    uid = trio.uids()["live-1"]
    trio.run("delete", "pod/live-1", "--wait=false")
    trio.replaced("live-1", uid)
    trio.whole(3)


def held_by_another(operator, leader: str) -> dict | None:
    lease = operator.lease()
    return lease if lease["spec"].get("holderIdentity") not in (None, "", leader) else None


@pytest.fixture
def two_drivers(operator):
    """Two operators that both work, without a Lease."""

    operator.replace_all("--arg=--leader-elect=false")
    yield operator
    operator.replace_all()
    operator.ready()


@pytest.mark.testcluster
def test_two_operators_that_drive_at_once_end_where_one_would(two_drivers, sfu):
    assert len(two_drivers.pods()) == 2
    began = time.monotonic()
    sfu.apply(replicas=4)
    sfu.whole(4)
    print(f"two drivers: whole after {time.monotonic() - began:.1f} s")
    stays_as_it_is(sfu)
    before = sfu.uids()
    sfu.run("delete", "pod/live-1", "--wait=false")
    sfu.replaced("live-1", before["live-1"])
    sfu.whole(4)
    stays_as_it_is(sfu)


def stays_as_it_is(cluster) -> None:
    """For a while no incarnation and no link is replaced."""
    nodes = Nodes(cluster)
    lives, links = cluster.lives(), nodes.link_ids()
    assert len(links) == 4 * 3
    until = time.monotonic() + STABLE_SECONDS
    while time.monotonic() < until:
        assert nodes.link_ids() == links, "links are replaced"
        time.sleep(0.5)
    assert cluster.lives() == lives
    assert cluster.condition("MeshReady")["status"] == "True"


def test_without_an_operator_nothing_ends_and_afterwards_everything_is_as_it_should_be(trio, operator):
    uids = trio.uids()
    with operator.away():
        trio.run("delete", "pod/live-2", "--wait=false")
        trio.replaced("live-2", uids["live-2"])
        assert {n: u for n, u in trio.uids().items() if n != "live-2"} == {n: u for n, u in uids.items() if n != "live-2"}
    trio.whole(3)
