"""Whoever waits for a manifest to be carried out (`kubectl wait`, Helm, Flux, Argo CD) is told the truth, at every moment."""

from collections.abc import Callable
from http import HTTPStatus

import pytest

from api_client import path
from testcluster.waiting import eventually
from verdicts import ArgoCd, kstatus


class Record:
    """Every state that the API server has shown of a cluster."""

    def __init__(self, story, live):
        self.states: list[dict] = []
        where = path("sfuclusters", live.namespace)
        story.api.follow(where, lambda news: self.states.append(news.object), fieldSelector=f"metadata.name={live.name}")

    def of(self, generation: int) -> list[dict]:
        return [state for state in self.states if state["metadata"]["generation"] == generation]

    def waits_until(self, generation: int, verdict: str) -> None:
        eventually(f"generation {generation} is {verdict}", lambda: verdict in map(kstatus, self.of(generation)), within=30, every=0.02)

    def check(self) -> None:
        argo = ArgoCd()
        for state in self.states:
            conditions = state.get("status", {}).get("conditions", [])
            kinds = [condition["type"] for condition in conditions]
            assert not {"Reconciling", "Stalled"} <= set(kinds), conditions
            health, message = argo.health(state)
            assert health != "Healthy" or kstatus(state) == "Current", state
            assert health == "Degraded" or kstatus(state) != "Failed", state
            assert message, state
            ready = next(condition for condition in conditions if condition["type"] == "Ready")
            assert (ready["status"] == "True") <= (
                kstatus(state) == "Current" or ready.get("observedGeneration") != state["metadata"]["generation"]
            ), state


@pytest.fixture
def record(story, live) -> Callable[[], Record]:
    return lambda: Record(story, live)


def test_an_object_that_nobody_looks_after_is_not_done(story):
    live = story.cluster().create()
    cluster = live.object()
    assert kstatus(cluster) == "InProgress"
    [ready] = cluster["status"]["conditions"]
    assert (ready["status"], ready["reason"], ready["message"]) == ("Unknown", "Pending", "waiting for the operator")
    story.operator().ready()
    live.whole(3)


def test_a_new_manifest_is_done_when_the_last_pod_runs_it_and_never_before(live, record):
    seen = record()
    before = live.up().uids()
    seen.waits_until(1, "Current")
    live.patch(mesh={"fanOut": "Eager"})
    seen.waits_until(2, "Current")
    now = live.uids()
    assert not set(before.values()) & set(now.values()), "it was called done while pods of before ran"
    live.scale(4)
    seen.waits_until(3, "Current")
    assert len(live.uids()) == 4
    live.patch(web={"replicas": 2})
    seen.waits_until(4, "Current")
    assert live.child("deployments", "-web")["status"]["availableReplicas"] == 2
    seen.check()


def test_a_manifest_that_changes_nothing_is_done_at_once(live, record):
    seen = record()
    before = live.up().uids()
    live.patch(mesh={"linkGrace": "30s"})
    seen.waits_until(2, "Current")
    assert live.uids() == before
    seen.check()


def conditions(state: dict) -> dict[str, str]:
    return {condition["type"]: condition["status"] for condition in state["status"]["conditions"]}


def test_a_new_leader_of_a_cluster_with_trouble_tells_nothing_of_nodes_that_it_has_not_asked(story):
    story.create("services", "live-web", spec={"ports": [{"port": 80}]})
    first = story.operator().ready()
    live = story.cluster().create(replicas=2)
    live.degraded("NameTaken", "live-web")
    live.says("MeshReady", "True", "AllLinked")
    live.says("RedisReady", "True", "Reached")
    assert first.process.end() == 0
    seen = Record(story, live)
    successor = story.operator().ready()
    eventually("it has heard the nodes", lambda: successor.log().count("the node is a member") == 2, within=20)
    live.patch(drain={"deadline": "9s"})
    eventually("it has judged the cluster", lambda: live.status()["observedGeneration"] == 2, within=20)
    for state in seen.states:
        assert (conditions(state)["MeshReady"], conditions(state)["RedisReady"]) == ("True", "True"), state["status"]
    assert not live.events("MeshBroken")


def test_a_change_of_how_links_are_looked_after_says_nothing_else_of_the_nodes(live, record):
    uids = live.up().uids()
    live.says("RedisReady", "True", "Reached")
    seen = record()
    live.patch(mesh={"linkGrace": "9s"})
    seen.waits_until(2, "Current")
    assert live.uids() == uids
    for state in seen.states:
        assert (conditions(state)["MeshReady"], conditions(state)["RedisReady"]) == ("True", "True"), state["status"]


