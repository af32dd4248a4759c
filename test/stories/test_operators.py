"""Several operators: one leads, and the others take over when it ends."""

import time
from http import HTTPStatus

from api_client import path
from testcluster.waiting import eventually

# Two thirds of it are a leader's for one renewal: eight stories at once may keep an API server busy for 3 s.
LEASE_SECONDS = 8
SHORT = f"--lease-duration={LEASE_SECONDS}s"
# What a follower needs to see a renewal, and to take the Lease when it has run out.
TAKE_OVER = LEASE_SECONDS + 2


def test_one_of_two_operators_works_and_the_other_is_ready_to(story):
    first, second = story.operator().ready(), story.operator().ready()
    assert story.leader() == "operator-1"
    story.cluster().up()
    assert (first.metric("sfu_operator_is_leader"), second.metric("sfu_operator_is_leader")) == (1, 0)
    assert second.metric("sfu_operator_queue_depth") == 0
    assert "this operator leads" not in second.log()
    told = [line for line in second.log().splitlines() if "another operator leads" in line]
    assert len(told) == 1
    assert '"leader":"operator-1"' in told[0]


def test_an_operator_that_ends_in_order_is_followed_at_once(story):
    first = story.operator().ready()
    story.operator().ready()
    live = story.cluster().up()
    assert first.process.end() == 0
    eventually("the other leads, long before the Lease would have run out", lambda: story.leader() == "operator-2", within=8)
    live.scale(4)
    live.whole(4)


def test_an_operator_that_is_killed_is_followed_when_its_lease_has_run_out(story):
    first = story.operator(SHORT).ready()
    story.operator(SHORT).ready()
    live = story.cluster().up()
    first.process.kill()
    killed = time.monotonic()
    # Whatever happens meanwhile waits, and is seen to afterwards.
    live.delete_pod("live-1")
    eventually("the other leads", lambda: story.leader() == "operator-2", within=2 * TAKE_OVER)
    assert time.monotonic() - killed <= TAKE_OVER
    live.whole(3)


def test_an_operator_that_was_stopped_for_longer_than_its_lease_ends_and_does_no_harm(story):
    first = story.operator(SHORT).ready()
    second = story.operator(SHORT).ready()
    live = story.cluster().up()
    first.process.pause()
    eventually("the other leads", lambda: story.leader() == "operator-2", within=2 * TAKE_OVER)
    live.scale(4)
    live.whole(4)
    first.process.proceed()
    eventually("the first one ends", lambda: not first.process.running(), within=15)
    assert "the lease sfu-operator was lost" in first.log()
    assert story.leader() == "operator-2"
    live.whole(4)
    assert second.process.running()


def test_two_operators_that_work_at_once_end_where_one_would(story):
    for _ in range(2):
        story.operator("--leader-elect=false").ready()
    # A link of which one operator has closed an end that the other had just made is replaced after the grace.
    live = story.cluster().up(replicas=4, mesh={"linkGrace": "2s"})
    before = live.uids()
    live.lose_pod("live-1", within=15)
    live.whole(4)
    links = lambda: {name: sorted(link.id for link in node.links.values()) for name, node in story.kubelet.nodes.items()}  # noqa: E731
    settled = links()
    assert {len(ends) for ends in settled.values()} == {3}
    live.patch(mesh={"fanOutIdleTimeout": "31s"})
    live.rolled(live.uids() | before, within=60)


def test_without_an_operator_nothing_ends_and_afterwards_all_is_as_it_should_be(story):
    first = story.operator().ready()
    live = story.cluster().up()
    before = live.uids()
    assert first.process.end() == 0
    live.lose_pod("live-2", within=15)
    story.operator().ready()
    live.whole(3)
    assert {name for name, uid in live.uids().items() if before[name] != uid} == {"live-2"}


def test_one_request_about_the_lease_that_is_never_answered_ends_nobody(story):
    way = story.way()
    first = story.operator(way=way).ready()
    story.operator().ready()
    live = story.cluster().up()
    rule = way.swallow("GET", "/leases/sfu-operator")
    eventually("the request is swallowed", lambda: rule.spent, within=10)
    swallowed = story.lease()["renewTime"]
    eventually("the Lease is renewed all the same", lambda: story.lease()["renewTime"] > swallowed, within=15)
    assert (story.leader(), first.process.running()) == ("operator-1", True)
    assert "no answer about the lease in time" in first.log()
    live.scale(4)
    live.whole(4)


def test_a_cluster_is_claimed_before_anything_of_it_is_written(story):
    way = story.way()
    refused = way.answer("PATCH", "/sfuclusters/live/status", HTTPStatus.CONFLICT, times=2)
    story.operator(way=way).ready()
    story.cluster().up()
    assert refused.spent, "somebody else has changed it meanwhile"
    written = [r for r in story.asked("create", "patch", "update", "delete") if r.name.startswith("live")]
    first = written[0]
    assert (first.verb, first.resource, first.code) == ("patch", "sfuclusters.sfumato.dev/status", 200), first
    assert {r.resource for r in written} > {"secrets", "statefulsets.apps"}, "the record shows what is written"


def test_of_two_installations_that_see_a_cluster_at_once_one_writes(story):
    for name in ("first", "second"):
        story.operator(f"--name={name}", "--leader-elect=false").ready()
    live = story.cluster().up()
    owner = live.status()["operator"]
    (other,) = {f"{story.namespace}/{name}" for name in ("first", "second")} - {owner}
    live.tells("OtherOperator", f"the operator {owner} looks after this cluster, and {other} leaves it alone")
    (other_one,) = [it for it in story.operators if "leaves it alone" in it.log()]
    assert other_one.metric("sfu_operator_status_writes_total") == 0
    assert "made the admin Secret" not in other_one.log()


def test_an_operator_of_another_installation_leaves_a_cluster_alone_until_a_person_says_otherwise(live, story):
    before = live.up().uids()
    mine, other = (f"{story.namespace}/{name}" for name in ("sfu-operator", "second"))
    assert live.status()["operator"] == mine
    story.operator("--name=second", "--leader-elect=false").ready()
    live.tells("OtherOperator", f"the operator {mine} looks after this cluster, and {other} leaves it alone")
    live.api.merge(path("sfuclusters", live.namespace, live.name), {"metadata": {"annotations": {"sfumato.dev/operator": other}}})
    eventually("the second looks after it", lambda: live.status()["operator"] == other, within=10)
    live.tells("OtherOperator", f"the operator {other} looks after this cluster, and {mine} leaves it alone")
    live.scale(4)
    live.whole(4)
    assert before.items() <= live.uids().items()
