"""What nodes are started with changes by a roll: a mesh of nodes of both kinds is whole all the way, so the roll comes to its end."""

import time

import pytest

from nodes import Nodes
from testcluster.waiting import eventually

ROLLED = 180


@pytest.mark.testcluster
@pytest.mark.parametrize(
    ("before", "after", "reported", "lanes"),
    [
        ({}, {"mesh": {"encryption": False}}, {"linkEncryption": False}, 1),
        ({"mesh": {"encryption": False}}, {"mesh": {"encryption": True}}, {"linkEncryption": True}, 1),
        ({}, {"workersPerNode": 2}, {"workers": 2}, 2),
        ({"workersPerNode": 2}, {"mesh": {"lanes": 1}}, {"lanes": 1}, 1),
    ],
    ids=["encryption off", "encryption on", "more workers", "fewer lanes"],
)
def test_a_change_of_what_both_ends_of_a_link_share_is_rolled_out(sfu, before, after, reported, lanes):
    sfu.apply(**before)
    sfu.whole(3)
    old = set(sfu.uids().values())
    began = time.monotonic()
    sfu.patch(**after)
    eventually("all three pods are new", lambda: len(sfu.uids()) == 3 and not old & set(sfu.uids().values()), within=ROLLED)
    sfu.whole(3)
    print(f"{after} rolled out in {time.monotonic() - began:.1f} s")
    nodes = Nodes(sfu)
    for report in nodes.reports().values():
        assert {key: report[key] for key in reported} == reported
    ends = nodes.links()
    assert {lane for _, _, lane in ends} == set(range(lanes))
    assert len(ends) == 3 * 2 * lanes
    assert {link["state"] for link in ends.values()} == {"fresh"}
