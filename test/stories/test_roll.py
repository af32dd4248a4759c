"""A changed template replaces one media node after the other, and waits where that would hurt."""

from collections.abc import Callable

from api_client import path
from kubelet import Fate
from testcluster.waiting import eventually

EAGER = {"mesh": {"fanOut": "Eager"}}


def replaced(live, before: dict[str, str], *names: str) -> Callable[[], bool]:
    """Whether just these have another pod."""
    return lambda: {name for name, uid in live.uids().items() if before[name] != uid} == set(names) and len(live.uids()) == len(before)


def is_ready(pod: dict) -> bool:
    return any((c["type"], c["status"]) == ("Ready", "True") for c in pod["status"].get("conditions", []))


def test_a_roll_goes_from_the_top_one_node_at_a_time(live):
    before = live.up().uids()
    order: list[str] = []
    most_away: list[int] = []

    def rolled() -> bool:
        pods = live.pods()
        most_away.append(3 - sum(is_ready(pod) for pod in pods.values()))
        for name, pod in pods.items():
            if pod["metadata"]["uid"] != before[name] and name not in order:
                order.append(name)
        return len(order) == 3

    live.patch(**EAGER)
    eventually("all three pods are new", rolled, within=30, every=0.05)
    live.rolled(before)
    assert order == ["live-2", "live-1", "live-0"]
    assert max(most_away) == 1, "never more than one node is away"
    live.tells("Replacing", "live-2 is replaced")


def let_in(live) -> set[int]:
    """The ports at which the policy of the media nodes begins to let in."""
    return {port["port"] for rule in live.child("networkpolicies")["spec"]["ingress"] for port in rule["ports"]}


def test_policies_let_in_the_old_ports_and_the_new_ones_until_the_roll_is_over(live, story):
    before = live.up(replicas=2).uids()
    old = let_in(live)
    story.kubelet.change("live-0", publishers=1)
    live.patch(media={"port": 12000}, mesh={"portBase": 14000})
    eventually("one node runs by the new manifest, and the other drains", lambda: live.draining() == {"live-0"}, within=30)
    assert replaced(live, before, "live-1")()
    assert let_in(live) == old | {12000, 14000}
    story.kubelet.change("live-0", publishers=0)
    live.rolled(before)
    eventually("the old ports are closed", lambda: {12000, 14000} < let_in(live) and len(let_in(live)) == len(old), within=30)
    assert let_in(live) - old == {12000, 14000}


def test_a_roll_waits_until_the_new_node_is_linked(live, story):
    before = live.up(mesh={"linkGrace": "60s"}).uids()
    story.kubelet.cut("live-0", "live-2")
    live.says("MeshReady", "False", "NotAllLinked", "2 of 3")
    live.patch(mesh={"fanOut": "Eager"})
    live.says("Reconciling", "True", "Rolling", "waiting until all nodes are ready and linked; 3 of 3 nodes have an older template")
    assert live.uids() == before
    story.kubelet.mend("live-0", "live-2")
    live.rolled(before)


def test_a_node_leaves_when_its_publisher_does(live, story):
    before = live.up().uids()
    story.kubelet.change("live-2", publishers=1, viewers=3)
    live.patch(**EAGER)
    live.says("Reconciling", "True", "Rolling", "draining live-2; 3 of 3 nodes have an older template")
    eventually("it is drained", lambda: live.draining() == {"live-2"}, within=10)
    assert live.uids() == before
    story.kubelet.change("live-2", publishers=0)
    live.rolled(before)


def test_a_node_that_does_not_run_is_replaced_first_and_at_once(live, story):
    story.kubelet.fates["live-0"] = Fate.NOT_PULLED
    live.create()
    live.says("NodesReady", "False", "ImageNotPulled", "live-0 cannot pull its image (ErrImagePull)", "check the image's name")
    eventually("the others are linked", lambda: live.status()["mesh"]["summary"] == "1/3", within=15)
    before = live.uids()
    story.kubelet.change("live-2", publishers=1)
    del story.kubelet.fates["live-0"]
    live.patch(image="stories/node:2")
    eventually("live-0 is replaced", replaced(live, before, "live-0"), within=10)
    # Then the others have their turn.
    live.says("Reconciling", "True", "Rolling", "draining live-2; 2 of 3")
    story.kubelet.change("live-2", publishers=0)
    live.rolled(before)


def test_a_template_that_does_not_start_stops_the_roll_at_one_node(live, story):
    before = live.up().uids()
    story.kubelet.fates["live"] = Fate.NOT_PULLED
    live.patch(image="stories/no-such-image:1")
    live.says("NodesReady", "False", "ImageNotPulled", "live-2 cannot pull its image", "manifest unknown")
    live.tells("ImageNotPulled", "live-2 cannot pull its image")
    live.says("Reconciling", "True", "Rolling", "2 of 3 nodes have an older template")
    assert replaced(live, before, "live-2")()
    del story.kubelet.fates["live"]
    live.patch(image=None)
    live.whole(3)
    assert replaced(live, before, "live-2")(), "those that had the template all the time are not touched"


