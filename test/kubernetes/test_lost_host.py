"""A lost Kubernetes node, with the waits of an operator that nobody has configured: eviction, and its own patience. The cluster notices sooner than
by default, and publishers get less time (sfucluster.py)."""

import time

import pytest

pytestmark = [pytest.mark.testcluster, pytest.mark.timeout(420)]

# Eviction 90 s after the Kubernetes node is called lost, a grace period of 25 s (drain.deadline, 10 s here, and 15 s), and 30 s more.
NOT_BEFORE = 140


@pytest.fixture
def unhurried(operator):
    """The operator at its own pace."""
    with operator.at_its_own_pace():
        operator.ready()
        yield operator
    operator.ready()


def test_a_host_that_is_lost_is_given_up_and_its_node_runs_elsewhere(unhurried, trio, faults):
    name = trio.node_without_redis()
    pod = trio.nodes()[name]
    began = time.monotonic()
    with faults.host_lost(pod["spec"]["nodeName"]):
        trio.replaced(name, pod["metadata"]["uid"], within=260)
        took = time.monotonic() - began
        print(f"given up after {took:.1f} s")
        assert took >= NOT_BEFORE, "earlier than the defaults say"
        trio.whole(3)
        assert trio.events("HostLost")
    # The host is back, and the old pod's containers with it, for a moment: nobody links with them.
    trio.whole(3)
