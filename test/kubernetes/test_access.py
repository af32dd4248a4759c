"""What a manifest takes from Secrets: keys for tokens, a Redis with TLS. And what becomes of tokens on their way."""

import secrets
import subprocess

import httpx
import pytest

from harness.offers import offer
from installation import program
from media import front_door
from redis_pod import RedisPod
from testcluster.machines import Machine
from testcluster.waiting import eventually
from wire import tapped

# From a change of a Secret to its file in a pod; the kubelet looks anew when the pod is touched, else within two minutes.
MOUNTED = 150
# Where media nodes serve clients, and where front doors.
IN_CLEAR, SECURE = 3001, 3443


@pytest.fixture
def token(tmp_path):
    """`token(secret, "--publish", "demo")` makes a token as people do."""

    def make(secret: str, *options: str) -> str:
        file = tmp_path / "secret"
        file.write_text(secret)
        command = [program("sfu-operator"), "token", "--secret-file", file, *options]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=10).stdout.strip()

    return make


def post(url: str, token: str | None = None, direction: str = "sendonly") -> httpx.Response:
    headers = {"Content-Type": "application/sdp"} | ({"Authorization": f"Bearer {token}"} if token else {})
    with httpx.Client(trust_env=False, timeout=20) as http:
        return http.post(url, content=offer(direction=direction), headers=headers)


def opened(url: str, token: str) -> httpx.Response | None:
    answer = post(url, token)
    return answer if answer.status_code == 201 else None


def client_url(cluster, pod: str) -> str:
    return f"http://{cluster.nodes()[pod]['status']['podIP']}:3001"


def touch(cluster, *pods: str) -> None:
    cluster.run("annotate", "--overwrite", "pods", *pods, f"touched={secrets.token_hex(4)}")


def test_with_auth_jwt_nobody_publishes_or_watches_without_a_token_and_keys_change_without_a_restart(sfu, token, peers):
    old, new = secrets.token_hex(32), secrets.token_hex(32)
    sfu.put_secret("tokens", {"secret": old})
    sfu.apply(auth={"mode": "Jwt", "secretRef": {"name": "tokens", "key": "secret"}, "issuer": "the-studio"})
    sfu.whole(3)
    uids = sfu.uids()
    url = client_url(sfu, "live-0")

    refused = post(f"{url}/whip/demo")
    assert refused.status_code == 401, refused.text
    assert refused.headers["www-authenticate"] == 'Bearer realm="sfumato"'
    foreign = post(f"{url}/whip/demo", token(old, "--publish", "demo"))
    assert foreign.status_code == 401, "a token of no issuer is of another issuer"

    may = token(old, "--publish", "demo", "--play", "demo", "--issuer", "the-studio")
    peers.publish(f"{url}/whip/demo?access_token={may}")
    refused = post(f"{client_url(sfu, 'live-2')}/whep/demo", direction="recvonly")
    assert refused.status_code == 401, refused.text
    viewer = peers.count(f"{client_url(sfu, 'live-2')}/whep/demo?access_token={may}")
    eventually("media arrives on another pod", lambda: viewer.count() > 50, within=30)

    sfu.put_secret("tokens", {"secret": new})
    touch(sfu, "live-0")
    with_new = token(new, "--publish", "*", "--issuer", "the-studio")
    eventually("the new secret is known", lambda: post(f"{url}/whip/other", with_new).status_code == 201, within=MOUNTED, every=1)
    assert sfu.uids() == uids, "no pod was replaced for it"
    assert not viewer.closed(), "and no session ended"


@pytest.mark.testcluster
def test_no_token_of_a_client_crosses_the_cluster_in_clear_behind_the_front_door(sfu, token, layout):
    secret = secrets.token_hex(32)
    sfu.put_secret("tokens", {"secret": secret})
    sfu.apply(auth={"mode": "Jwt", "secretRef": {"name": "tokens", "key": "secret"}})
    sfu.whole(3)
    hosts = {pod["spec"]["nodeName"] for pod in sfu.get("pods")}
    door = front_door(sfu)
    passed, direct = (token(secret, "--publish", "*", "--expires", expires) for expires in ("1h", "2h"))
    with tapped([Machine(layout, host) for host in hosts], {IN_CLEAR, SECURE}) as wire:
        for node in sfu.nodes():
            url = f"{door}/whip/{node}?node={node}"
            answer = eventually(f"the front door knows {node}", lambda url=url: opened(url, passed), within=15, every=1)
            with httpx.Client(trust_env=False, timeout=20) as http:
                ended = http.delete(f"{door}{answer.headers['location']}", headers={"Authorization": f"Bearer {passed}"})
            assert ended.status_code == 200, ended.text
        # What goes straight to a node is seen: so the other would have been.
        assert post(f"{client_url(sfu, 'live-0')}/whip/direct", direct).status_code == 201
        eventually("the tap sees the token of a client that goes to a node itself", lambda: direct.encode() in wire.seen(IN_CLEAR), within=10)
        leaks = [port for port in (IN_CLEAR, SECURE) if passed.encode() in wire.seen(port)]
        assert not leaks, f"a token was seen at ports {leaks}"
        assert wire.seen(SECURE), "the front door has asked somewhere else"


def test_a_redis_with_tls_is_reached_by_its_ca_and_a_wrong_one_is_told(sfu, tmp_path):
    redis = RedisPod(sfu, tmp_path)
    redis.start()
    sfu.put_secret("redis", {"url": redis.url, "ca.crt": redis.other_ca})
    external = {"urlSecretRef": {"name": "redis", "key": "url"}, "caSecretRef": {"name": "redis", "key": "ca.crt"}}
    sfu.apply(replicas=2, redis={"external": external})
    sfu.whole(2)
    uids = sfu.uids()

    sfu.told("RedisReady", "False", "CertificateRefused", "certificate", "caSecretRef", event="RedisLost")
    assert "live-redis" not in sfu.run("get", "statefulsets", "--output=name"), "no Redis of the cluster's own is made"

    sfu.put_secret("redis", {"url": redis.url, "ca.crt": redis.ca})
    touch(sfu, "live-0", "live-1")
    eventually("the right CA is taken", lambda: sfu.condition("RedisReady")["status"] == "True", within=MOUNTED)
    assert sfu.uids() == uids, "without a restart"


def test_ice_servers_reach_clients_with_their_password(sfu):
    password = secrets.token_hex(12)
    sfu.put_secret("turn", {"password": password})
    turn = {"urls": ["turn:turn.example.net:3478?transport=udp"], "username": "studio"}
    turn["credentialSecretRef"] = {"name": "turn", "key": "password"}
    sfu.apply(replicas=1, media={"iceServers": [{"urls": ["stun:stun.example.net:3478"]}, turn]})
    sfu.whole(1)
    answer = post(f"{client_url(sfu, 'live-0')}/whip/demo")
    assert answer.status_code == 201, answer.text
    links = answer.headers.get_list("link")
    assert any("<stun:stun.example.net:3478>" in link for link in links), links
    assert any("turn.example.net" in link and 'username="studio"' in link and password in link for link in links), links
    template = sfu.run("get", "statefulset/live", "--output=json")
    assert password not in template, "it stays in the Secret"
