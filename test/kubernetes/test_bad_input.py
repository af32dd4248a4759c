"""What is wrong is refused, or told with what to do; and what ran before runs on."""

import json

import pytest

from testcluster.kubectl import KubectlError
from testcluster.waiting import eventually


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"replicas": 33}, "spec.replicas"),
        ({"mesh": {"beatInterval": "1ms"}}, "must be between 100ms and 5s"),
        ({"mesh": {"portBase": 20100}}, "too close"),
        ({"drain": {"deadline": "2d"}}, "spec.drain.deadline"),
        ({"redis": {"managed": {}, "external": {"urlSecretRef": {"name": "a", "key": "b"}}}}, "choose one"),
        ({"podLabels": {"app.kubernetes.io/name": "x"}}, "operator's own"),
        ({"env": [{"name": "SFUMATO_NAME", "value": "x"}]}, "the operator sets"),
        ({"web": {"service": {"type": "ExternalName"}}}, "spec.web.service.type"),
        ({"resources": {"limits": {"cpu": "much"}}}, "spec.resources.limits"),
    ],
)
def test_the_api_server_refuses_what_cannot_be_and_names_the_field(sfu, spec, words):
    with pytest.raises(KubectlError) as refused:
        sfu.apply(**spec)
    assert words in str(refused.value)


def test_a_name_that_leaves_no_room_is_refused(sfu):
    sfu.name = "l" * 41
    with pytest.raises(KubectlError, match="at most 40"):
        sfu.apply()


def test_the_storage_of_redis_cannot_be_changed(sfu):
    sfu.apply(redis={"managed": {"storage": {"size": "1Gi"}}}, paused=True)
    with pytest.raises(KubectlError, match="storage of a managed Redis cannot change"):
        sfu.apply(redis={"managed": {"storage": {"size": "2Gi"}}}, paused=True)


def test_a_secret_that_is_missing_is_asked_for_and_taken_when_it_comes(sfu):
    sfu.apply(replicas=1, redis={"external": {"urlSecretRef": {"name": "my-redis", "key": "url"}}})

    def told(words):
        degraded = sfu.condition("Degraded")
        return degraded.get("reason") == "SecretMissing" and words in degraded["message"]

    eventually("the missing Secret is named", lambda: told("there is no Secret my-redis"), within=30)
    assert eventually("and so does an event", lambda: sfu.events("SecretMissing"), within=10)
    sfu.run("create", "secret", "generic", "my-redis", "--from-literal=other=x")
    eventually("the missing key is named", lambda: told("has no key url"), within=30)
    sfu.run("patch", "secret", "my-redis", "--patch", json.dumps({"stringData": {"url": "redis://127.0.0.1:6379"}}))
    sfu.whole(1)
    assert sfu.condition("RedisReady")["status"] == "False", "nothing listens there, and the nodes run all the same"


def test_an_image_that_cannot_be_pulled_is_named(sfu):
    sfu.apply(replicas=1, image="localhost/sfumato/no-such-image:1")
    eventually("the condition names the pod", lambda: "live-0 does not start" in sfu.condition("NodesReady").get("message", ""), within=60)


def test_a_name_that_is_taken_is_not_taken_over(sfu):
    sfu.run("create", "service", "clusterip", "live-web", "--tcp=80:80")
    sfu.apply(replicas=1)
    eventually("it says which name is taken", lambda: "Service live-web exists" in sfu.condition("Degraded").get("message", ""), within=30)
    assert "app.kubernetes.io/managed-by" not in sfu.get("service", "live-web")["metadata"].get("labels", {})
    assert sfu.get("statefulset", "live"), "the other children are made all the same"
    sfu.run("delete", "service", "live-web")
    sfu.whole(1)
    eventually("and it is not degraded any more", lambda: sfu.condition("Degraded")["status"] == "False", within=90)