def test_what_a_pause_holds_back_is_not_done(live, record):
    before = live.up().uids()
    seen = record()
    live.patch(paused=True)
    seen.waits_until(2, "Current")
    live.patch(mesh={"fanOut": "Eager"})
    live.says("Reconciling", "True", "Paused", "spec.paused holds changes back")
    assert kstatus(live.object()) == "InProgress"
    live.patch(paused=False)
    live.rolled(before)
    seen.waits_until(4, "Current")
    seen.check()


def test_a_pause_tells_of_a_name_that_is_taken(live, story):
    live.up(paused=False)
    live.patch(paused=True)
    live.says("Ready", "True", "AsDesired")
    live.api.delete(path("services", story.namespace, "live-web"))
    live.says("Reconciling", "True", "Paused", "holds changes back (Service live-web)")
    story.create("services", "live-web", spec={"ports": [{"port": 80}]})
    live.patch(mesh={"linkGrace": "9s"})
    live.says("Reconciling", "True", "Paused", "Service live-web, whose name is taken")


def test_what_cannot_be_compared_during_a_pause_counts_as_held_back(story):
    way = story.way()
    story.operator(way=way).ready()
    live = story.cluster()
    live.up(paused=False)
    live.patch(paused=True)
    live.says("Ready", "True", "AsDesired")
    rule = way.answer("PATCH", "/services/live-web.*dryRun", HTTPStatus.INTERNAL_SERVER_ERROR, times=1000)
    live.patch(web={"service": {"port": 2021}})
    live.says("Reconciling", "True", "Paused", "Service live-web, which could not be compared", "injected")
    rule.times = rule.hits
    live.says("Reconciling", "True", "Paused", "spec.paused holds changes back (Service live-web)")


@pytest.mark.parametrize(
    ("spec", "held"),
    [
        ({"web": {"service": {"port": 2021}}}, "(Service live-web)"),
        ({"web": {"service": {"annotations": {"example.com/a": "b"}}}}, "(Service live-web)"),
        ({"networkPolicy": {"enabled": False}}, "(NetworkPolicy live, NetworkPolicy live-redis)"),
        ({"web": {"replicas": 2}}, "(pods, PodDisruptionBudget live-web)"),
    ],
    ids=lambda it: next(iter(it)) if isinstance(it, dict) else "",
)
def test_a_pause_names_what_it_holds_back(live, story, spec, held):
    live.up(paused=False)
    live.patch(paused=True)
    live.says("Ready", "True", "AsDesired")
    live.patch(**spec)
    live.says("Reconciling", "True", "Paused", f"spec.paused holds changes back {held}")
    # Who has looked once does not ask again for what is as it was.
    live.patch(paused=False)
    live.says("Ready", "True", "AsDesired")
    live.settled()


def test_trouble_afterwards_is_not_ready_and_not_stalled(live, story, record):
    live.up()
    seen = record()
    story.kubelet.ready("live-1", False)
    live.says("Ready", "False", "NotYet", "2 of 3 nodes are ready")
    story.kubelet.ready("live-1", True)
    live.whole(3)
    assert all(condition["type"] not in ("Reconciling", "Stalled") for state in seen.states for condition in state["status"]["conditions"])


def test_a_name_that_is_taken_stops_who_waits_and_goes_on_when_it_is_free(live, story, record):
    story.create("services", "live-web", spec={"ports": [{"port": 80}], "selector": {"app": "other"}})
    seen = record()
    live.create()
    live.says("Stalled", "True", "NameTaken", "Service live-web")
    assert kstatus(live.object()) == "Failed"
    story.api.delete(path("services", story.namespace, "live-web"))
    live.whole(3)
    seen.waits_until(1, "Current")
    seen.check()


def test_a_quota_that_lets_no_secret_be_made_is_told(live, story):
    story.create("resourcequotas", "none", spec={"hard": {"secrets": "0"}})
    story.over_quota = {"live-admin"}
    live.create()
    live.says("Stalled", "True", "SecretRefused", "live-admin", "exceeded quota")
    live.degraded("SecretRefused", "live-admin", "exceeded quota")
    story.api.delete(path("resourcequotas", story.namespace, "none"))
    live.whole(3)


def test_a_new_leader_calls_nothing_broken_that_it_has_not_asked(story, record):
    first = story.operator("--lease-duration=8s").ready()
    live = story.cluster().up()
    times = {condition["type"]: condition["lastTransitionTime"] for condition in live.status()["conditions"]}
    seen = Record(story, live)
    eventually("the record has begun", lambda: seen.of(1), within=10)
    first.process.end()
    story.operator("--lease-duration=8s").ready()
    # Something that only the new leader can have done.
    live.scale(4)
    live.whole(4)
    for state in seen.of(1):
        assert all(
            condition["status"] != "False" or condition["type"] in ("Degraded", "Paused", "UpgradeAvailable")
            for condition in state["status"]["conditions"]
        ), state
    assert {c["type"]: c["lastTransitionTime"] for c in seen.of(1)[-1]["status"]["conditions"]} == times
