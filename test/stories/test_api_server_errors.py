"""The API server answers with an error, late, or not at all: everything is as it should be in the end, and nothing is asked without end."""

from http import HTTPStatus

import pytest

from api_client import path
from testcluster.waiting import eventually

CHILD = "/(statefulsets|services|networkpolicies|deployments|serviceaccounts|poddisruptionbudgets)/live"


@pytest.fixture
def way(story):
    """What is between operator and API server."""
    return story.way()


@pytest.fixture
def live(story, way):
    story.operator(way=way).ready()
    return story.cluster()


# Which requests fail and how: methods, pattern, status, how often.
ONCE_OR_TWICE = {
    "409 for the admin Secret": ("POST", "/secrets", HTTPStatus.CONFLICT, 1),
    "500 for the admin Secret": ("GET POST", "/secrets", HTTPStatus.INTERNAL_SERVER_ERROR, 2),
    "409 for a child": ("PATCH", CHILD, HTTPStatus.CONFLICT, 3),
    "429 for children": ("PATCH GET", CHILD, HTTPStatus.TOO_MANY_REQUESTS, 8),
    "500 for children": ("PATCH", CHILD, HTTPStatus.INTERNAL_SERVER_ERROR, 8),
    "503 for one child": ("PATCH", "/statefulsets/live[?]", HTTPStatus.SERVICE_UNAVAILABLE, 2),
    "500 for the status": ("PATCH", "/sfuclusters/live/status", HTTPStatus.INTERNAL_SERVER_ERROR, 3),
    "429 for the status": ("PATCH", "/sfuclusters/live/status", HTTPStatus.TOO_MANY_REQUESTS, 3),
    "500 for events": ("POST PATCH", "/events", HTTPStatus.INTERNAL_SERVER_ERROR, 1),
    "500 for the Lease": ("PUT GET", "/leases/", HTTPStatus.INTERNAL_SERVER_ERROR, 2),
    "409 for the Lease": ("PUT", "/leases/", HTTPStatus.CONFLICT, 1),
}


@pytest.mark.parametrize("case", ONCE_OR_TWICE)
def test_requests_that_fail_are_repeated_until_all_is_well(live, way, case):
    methods, pattern, status, times = ONCE_OR_TWICE[case]
    rule = way.answer(methods, pattern, status, times, **({"retry-after": "1"} if status == HTTPStatus.TOO_MANY_REQUESTS else {}))
    live.up()
    eventually("all failures were met", lambda: rule.spent, within=15)
    live.whole(3)
    live.in_order()


@pytest.mark.parametrize("status", [HTTPStatus.GONE, HTTPStatus.INTERNAL_SERVER_ERROR, HTTPStatus.TOO_MANY_REQUESTS])
def test_watches_that_are_refused_are_begun_anew(story, status):
    way = story.way()
    rule = way.answer("GET", "[?&]watch=true", status, times=12)
    story.operator(way=way)
    live = story.cluster()
    live.create()
    live.whole(3, within=45)
    assert rule.spent


def test_what_keeps_failing_is_told_and_tried_with_growing_pauses(live, way, story):
    rule = way.answer("PATCH", "/services/live-web", HTTPStatus.INTERNAL_SERVER_ERROR, times=1000)
    live.create()
    live.degraded("ApplyRefused", "Service live-web cannot be applied", "injected")
    eventually("the others are made, and media waits for none", lambda: live.condition("MeshReady")["status"] == "True", within=15)
    log = story.operators[0].log
    eventually("the pauses grow", lambda: all(f'"again_in":"{pause}s"' in log() for pause in (1, 2, 4)), within=15)
    rule.times = rule.hits
    live.in_order()


def test_an_eviction_that_fails_is_repeated(live, way):
    before = live.up().uids()
    rule = way.answer("POST", "/eviction", HTTPStatus.INTERNAL_SERVER_ERROR, times=2)
    live.patch(mesh={"fanOut": "Eager"})
    live.rolled(before)
    assert rule.spent


def test_an_eviction_that_a_policy_forbids_is_told_and_the_node_takes_sessions_again(story):
    way = story.way()
    story.operator("--eviction-patience=4s", way=way).ready()
    live = story.cluster()
    before = live.up().uids()
    rule = way.answer("POST", "/eviction", HTTPStatus.FORBIDDEN, times=1000)
    live.patch(mesh={"fanOut": "Eager"})
    live.says("Reconciling", "True", "EvictionRefused", "live-2 cannot be replaced", "injected")
    live.degraded("EvictionRefused", "live-2 cannot be replaced", "injected")
    eventually("live-2 takes sessions again", lambda: live.draining() == set(), within=15)
    rule.times = rule.hits
    live.rolled(before)


def test_events_that_cannot_be_read_are_told_and_what_they_are_about_is_mended(live, way, story):
    story.create("resourcequotas", "few", spec={"hard": {"pods": "1"}})
    counted = lambda: "used" in story.api.get(path("resourcequotas", story.namespace, "few")).get("status", {})  # noqa: E731
    eventually("the quota is in force", counted, within=10)
    way.answer("GET", "/events[?].*FailedCreate", HTTPStatus.FORBIDDEN, times=1000)
    # Media nodes alone: what a Deployment lacks is in its status, and goes before what cannot be read.
    story.put_secret("mine", url="redis://127.0.0.1:6379")
    live.create(web={"replicas": 0}, redis={"external": {"urlSecretRef": {"name": "mine", "key": "url"}}})
    live.degraded("EventsRefused", "events cannot be read", "injected")
    live.scale(1)
    eventually("the manifest is carried out", lambda: live.child("statefulsets")["spec"]["replicas"] == 1, within=15)


def test_a_request_that_is_never_answered_holds_one_reconcile_up_for_half_a_minute_at_most(live, way, story):
    rule = way.swallow("PATCH", "/statefulsets/live[?]")
    live.create()
    eventually("the request is swallowed", lambda: rule.spent, within=10)
    live.whole(3, within=50)
    # The change of the status is looked at, and so all is well a moment later.
    live.tells("ApiServerSlow", "more than 30 s", "StatefulSet live", "webhooks")
    live.in_order()
    assert "the API server took more than 30 s" in story.operators[0].log()


def test_the_mesh_is_healed_while_the_api_server_is_away_and_the_rest_when_it_is_back(live, way, story):
    live.up(mesh={"linkGrace": "2s"})
    node = story.kubelet.nodes["live-0"]
    links = lambda: {peer: link.id for (peer, _, _), link in node.links.items()}  # noqa: E731
    before, uids = links(), live.uids()
    way.cut()
    live.scale(4)
    story.kubelet.cut("live-0", "live-1")
    eventually("the silent link is replaced", lambda: links()["live-1"] != before["live-1"], within=15)
    story.kubelet.mend("live-0", "live-1")
    assert links()["live-2"] == before["live-2"]
    way.open()
    live.whole(4)
    assert uids.items() <= live.uids().items()


def test_an_operator_that_starts_before_the_api_server_waits_for_it(story):
    way = story.way()
    way.cut()
    operator = story.operator(way=way)
    eventually("it says what it waits for", lambda: "the lease cannot be looked at" in operator.log(), within=15)
    assert operator.process.running()
    way.open()
    operator.ready()
    story.cluster().up()
