"""Twenty clusters, five of them broken: none delays another."""

import time

import pytest

from fleet import Fleet, condition
from stand_in_kubelet import Fate
from testcluster import process_table
from testcluster.waiting import eventually

GOOD = {f"good-{number:02}": Fate.RUN for number in range(15)}
BROKEN = {
    "pending": None,
    "unpulled": None,
    "silent": Fate.SILENT,
    "no-secret": None,
    "taken": Fate.RUN,
}
SPECIAL = {
    "unpulled": {"nodeSelector": {}, "image": "localhost/sfumato/no-such-image:1"},
    "no-secret": {"redis": {"external": {"urlSecretRef": {"name": "nowhere", "key": "url"}}}},
}
# What each broken one says of itself: condition, status, and words of its reason or message.
TOLD = {
    "pending": ("NodesReady", "False", "pending-0 has no Kubernetes node"),
    "unpulled": ("NodesReady", "False", "unpulled-0 cannot pull its image"),
    "silent": ("MeshReady", "False", "0 of 3 node pairs are linked"),
    "no-secret": ("Degraded", "True", "there is no Secret nowhere"),
    "taken": ("Degraded", "True", "Service taken-web exists"),
}
# From the apply to the last good one, on a busy machine.
ALL_READY = 180
# From a change of one cluster to its whole mesh, while others are broken.
CHANGED = 10
# What the operator may take with twenty clusters, in bytes; benchmarks have its memory with fifty.
MEMORY = 50_000_000


@pytest.mark.testcluster
@pytest.mark.timeout(600)
def test_twenty_clusters_run_side_by_side_and_five_broken_ones_delay_none(fleet: Fleet, operator, audit):
    fleet.kubectl.run("create", "service", "clusterip", "taken-web", "--namespace", fleet.namespace, "--tcp=80:80")
    fleet.apply(BROKEN, **SPECIAL)
    eventually("the broken ones say why", lambda: all(says(fleet, name) for name in BROKEN), within=120)
    fleet.apply(GOOD)
    took = fleet.await_ready(set(GOOD), within=ALL_READY)
    print(f"{len(GOOD)} clusters ready {took:.1f} s after kubectl had applied them; operator: {process_table.memory(operator.process())}")
    for name in ("good-00", "good-07", "good-14"):
        print(f"{name}: 3 to 4 nodes in {grown(fleet, name):.1f} s")
    # Nothing of this has mended, or worn down, the broken ones.
    assert all(says(fleet, name) for name in BROKEN), fleet.statuses()
    asked = [r for r in audit.requests(operator.user) if r.namespace == fleet.namespace and r.verb != "watch"]
    print(f"{len(asked)} requests for 20 clusters; by kind: {dict(audit.counts(operator.user))}")
    assert not [r for r in asked if r.code == 403]
    assert process_table.memory(operator.process())["VmRSS"] <= MEMORY


def says(fleet: Fleet, name: str) -> bool:
    kind, status, words = TOLD[name]
    told = condition(fleet.statuses().get(name, {}), kind)
    assert told.get("status") == status, (name, told)
    assert words in told["message"], (name, told)
    return True


def grown(fleet: Fleet, name: str) -> float:
    """Adds a node to a cluster, and returns the seconds until its mesh is whole."""
    began = time.monotonic()
    cluster = fleet.cluster(name)
    cluster.patch(replicas=4)
    cluster.whole(4, within=CHANGED)
    return time.monotonic() - began
