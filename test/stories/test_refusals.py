"""What the API server refuses by the definition of SfuCluster: each bound and each rule, and the field that it names.
Only the API server itself tells what a rule may cost."""

from collections.abc import Iterator

import pytest

from api_client import ApiClient, Refused, path
from cluster import Cluster

FROM = {"name": "mine", "key": "k"}
EXTERNAL = {"urlSecretRef": FROM}


def entries(count: int, **entry) -> list[dict]:
    return [entry | {"name": f"N{n}"} for n in range(count)]


def pairs(count: int) -> dict[str, str]:
    return {f"k{n}": "v" for n in range(count)}


def ice(**server) -> dict:
    return {"media": {"iceServers": [server]}}


def external(**fields) -> dict:
    return {"redis": {"external": {"urlSecretRef": FROM} | fields}}


def door(**service) -> dict:
    return {"web": {"service": service}}


# Path of the field that the answer names, words that it says, and the spec.
BOUNDS = [
    ("spec.replicas", "should be greater than or equal to 1", {"replicas": 0}),
    ("spec.replicas", "should be less than or equal to 32", {"replicas": 33}),
    ("spec.replicas", "should be less than or equal to 32", {"replicas": 50}),
    ("spec.replicas", "should be less than or equal to 32", {"replicas": 50, "workersPerNode": 4, "mesh": {"lanes": 3}}),
    ("spec.workersPerNode", "greater than or equal to 1", {"workersPerNode": 0}),
    ("spec.workersPerNode", "less than or equal to 64", {"workersPerNode": 65}),
    ("spec.media.port", "greater than or equal to 1024", {"media": {"port": 1023}}),
    ("spec.media.port", "less than or equal to 29900", {"media": {"port": 29901}}),
    ("spec.mesh.portBase", "greater than or equal to 1024", {"mesh": {"portBase": 1023}}),
    ("spec.mesh.portBase", "less than or equal to 29900", {"mesh": {"portBase": 29901}}),
    ("spec.mesh.lanes", "greater than or equal to 1", {"mesh": {"lanes": 0}}),
    ("spec.mesh.lanes", "less than or equal to 64", {"mesh": {"lanes": 65}}),
    ("spec.mesh.fanOut", 'supported values: "OnDemand", "Eager"', {"mesh": {"fanOut": "Sometimes"}}),
    ("spec.mesh.beatInterval", "between 100ms and 5s, such as `500ms`", {"mesh": {"beatInterval": "1 s"}}),
    ("spec.mesh.beatInterval", "must be of type string", {"mesh": {"beatInterval": 5}}),
    ("spec.mesh.linkGrace", "may not be more than 60", {"mesh": {"linkGrace": "0" * 60 + "9s"}}),
    ("spec.drain.deadline", "between 1s and 24h, such as `5m`", {"drain": {"deadline": "2d"}}),
    ("spec.web.replicas", "less than or equal to 16", {"web": {"replicas": 17}}),
    ("spec.web.image", "may not be more than 512", {"web": {"image": "i" * 513}}),
    ("spec.web.service.port", "less than or equal to 65535", {"web": {"service": {"port": 65536}}}),
    ("spec.web.service.type", "supported values", {"web": {"service": {"type": "ExternalName"}}}),
    ("spec.web.service.annotations", "must have at most 64", {"web": {"service": {"annotations": pairs(65)}}}),
    ("spec.web.service.nodePort", "less than or equal to 65535", door(type="NodePort", nodePort=65536)),
    ("spec.web.service.loadBalancerClass", "may not be more than 317", door(type="LoadBalancer", loadBalancerClass="c" * 318)),
    ("spec.web.service.loadBalancerSourceRanges", "must have at most 64", door(type="LoadBalancer", loadBalancerSourceRanges=["::/0"] * 65)),
    ("spec.web.service.externalTrafficPolicy", "supported values", door(type="NodePort", externalTrafficPolicy="Host")),
    ("spec.web.tls.secretName", "Required value", {"web": {"tls": {}}}),
    ("spec.web.tls.secretName", "such as `front-door-tls`", {"web": {"tls": {"secretName": "A_B"}}}),
    ("spec.image", "should be at least 1 chars", {"image": ""}),
    ("spec.image", "may not be more than 512", {"image": "i" * 513}),
    ("spec.imagePullPolicy", "supported values", {"imagePullPolicy": "Sometimes"}),
    ("spec.imagePullSecrets", "must have at most 64", {"imagePullSecrets": entries(65)}),
    ("spec.upgradePolicy", "supported values", {"upgradePolicy": "Never"}),
    ("spec.priorityClassName", "may not be more than 253", {"priorityClassName": "p" * 254}),
    ("spec.resources.limits[cpu]", "such as `500m`", {"resources": {"limits": {"cpu": "much"}}}),
    ("spec.resources.limits[memory]", "such as `500m` or `2` of cpu, and `512Mi`", {"resources": {"limits": {"memory": "512mb"}}}),
    ("spec.resources.limits[memory]", "quantity of 0 or more", {"resources": {"limits": {"memory": "-1Gi"}}}),
    ("spec.resources.requests[cpu]", "quantity of 0 or more", {"resources": {"requests": {"cpu": -1}}}),
    ("spec.web.resources.requests[cpu]", "such as `500m`", {"web": {"resources": {"requests": {"cpu": "1,5"}}}}),
    ("spec.resources.requests", "must have at most 16", {"resources": {"requests": {f"r{n}": 1 for n in range(17)}}}),
    ("spec.nodeSelector", "must have at most 64", {"nodeSelector": pairs(65)}),
    ("spec.nodeSelector.k", "may not be more than 4096", {"nodeSelector": {"k": "v" * 4097}}),
    ("spec.tolerations", "must have at most 64", {"tolerations": [{"operator": "Exists"}] * 65}),
    (
        "spec.topologySpreadConstraints",
        "must have at most 64",
        {"topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "k", "whenUnsatisfiable": "ScheduleAnyway"}] * 65},
    ),
    ("spec.env", "must have at most 64", {"env": entries(65, value="x")}),
    ("spec.podLabels", "must have at most 64", {"podLabels": pairs(65)}),
    ("spec.podAnnotations", "must have at most 64", {"podAnnotations": pairs(65)}),
    ("spec.userIds", "supported values", {"userIds": "Root"}),
    ("spec.web.pods.nodeSelector", "must have at most 64", {"web": {"pods": {"nodeSelector": pairs(65)}}}),
    ("spec.web.pods.tolerations", "must have at most 64", {"web": {"pods": {"tolerations": [{"operator": "Exists"}] * 65}}}),
    ("spec.redis.managed.pods.priorityClassName", "may not be more than 253", {"redis": {"managed": {"pods": {"priorityClassName": "p" * 254}}}}),
    ("spec.redis.managed.image", "may not be more than 512", {"redis": {"managed": {"image": "i" * 513}}}),
    ("spec.redis.managed.storage.size", "such as `512Mi` or `1Gi`", {"redis": {"managed": {"storage": {"size": "big"}}}}),
    (
        "spec.redis.managed.storage.storageClassName",
        "may not be more than 253",
        {"redis": {"managed": {"storage": {"size": "1Gi", "storageClassName": "c" * 254}}}},
    ),
    ("spec.redis.external.urlSecretRef", "Required value", {"redis": {"external": {}}}),
    ("spec.redis.external.urlSecretRef.key", "Required value", external(urlSecretRef={"name": "a"})),
    ("spec.redis.external.urlSecretRef.name", "such as `media-keys`", external(urlSecretRef={"name": "A_B", "key": "k"})),
    ("spec.redis.external.caSecretRef.key", "such as `password`", external(caSecretRef={"name": "a", "key": "a/b"})),
    ("spec.redis.external.caSecretRef.key", "may not be more than 253", external(caSecretRef={"name": "a", "key": "k" * 254})),
    ("spec.auth.mode", "supported values", {"auth": {"mode": "Password"}}),
    ("spec.auth.issuer", "may not be more than 512", {"auth": {"mode": "Jwt", "secretRef": FROM, "issuer": "i" * 513}}),
    ("spec.auth.audience", "should be at least 1 chars", {"auth": {"mode": "Jwt", "secretRef": FROM, "audience": ""}}),
    ("spec.media.exposure", "supported values", {"media": {"exposure": "Host"}}),
    ("spec.media.nodePortBase", "should be less than or equal to 63488", {"media": {"nodePortBase": 63489}}),
    ("spec.media.announce.addresses", "must have at most 4", {"media": {"announce": {"from": "Static", "addresses": ["a"] * 5}}}),
    ("spec.media.iceServers", "must have at most 8", {"media": {"iceServers": [{"urls": ["stun:a"]}] * 9}}),
    ("spec.media.iceServers[0].urls", "should have at least 1 items", ice(urls=[])),
    ("spec.media.iceServers[0].urls", "must have at most 8", ice(urls=["stun:a"] * 9)),
    ("spec.media.iceServers[0].urls[0]", "such as `stun:stun.example.net:3478`", ice(urls=["http://a"])),
    ("spec.media.iceServers[0].urls[0]", "may not be more than 256", ice(urls=["stun:" + "a" * 252])),
    ("spec.media.iceServers[0].username", "such as `media`", ice(urls=["turn:a"], username="$(X)", credentialSecretRef=FROM)),
]


def static(*addresses: str) -> dict:
    return {"media": {"announce": {"from": "Static", "addresses": list(addresses)}}}


RULES = [
    ("spec.mesh.portBase", "too close", {"mesh": {"portBase": 20100}}),
    ("spec.mesh.portBase", "too close", {"replicas": 32, "media": {"port": 21000}}),
    ("spec.media.port", "must end below 30000", {"media": {"port": 29800}}),
    ("spec.mesh.portBase", "must end below 30000", {"mesh": {"portBase": 29800}}),
    ("spec.workersPerNode", "(replicas - 1) x workersPerNode", {"replicas": 32, "workersPerNode": 4}),
    ("spec.mesh.lanes", "(replicas - 1) x lanes", {"replicas": 32, "workersPerNode": 64, "mesh": {"lanes": 4}}),
    ("spec.mesh.beatInterval", "between 100ms and 5s", {"mesh": {"beatInterval": "99ms"}}),
    ("spec.mesh.linkGrace", "between 2s and 10m", {"mesh": {"linkGrace": "1h"}}),
    ("spec.mesh.fanOutIdleTimeout", "between 1s and 1h", {"mesh": {"fanOutIdleTimeout": "0s"}}),
    ("spec.drain.deadline", "between 1s and 24h", {"drain": {"deadline": "25h"}}),
    ("spec.redis", "choose one", {"redis": {"managed": {}, "external": EXTERNAL}}),
    ("spec.auth", "exactly one of", {"auth": {"mode": "Jwt"}}),
    ("spec.auth", "exactly one of", {"auth": {"mode": "Jwt", "secretRef": FROM, "jwksSecretRef": FROM}}),
    ("spec.auth", "set mode to Jwt", {"auth": {"secretRef": FROM}}),
    ("spec.auth", "set mode to Jwt", {"auth": {"mode": "None", "issuer": "me"}}),
    ("spec.media.iceServers[0]", "come together", ice(urls=["stun:a"], username="u")),
    ("spec.media.iceServers[0]", "a TURN server needs", ice(urls=["stun:a", "turn:a"])),
    ("spec.media.iceServers[0]", "come together", ice(urls=["turn:a"], credentialSecretRef=FROM)),
    ("spec.media.announce", "come together", {"media": {"announce": {"from": "Static"}}}),
    ("spec.media.announce", "come together", {"media": {"announce": {"addresses": ["203.0.113.7"]}}}),
    ("spec.media.announce.from", "exposure PodIP", {"media": {"announce": {"from": "HostIP"}}}),
    *(
        ("spec.media.announce.addresses[1]", "such as `203.0.113.7`", static("203.0.113.7", address))
        for address in (
            "999.1.1.1",
            "0.0.0.0",
            "::",
            "1.2.3",
            "-x.example.net",
            "cafe:80",
            "sfu.{ordinal}",
            "a..b",
            "a:20000",
            "{number}.example.net",
        )
    ),
    ("spec.web.service.loadBalancerClass", "set type to `LoadBalancer`", door(loadBalancerClass="example.com/internal")),
    ("spec.web.service.loadBalancerClass", "such as `tailscale`", door(type="LoadBalancer", loadBalancerClass="a/b/c")),
    ("spec.web.service.loadBalancerSourceRanges", "set type to `LoadBalancer`", door(type="NodePort", loadBalancerSourceRanges=["203.0.113.0/24"])),
    *(
        (
            "spec.web.service.loadBalancerSourceRanges[1]",
            "such as `203.0.113.0/24`",
            door(type="LoadBalancer", loadBalancerSourceRanges=["::/0", network]),
        )
        for network in ("203.0.113.7", "203.0.113.0/33", "example.net/24")
    ),
    ("spec.web.service.nodePort", "for types NodePort and LoadBalancer only", door(nodePort=30080)),
    ("spec.web.service.externalTrafficPolicy", "for types NodePort and LoadBalancer only", door(externalTrafficPolicy="Local")),
    ("spec.podLabels", "operator's own", {"podLabels": {"app.kubernetes.io/name": "x"}}),
    ("spec.podLabels", "operator's own", {"podLabels": {"sfumato.dev/x": "x"}}),
    ("spec.podAnnotations", "operator's own", {"podAnnotations": {"sfumato.dev/drain": "true"}}),
    ("spec.podAnnotations", "operator's own", {"podAnnotations": {"app.kubernetes.io/name": "x"}}),
    ("spec.web.pods.labels", "operator's own", {"web": {"pods": {"labels": {"sfumato.dev/x": "x"}}}}),
    ("spec.redis.managed.pods.annotations", "operator's own", {"redis": {"managed": {"pods": {"annotations": {"sfumato.dev/x": "x"}}}}}),
    ("spec.env", "the operator sets", {"env": [{"name": "SFUMATO_NAME", "value": "x"}]}),
    ("spec.env", "the operator sets", {"env": [{"name": "SFUMATO_REDIS_URL", "value": "x"}]}),
    ("spec.env", "the operator sets", {"env": [{"name": "SFUMATO_AUTH_ISSUER", "value": "x"}]}),
    ("spec.env", "the operator sets", {"env": [{"name": "SFUMATO_ICE_SERVERS", "value": "x"}]}),
]

# As much as the bounds allow, all at once: the API server counts what the rules cost with such an object.
LARGEST = {
    "replicas": 32,
    "workersPerNode": 3,
    "env": entries(64, value="x" * 1000),
    "podLabels": {f"example.com/{n:060}": "v" * 63 for n in range(64)},
    "podAnnotations": {f"example.com/{n:060}": "v" * 4096 for n in range(64)},
    "web": {
        "pods": {"labels": {f"example.com/{n:060}": "v" * 63 for n in range(64)}},
        "service": {
            "type": "LoadBalancer",
            "loadBalancerClass": "c" * 253 + "/" + "c" * 63,
            "loadBalancerSourceRanges": ["2001:0db8:0000:0000:0000:0000:0000:0000/128"] * 64,
        },
        "tls": {"secretName": "s" * 253},
    },
    "auth": {"mode": "Jwt", "jwksSecretRef": FROM, "issuer": "i" * 512, "audience": "a" * 512},
    "media": {"iceServers": [{"urls": ["stun:" + "a" * 251] * 8}] * 8},
}


@pytest.fixture(scope="module")
def api(plane) -> Iterator[ApiClient]:
    with plane.admin() as it:
        yield it


@pytest.fixture
def nowhere(api) -> Cluster:
    """A cluster that is looked at by the API server and never made."""
    return Cluster(api, "default", "nowhere")


def dry_run(cluster: Cluster, manifest: dict) -> dict:
    return cluster.api.create(path("sfuclusters", "default"), manifest, dryRun="All", fieldValidation="Strict")


# What the API server adds of its own where a value is no value of the field's type. It is no complaint about the object.
NOT_CHECKED = "some validation rules were not checked"


def complaint(cluster: Cluster, manifest: dict) -> tuple[str, str]:
    """The field that the API server names, and what it says of it: there must be one complaint for what is one slip."""
    with pytest.raises(Refused) as refused:
        dry_run(cluster, manifest)
    causes = [(cause["field"], cause["message"]) for cause in refused.value.causes if NOT_CHECKED not in cause["message"]]
    assert len(causes) == 1, causes
    return causes[0]


@pytest.mark.parametrize(("field", "words", "spec"), BOUNDS + RULES)
def test_what_cannot_be_is_refused_once_and_the_field_is_named(nowhere, field, words, spec):
    named, text = complaint(nowhere, nowhere.manifest(**spec))
    assert named == field, text
    assert words in text, text


def test_a_field_that_there_is_not_is_named(nowhere):
    with pytest.raises(Refused, match=r'unknown field "spec\.mesh\.beatIntervall"'):
        dry_run(nowhere, nowhere.manifest(mesh={"beatIntervall": "1s"}))


@pytest.mark.parametrize("name", ["l" * 41, "1live", "live.tv"])
def test_a_name_that_leaves_no_room_is_refused(nowhere, name):
    nowhere.name = name
    named, text = complaint(nowhere, nowhere.manifest())
    assert named == "metadata.name", text
    assert all(words in text for words in ("at most 40 of a-z", "such as `live`")), text


def test_a_name_that_is_none_for_kubernetes_is_refused_in_its_words_only(nowhere):
    nowhere.name = "Live"
    named, text = complaint(nowhere, nowhere.manifest())
    assert named == "metadata.name", text
    assert "lowercase RFC 1123 subdomain" in text, text


def test_as_much_as_the_bounds_allow_is_taken(nowhere):
    taken = dry_run(nowhere, nowhere.manifest(**LARGEST))["spec"]
    assert len(taken["env"]) == len(taken["podLabels"]) == 64


def test_an_empty_spec_gets_its_defaults_from_the_api_server(nowhere):
    spec = dry_run(nowhere, nowhere.manifest() | {"spec": {}})["spec"]
    assert (spec["replicas"], spec["media"]["port"], spec["mesh"]["portBase"]) == (3, 20000, 24000)
    assert (spec["auth"], spec["drain"]["deadline"]) == ({"mode": "None"}, "5m")
    assert "replicas" not in spec["web"], "a number that nobody names is left to whoever scales the Deployment"
