"""Stories that would disturb all others: on a control plane of their own."""

import pytest

from api_client import Refused, path
from control_plane import StartedControlPlane
from operator_process import define
from story import Story
from testcluster.waiting import eventually

pytestmark = pytest.mark.xdist_group("own control plane")

DEFINITION = path("customresourcedefinitions", None, "sfuclusters.sfumato.dev")


@pytest.fixture(scope="module")
def plane():
    it = StartedControlPlane()
    try:
        it.start()
        yield it
    finally:
        it.close()


def test_after_an_api_server_was_killed_and_is_back_everything_goes_on(story: Story, plane):
    # An operator that cannot renew its Lease in time ends, and its kubelet starts it again: that is another story.
    story.operator("--lease-duration=60s").ready()
    live = story.cluster().up()
    before = live.uids()
    story.kubelet.change("live-2", publishers=1)
    live.patch(mesh={"fanOut": "Eager"})
    live.says("Reconciling", "True", "Rolling", "draining live-2")
    plane.kill_api_server()
    story.kubelet.change("live-2", publishers=0)
    plane.start_api_server()
    plane.ready()
    # Before it has read all roles, it refuses everybody.
    story.audit.restart()
    live.rolled(before, within=60)
    live.in_order()


def test_a_definition_that_was_deleted_and_is_applied_again_is_seen_at_once(story: Story):
    operator = story.operator().ready()
    story.cluster().up()
    story.api.delete(DEFINITION)
    eventually("it says what it waits for", lambda: "the definition of SfuCluster" in operator.waits_for(), within=30, every=0.1)
    define(story.api)
    operator.ready()
    # The longest pause of a back-off, of 30 s, is over after this only by chance.
    live = story.cluster().create()
    eventually("a new cluster is seen", lambda: live.status()["observedGeneration"] == 1, within=10)
    live.whole(3)


@pytest.fixture
def loose(plane):
    """The definition as one that checks nothing, for the time of a test."""
    with plane.admin() as api:
        strict = api.get(DEFINITION)["spec"]

        def replace(spec: dict) -> None:
            live = api.get(DEFINITION)
            metadata = {"name": live["metadata"]["name"], "resourceVersion": live["metadata"]["resourceVersion"]}
            api.replace(DEFINITION, {"apiVersion": live["apiVersion"], "kind": live["kind"], "metadata": metadata, "spec": spec})

        anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
        schema = {"type": "object", "properties": {"spec": anything, "status": anything}}
        (version,) = strict["versions"]
        yield lambda: replace(strict | {"versions": [version | {"schema": {"openAPIV3Schema": schema}}]})
        replace(strict)


def broken(live, **spec) -> None:
    """Takes in what the strict definition would refuse; that the loose one is in force takes a moment."""

    def taken() -> bool:
        try:
            live.patch(**spec)
        except Refused as no:
            raise AssertionError(str(no)) from no
        return True

    eventually("the API server takes anything", taken, within=30)


def test_an_invalid_object_keeps_the_last_good_state_running_and_says_what_is_wrong(story: Story, loose):
    operator = story.operator("--identity=same").ready()
    live = story.cluster().up()
    before = live.uids()
    loose()
    broken(live, mesh={"linkGrace": "soon"}, replicas=5)
    live.degraded("InvalidSpec", "spec.mesh.linkGrace", "no duration", "what ran before runs on")
    status = live.status()
    assert (status["nodesSummary"], status["mesh"]["summary"]) == ("3/3", "3/3"), "the last good state is what is wanted"

    live.lose_pod("live-1")
    live.whole(3, ready="False")
    operator.process.kill()
    story.operator("--identity=same").ready()
    live.lose_pod("live-2")
    live.whole(3, ready="False")
    assert {name for name, uid in live.uids().items() if before[name] == uid} == {"live-0"}
    assert live.condition("Degraded")["reason"] == "InvalidSpec", "also after a restart of the operator"

    broken(live, mesh={"linkGrace": "20s"}, replicas=33)
    live.degraded("InvalidSpec", "spec.replicas", "between 1 and 32")
    broken(live, replicas=4)
    live.whole(4)
    live.in_order()
