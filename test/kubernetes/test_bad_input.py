"""What cannot be carried out is told, by condition and event, with what to do; and what ran before runs on. Here is what kubelets and the scheduler
have a part in; the rest is in test/stories."""

import json

import pytest

from testcluster.waiting import eventually

TOKENS = {"mode": "Jwt", "secretRef": {"name": "tokens", "key": "secret"}}
QUOTA = json.dumps({"spec": {"hard": {"pods": "20"}}})


def test_secrets_that_are_missing_are_asked_for_and_taken_when_they_are_there(sfu):
    sfu.apply(replicas=1, redis={"external": {"urlSecretRef": {"name": "my-redis", "key": "url"}}}, auth=TOKENS)
    sfu.degraded("SecretMissing", "spec.redis.external.urlSecretRef", "no Secret my-redis", "create it with the key url")
    sfu.put_secret("my-redis", {"url": "redis://127.0.0.1:6379"})
    sfu.degraded("SecretMissing", "spec.auth.secretRef", "no Secret tokens")
    sfu.put_secret("tokens", {"secret": "s" * 32})
    # The kubelet looks for the Secrets of a pod that waits with growing pauses, up to two minutes.
    sfu.whole(1, within=200)
    assert sfu.condition("RedisReady")["status"] == "False", "nothing listens there, and the nodes run all the same"
    eventually("nothing needs a person any more", lambda: sfu.condition("Degraded")["status"] == "False", within=30)


def test_an_image_that_cannot_be_pulled_is_told_and_what_ran_before_runs_on(trio):
    uids = trio.uids()
    trio.patch(image="localhost/sfumato/no-such-image:1")
    trio.told("NodesReady", "False", "ImageNotPulled", "cannot pull its image", "no-such-image", "check the image's name")
    now = trio.uids()
    assert len([name for name in uids if now.get(name) == uids[name]]) == 2, "the roll stops at the first node"
    trio.patch(image=None)
    trio.whole(3)


def test_a_front_door_that_does_not_start_is_told_as_well(sfu):
    sfu.apply(replicas=1, web={"image": "localhost/sfumato/no-such-image:1"})
    sfu.degraded("ImageNotPulled", "live-web-", "cannot pull its image")
    eventually("media does not wait for the front door", lambda: sfu.condition("MeshReady")["status"] == "True", within=60)
    assert "cannot pull its image" in sfu.condition("FrontDoorReady")["message"]


def test_pods_that_a_quota_refuses_are_told_and_made_when_it_allows_them(sfu):
    sfu.run("create", "quota", "few", "--hard=pods=3")
    sfu.apply()
    sfu.degraded("PodsRefused", "exceeded quota: few", "change the quota")
    sfu.run("patch", "quota", "few", "--patch", QUOTA)
    # The StatefulSet controller tries again with growing pauses.
    sfu.whole(3, within=180)
    eventually("nothing needs a person any more", lambda: sfu.condition("Degraded")["status"] == "False", within=30)


def test_too_few_hosts_are_told(sfu):
    sfu.apply(nodeSelector={"example.com/no-such-host": "true"})
    # What the scheduler says is in it.
    words = ("live-0 has no Kubernetes node", "didn't match Pod's node affinity/selector", "add Kubernetes nodes that fit, or change nodeSelector")
    # An autoscaler has a minute to add one.
    sfu.told("NodesReady", "False", "NoHost", *words, within=120)
    sfu.patch(nodeSelector=None)
    sfu.whole(3)


@pytest.fixture
def loose_definition(kubectl, operator):
    """The definition of SfuCluster as one that checks nothing, for the time of a test."""
    name = "sfuclusters.sfumato.dev"
    strict = kubectl.get("crd", name)["spec"]

    def define(spec: dict) -> None:
        live = kubectl.get("crd", name)
        metadata = {"name": name, "resourceVersion": live["metadata"]["resourceVersion"]}
        definition = {"apiVersion": live["apiVersion"], "kind": live["kind"], "metadata": metadata, "spec": spec}
        kubectl.run("replace", "--filename", "-", input=json.dumps(definition))

    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    schema = {"type": "object", "properties": {"spec": anything, "status": anything}}
    (version,) = strict["versions"]
    define(strict | {"versions": [version | {"schema": {"openAPIV3Schema": schema}}]})
    yield
    define(strict)


def broken(sfu, **spec) -> None:
    """Takes in what the strict definition would refuse; that the loose one is in force takes a moment."""

    def taken() -> bool:
        sfu.patch(**spec)
        return True

    eventually("the API server takes anything", taken, within=30)


def test_an_invalid_object_keeps_the_last_good_state_running_and_says_what_is_wrong(trio, loose_definition):
    uids = trio.uids()
    broken(trio, mesh={"linkGrace": "soon"}, replicas=5)
    trio.degraded("InvalidSpec", "spec.mesh.linkGrace", "no duration", "what ran before runs on")
    status = trio.status()
    assert (status["nodesSummary"], status["mesh"]["summary"]) == ("3/3", "3/3"), "the last good state is what is wanted"

    trio.run("delete", "pod/live-1", "--wait=false")
    trio.replaced("live-1", uids["live-1"])
    trio.whole(3, ready="False")
    assert trio.uids()["live-0"] == uids["live-0"]
    broken(trio, mesh={"linkGrace": "20s"}, replicas=4)
    trio.whole(4)
    assert trio.condition("Degraded")["status"] == "False"
