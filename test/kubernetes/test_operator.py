"""The operator may be killed at any time: media goes on, and another carries on where it was."""

import time

import pytest

from testcluster.waiting import eventually

LEASE_SECONDS = 15


def kill(operator, pod: str) -> None:
    operator.kubectl.run("delete", "pod", pod, "--namespace", operator.namespace, "--grace-period=0", "--force", "--wait=false")


def test_the_mesh_is_made_although_the_operator_is_killed_meanwhile(sfu, operator):
    sfu.apply(replicas=5)
    for pause in (0.0, 0.7, 1.5, 3.0):
        time.sleep(pause)  # Different moments of the making; nothing is asserted about them.
        kill(operator, operator.leader())
        operator.ready()
    sfu.whole(5, within=150)


def test_another_operator_takes_over_within_the_lease(trio, operator):
    leader = operator.leader()
    kill(operator, leader)
    began = time.monotonic()
    eventually("another leads", lambda: operator.leader() not in ("", leader), within=LEASE_SECONDS + 2 + 3)
    print(f"took over after {time.monotonic() - began:.1f} s")
    trio.run("delete", "pod/live-1", "--wait=false")
    trio.whole(3)
    operator.ready()


def test_without_an_operator_nothing_ends_and_afterwards_everything_is_as_it_should_be(trio, operator):
    uids = trio.uids()
    operator.scale(0)
    try:
        eventually("no operator runs", lambda: not operator.pods(), within=60)
        trio.run("delete", "pod/live-2", "--wait=false")
        eventually("live-2 is back", lambda: trio.uids().get("live-2", uids["live-2"]) != uids["live-2"], within=60)
        assert {n: u for n, u in trio.uids().items() if n != "live-2"} == {n: u for n, u in uids.items() if n != "live-2"}
    finally:
        operator.scale(2)
    operator.ready()
    trio.whole(3)


@pytest.mark.testcluster
def test_an_api_server_that_is_away_for_half_a_minute_changes_nothing(trio, operator, faults):
    uids = trio.uids()
    with faults.api_server_gone():
        time.sleep(30)
    eventually("an operator leads", operator.leader, within=60)
    trio.whole(3)
    assert trio.uids() == uids
