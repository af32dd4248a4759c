"""Secrets that a manifest names, and the one that the operator draws."""

import base64

import pytest

from api_client import path
from cluster import Cluster
from testcluster.waiting import eventually

REDIS = {"redis": {"external": {"urlSecretRef": {"name": "mine", "key": "url"}}}}
REDIS_CA = {"redis": {"external": {"urlSecretRef": {"name": "mine", "key": "url"}, "caSecretRef": {"name": "mine", "key": "ca"}}}}
TOKENS = {"auth": {"mode": "Jwt", "secretRef": {"name": "mine", "key": "secret"}}}
KEYS = {"auth": {"mode": "Jwt", "jwksSecretRef": {"name": "mine", "key": "keys"}}}
TURN = {"media": {"iceServers": [{"urls": ["turn:a"], "username": "u", "credentialSecretRef": {"name": "mine", "key": "password"}}]}}
DOOR = {"web": {"tls": {"secretName": "mine"}}}
CERTIFICATE = "-----BEGIN CERTIFICATE-----"
TLS_URL = "rediss://127.0.0.1:6379"
# What the manifest says, what the Secret holds, the reason, and words of the message.
UNUSABLE = {
    "no Secret": (REDIS, None, "SecretMissing", ("spec.redis.external.urlSecretRef", "no Secret mine", "create it with the key url")),
    "no key": (REDIS, {"other": "x"}, "SecretMissing", ("mine has no key url", "put the URL of Redis into it")),
    "no URL": (REDIS, {"url": "localhost:6379"}, "SecretUnusable", ("key url of the Secret mine", "write redis://")),
    "no certificate": (REDIS_CA, {"url": TLS_URL, "ca": "x"}, "SecretUnusable", ("spec.redis.external.caSecretRef", "holds no certificate")),
    "short secret": (TOKENS, {"secret": "short"}, "SecretUnusable", ("spec.auth.secretRef", "at least 32 characters")),
    "no key set": (KEYS, {"keys": "x"}, "SecretUnusable", ("spec.auth.jwksSecretRef", "is no JSON")),
    "no password": (TURN, {"other": "x"}, "SecretMissing", ("spec.media.iceServers[0].credentialSecretRef", "mine has no key password")),
    "no Secret for HTTPS": (DOOR, None, "SecretMissing", ("spec.web.tls.secretName", "no Secret mine", "with the keys tls.crt and tls.key")),
    "no key for HTTPS": (DOOR, {"tls.crt": CERTIFICATE}, "SecretMissing", ("spec.web.tls.secretName", "mine has no key tls.key")),
    "no certificate for HTTPS": (DOOR, {"tls.crt": "x", "tls.key": "x"}, "SecretUnusable", ("key tls.crt of the Secret mine", "no certificate")),
}


@pytest.mark.parametrize("case", UNUSABLE)
def test_a_secret_that_nodes_cannot_use_is_named_with_what_to_do(live, story, case):
    spec, data, reason, words = UNUSABLE[case]
    if data:
        story.put_secret("mine", **data)
    live.create(replicas=1, **spec)
    live.degraded(reason, *words)
    live.whole(1)


def test_a_secret_that_was_missing_is_taken_when_it_is_there(live, story):
    live.create(replicas=1, **REDIS)
    live.degraded("SecretMissing", "no Secret mine")
    story.put_secret("mine", url="redis://127.0.0.1:6379")
    live.in_order()


@pytest.fixture
def watched(story) -> Cluster:
    """A cluster whose operator looks at Secrets all the time: nobody tells it of them."""
    story.operator("--secrets-every=1s").ready()
    return story.cluster().up()


def test_the_admin_secret_comes_back_as_it_was(watched):
    where = path("secrets", watched.namespace, "live-admin")
    before, uids = watched.api.get(where)["data"], watched.uids()
    assert {"token", "ca.crt", "tls.crt", "tls.key"} <= before.keys()
    watched.api.delete(where)
    eventually("the Secret is back", lambda: watched.api.get(where)["data"] == before, within=15)
    watched.whole(3)
    assert watched.uids() == uids


def test_keys_that_are_taken_out_of_the_admin_secret_come_back_and_additions_stay(watched):
    where = path("secrets", watched.namespace, "live-admin")
    before = watched.api.get(where)["data"]
    mine = {"mine": base64.b64encode(b"x").decode()}
    watched.api.merge(where, {"data": dict.fromkeys(before) | mine})
    eventually("every key is back as it was", lambda: watched.api.get(where)["data"] == before | mine, within=15)
