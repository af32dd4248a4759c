"""A roll replaces one media node after the other, and stops where a template does not start. Scale-downs are in test_media.py."""

import time

from testcluster.waiting import eventually

ROLLED = 180


def test_a_roll_replaces_one_node_after_the_other_and_the_mesh_is_whole_again(trio):
    before = trio.uids()
    began = time.monotonic()
    trio.patch(mesh={"fanOut": "Eager"})
    most_away = 0

    def rolled():
        nonlocal most_away
        pods = trio.nodes()
        ready = [p for p in pods.values() if any(c["type"] == "Ready" and c["status"] == "True" for c in p["status"].get("conditions", []))]
        most_away = max(most_away, 3 - len(ready))
        return len(pods) == 3 and not set(before.values()) & set(trio.uids().values())

    eventually("all three pods are new", rolled, within=ROLLED)
    trio.whole(3)
    print(f"rolled three nodes in {time.monotonic() - began:.1f} s")
    assert most_away <= 1, "never more than one node was away"
    assert not trio.condition("Reconciling")


def test_a_new_template_that_does_not_start_stops_the_roll_at_one_node(trio):
    before = trio.uids()
    trio.patch(image="localhost/sfumato/no-such-image:1")
    trio.told("NodesReady", "False", "ImageNotPulled", "live-2", within=90)
    now = trio.uids()
    assert [name for name in before if now.get(name) == before[name]] == ["live-0", "live-1"]
    trio.run("patch", "sfu", "live", "--type=json", "--patch", '[{"op": "remove", "path": "/spec/image"}]')
    trio.whole(3, within=ROLLED)
    assert {name: trio.uids()[name] for name in ("live-0", "live-1")} == {name: before[name] for name in ("live-0", "live-1")}