def test_an_eviction_that_the_budget_refuses_holds_the_roll_up_until_it_allows_it(live, story):
    before = live.up().uids()
    # A kubelet finds out late that a node is drained: until then its pod is ready, and the budget counts it.
    story.kubelet.probes = False
    story.kubelet.change("live-2", publishers=1)
    live.patch(**EAGER)
    eventually("live-2 is drained", lambda: live.draining() == {"live-2"}, within=10)
    story.kubelet.ready("live-0", False)
    eventually("nobody may be evicted", lambda: live.child("poddisruptionbudgets")["status"]["disruptionsAllowed"] == 0, within=10)
    story.kubelet.change("live-2", publishers=0)

    refused = lambda: [r for r in story.asked("create") if r.resource == "pods/eviction" and r.code == 429]  # noqa: E731
    eventually("an eviction is refused", refused, within=15)
    live.says("Reconciling", "True", "EvictionRefused", "live-2 cannot be replaced", "The disruption budget live needs 2")
    live.tells("EvictionRefused", "live-2 cannot be replaced")
    assert live.uids() == before
    story.kubelet.ready("live-0", True)
    story.kubelet.probes = True
    live.rolled(before)


def test_a_node_whose_eviction_is_refused_for_long_takes_sessions_and_is_drained_again_when_it_may_go(story):
    story.operator("--eviction-patience=4s").ready()
    live = story.cluster()
    before = live.up().uids()
    story.create("poddisruptionbudgets", "mine", spec={"maxUnavailable": 1, "selector": {"matchLabels": {"app.kubernetes.io/instance": "live"}}})
    live.patch(**EAGER)
    live.says("Reconciling", "True", "EvictionRefused", "live-2 cannot be replaced", "more than one PodDisruptionBudget")
    live.tells("Draining", "live-2 accepts no new sessions")
    live.degraded("EvictionRefused", "live-2 cannot be replaced", "kubectl get pdb", "it takes sessions meanwhile")
    eventually("live-2 takes sessions again", lambda: live.draining() == set() and live.status()["readyReplicas"] == 3, within=15)
    # As long as it may not go, nobody has to leave it.
    story.kubelet.change("live-2", publishers=1)
    story.api.delete(path("poddisruptionbudgets", story.namespace, "mine"))
    eventually("live-2 is drained again", lambda: live.draining() == {"live-2"}, within=45)
    assert live.uids() == before
    story.kubelet.change("live-2", publishers=0)
    live.rolled(before)
    live.in_order()


def test_an_eviction_that_two_budgets_keep_from_being_decided_is_told_and_goes_on_without_the_second(live, story):
    before = live.up().uids()
    story.create("poddisruptionbudgets", "mine", spec={"maxUnavailable": 1, "selector": {"matchLabels": {"app.kubernetes.io/instance": "live"}}})
    live.patch(**EAGER)
    live.says("Reconciling", "True", "EvictionRefused", "live-2 cannot be replaced", "more than one PodDisruptionBudget", "kubectl get pdb")
    assert live.uids() == before
    story.api.delete(path("poddisruptionbudgets", story.namespace, "mine"))
    live.rolled(before)


def test_a_first_start_and_a_roll_that_was_asked_for_warn_nobody(live):
    before = live.up().uids()
    live.patch(**EAGER)
    live.rolled(before)
    live.scale(2)
    live.whole(2)
    live.tells("MeshWhole", "1 of 1")
    assert live.warnings() == []


def test_an_operator_that_dies_in_the_middle_of_a_roll_is_followed_by_one_that_goes_on(story):
    operator = story.operator("--identity=same").ready()
    live = story.cluster().up()
    before = live.uids()
    story.kubelet.change("live-1", publishers=1)
    live.patch(**EAGER)
    live.says("Reconciling", "True", "Rolling", "draining live-1; 2 of 3")
    operator.process.kill()
    story.operator("--identity=same").ready()
    live.says("Reconciling", "True", "Rolling", "draining live-1; 2 of 3")
    story.kubelet.change("live-1", publishers=0)
    live.rolled(before)


def test_a_new_release_of_the_operator_keeps_what_runs_and_says_what_is_available(story):
    first = story.operator("--identity=same").ready()
    live = story.cluster().up()
    before = live.uids()
    assert first.process.end() == 0
    story.operator("--identity=same", "--node-image=stories/node:2").ready()
    message = "the operator's own release would run stories/node:2: set spec.image, or upgradePolicy to Automatic"
    live.says("UpgradeAvailable", "True", "OtherImage", message)
    live.whole(3)
    assert live.uids() == before

    live.patch(upgradePolicy="Automatic")
    live.rolled(before)
    live.says("UpgradeAvailable", "False", "UpToDate")
    images = {pod["spec"]["containers"][0]["image"] for pod in live.pods().values()}
    assert images == {"stories/node:2"}


def test_policies_let_in_what_old_and_new_nodes_need_until_the_last_old_one_is_gone(live, story):
    before = live.up(replicas=2).uids()
    old, new = {("UDP", 20000), ("TCP", 20000)}, {("UDP", 21000), ("TCP", 21000)}

    def media() -> set[tuple[str, int]]:
        rules = live.child("networkpolicies")["spec"]["ingress"]
        return {(port["protocol"], port["port"]) for rule in rules for port in rule["ports"]} & (old | new)

    assert media() == old
    story.kubelet.change("live-1", publishers=1)
    live.patch(media={"port": 21000})
    eventually("live-1 drains", lambda: live.draining() == {"live-1"}, within=10)
    assert media() == old | new
    story.kubelet.change("live-1", publishers=0)
    live.rolled(before)
    eventually("the old ports are closed", lambda: media() == new, within=10)
