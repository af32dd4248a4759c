"""Tokens of publishers and viewers: who may do what, with real peers and through the front door."""

import json
import secrets
import subprocess
from functools import partial

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from harness.offers import offer
from harness.page import HELPERS
from harness.tokens import claims_in, encoded, signed_by_secret
from harness.waiting import eventually

SDP = {"Content-Type": "application/sdp"}


@pytest.fixture(scope="module")
def secret(tmp_path_factory):
    """A file with the secret that tokens are signed with."""
    file = tmp_path_factory.mktemp("secret") / "secret"
    file.write_text(secrets.token_hex(32))
    return file


@pytest.fixture(scope="module")
def guarded(binaries, secret, tmp_path_factory):
    """Two nodes that ask for tokens."""
    from conftest import running_cluster

    options = ("--auth-secret-file", secret)
    observer = partial(signed_by_secret, secret, observe=True)
    directory = tmp_path_factory.mktemp("guarded")
    with running_cluster(binaries, directory, nodes=2, options=options, observer=observer) as cluster:
        yield cluster.started()


@pytest.fixture
def token(binaries, secret):
    """`token("--publish", "demo")` makes a token as people do."""

    def make(*options: str) -> str:
        command = [binaries / "sfu-operator", "token", "--secret-file", secret, *options]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=10).stdout.strip()

    return make


def post(cluster, url: str, role: str, token: str | None = None):
    headers = SDP | ({"Authorization": f"Bearer {token}"} if token else {})
    return cluster.http.post(url, content=offer(direction="sendonly" if role == "publish" else "recvonly"), headers=headers)


@pytest.fixture(params=["front door", "node"])
def whip(request, guarded):
    base = guarded.front if request.param == "front door" else guarded.client_url("sfu-1")
    return lambda stream: f"{base}/whip/{stream}"


def test_without_a_token_nobody_may_and_the_answer_says_what_is_needed(guarded, whip, stream):
    answer = post(guarded, whip(stream), "publish")
    assert answer.status_code == 401, answer.text
    assert answer.headers["www-authenticate"] == 'Bearer realm="sfumato"'
    assert "www-authenticate" in answer.headers["access-control-expose-headers"].lower()
    assert answer.json()["field"] == "Authorization"


def test_a_token_for_something_else_is_403_and_an_expired_one_401(guarded, whip, stream, token):
    answer = post(guarded, whip(stream), "publish", token("--publish", "other", "--play", "*"))
    assert answer.status_code == 403, answer.text
    assert 'error="insufficient_scope"' in answer.headers["www-authenticate"]
    answer = post(guarded, whip(stream), "publish", token("--publish", "*")[:-2])
    assert answer.status_code == 401, answer.text
    assert 'error="invalid_token"' in answer.headers["www-authenticate"]


def test_a_preflight_and_the_end_of_a_session_need_no_token(guarded, whip, stream, token):
    asked = {
        "Origin": "http://other.test",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization",
    }
    answer = guarded.http.options(whip(stream), headers=asked)
    assert answer.is_success, answer.text
    assert "authorization" in answer.headers["access-control-allow-headers"].lower()
    opened = post(guarded, whip(stream), "publish", token("--publish", stream))
    assert opened.status_code == 201, opened.text
    session = opened.request.url.join(opened.headers["location"])
    assert guarded.http.delete(session).status_code == 200


def test_peers_publish_and_watch_across_nodes_with_the_token_in_the_url(guarded, peers, stream, token):
    may_publish, may_watch = token("--publish", stream), token("--play", f"{stream[:4]}*")
    peers.generate(f"{guarded.client_url('sfu-1')}/whip/{stream}?access_token={may_publish}")
    eventually("the stream is known", lambda: guarded.stream(stream), within=10)
    viewer = peers.count(f"{guarded.whep(stream, 'sfu-2')}&access_token={may_watch}")
    eventually("media arrives", lambda: viewer.count() > 50, within=15)
    refused = post(guarded, guarded.whep(stream), "watch", may_publish)
    assert refused.status_code == 403, refused.text
    for log in guarded.state.glob("logs/*"):
        text = log.read_text(errors="replace")
        assert may_publish not in text, f"{log} has a token in it"
        assert may_watch not in text, f"{log} has a token in it"


def test_a_changed_secret_is_followed_and_the_one_before_it_is_still_accepted(guarded, stream, secret, token):
    url = f"{guarded.client_url('sfu-1')}/whip"
    old = token("--publish", "*")

    def publishes(name: str, bearer: str) -> bool:
        answer = post(guarded, f"{url}/{stream}-{name}", "publish", bearer)
        assert answer.status_code in (201, 401), answer.text
        return answer.status_code == 201

    secret.write_text(secrets.token_hex(32))
    new = token("--publish", "*")
    eventually("the new secret is in use", lambda: publishes("new", new), within=5)
    assert publishes("old", old)
    secret.write_text(secrets.token_hex(32))
    newest = token("--publish", "*")
    eventually("the newest secret is in use", lambda: publishes("newest", newest), within=5)
    assert not publishes("oldest", old)


@pytest.mark.parametrize("path", ["/api/v1/cluster", "/api/v1/events"])
def test_only_a_token_that_may_observe_shows_the_cluster(guarded, path, token):
    def asked(bearer: str | None):
        headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
        with guarded.http.stream("GET", f"{guarded.front}{path}", headers=headers) as answer:
            if answer.status_code != 200:
                answer.read()
                assert "sfu-1" not in answer.text
            return answer.status_code, answer.headers.get("www-authenticate", "")

    assert asked(None) == (401, 'Bearer realm="sfumato"')
    status, challenge = asked(token("--publish", "*", "--play", "*", "--takeover"))
    assert status == 403, challenge
    assert 'error="insufficient_scope"' in challenge
    status, challenge = asked(token("--observe")[:-2])
    assert status == 401, challenge
    assert 'error="invalid_token"' in challenge
    assert asked(token("--observe")) == (200, "")
    refused = post(guarded, f"{guarded.front}/whep/any", "watch", token("--observe"))
    assert refused.status_code == 403, refused.text


SEE_THE_CLUSTER = (
    f"async ([token]) => {{{HELPERS}"
    """
  await until("the question", () => find("observe-form").checkVisibility());
  const why = find("observe-why").textContent;
  const shown = find("nodes").checkVisibility();
  find("observe-token").value = token;
  find("observe-start").click();
  await until("the nodes", () => find("node-sfu-2")?.checkVisibility() && !find("observe-form").checkVisibility());
  return [why, shown];
}
"""
)


def test_the_page_says_what_is_missing_and_shows_the_cluster_with_a_token(guarded, browser, token):
    tab = browser("chromium")
    tab.open(f"{guarded.front}/")
    why, shown = tab.run(SEE_THE_CLUSTER, [token("--observe")], within=60)
    assert "allows to observe" in why
    assert not shown


PUBLISH_AND_WATCH = (
    f"async ([stream, token]) => {{{HELPERS}"
    """
  const fill = (id, value) => { find(id).value = value; };
  const open = (id) => find(id).closest("details").open;
  fill("publish-stream", stream);
  find("publish-start").click();
  await until("the refusal", () => sfumato.sessions[0]?.state === "failed" && open("publish-token"));
  const refusal = sfumato.sessions[0].error.status;
  sfumato.sessions[0].stop();
  fill("publish-token", token);
  find("publish-start").click();
  await until("the publication", () => sfumato.sessions[0]?.state === "live");
  fill("watch-stream", stream);
  fill("watch-token", token);
  find("watch-start").click();
  await until("the player", () => sfumato.sessions[1]?.state === "live");
  for (const session of [...sfumato.sessions]) session.stop();
  return refusal;
}
"""
)


def test_the_page_asks_for_a_token_and_publishes_and_watches_with_it(guarded, browser, stream, token):
    tab = browser("chromium")
    tab.open(f"{guarded.front}/")
    both = token("--publish", stream, "--play", stream)
    assert tab.run(PUBLISH_AND_WATCH, [stream, both], within=60) == 401


def test_a_token_with_takeover_takes_the_name_from_its_publisher_on_another_node(guarded, stream, token):
    first = post(guarded, f"{guarded.client_url('sfu-1')}/whip/{stream}", "publish", token("--publish", stream))
    assert first.status_code == 201, first.text
    other = f"{guarded.client_url('sfu-2')}/whip/{stream}"
    eventually(
        "the other node knows the name",
        lambda: post(guarded, other, "publish", token("--publish", stream)).status_code == 409,
        within=5,
    )
    taken = post(guarded, other, "publish", token("--publish", stream, "--takeover"))
    assert taken.status_code == 201, taken.text
    session = first.request.url.join(first.headers["location"])
    eventually("the first publisher is ended", lambda: guarded.http.get(session).status_code == 404, within=5)


def jwks(**keys: Ed25519PrivateKey) -> str:
    public = {kid: key.public_key().public_bytes_raw() for kid, key in keys.items()}
    return json.dumps(
        {"keys": [{"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "kid": kid, "x": encoded(x)} for kid, x in public.items()]}
    )


def signed(key: Ed25519PrivateKey, kid: str, **claims) -> str:
    """A token as an identity provider makes it (RFC 7519, RFC 8037)."""
    text = claims_in({"alg": "EdDSA", "kid": kid}, claims)
    return f"{text}.{encoded(key.sign(text.encode()))}"


def test_tokens_of_an_identity_provider_are_checked_by_its_published_keys_which_may_change(make_cluster, stream, tmp_path):
    old, new, unknown = (Ed25519PrivateKey.generate() for _ in range(3))
    file = tmp_path / "jwks.json"
    file.write_text(jwks(old=old))
    observer = partial(signed, old, "old", observe=True)
    cluster = make_cluster(nodes=1, options=("--auth-jwks-file", file), observer=observer).started()

    def publishes(name: str, bearer: str) -> int:
        return post(cluster, f"{cluster.client_url('sfu-1')}/whip/{stream[:40]}-{name}", "publish", bearer).status_code

    assert publishes("old", signed(old, "old", publish=["*"])) == 201
    assert publishes("viewer", signed(old, "old", play=["*"])) == 403
    assert publishes("forged", signed(unknown, "old", publish=["*"])) == 401
    file.write_text(jwks(new=new, old=old))
    eventually("the new key is in use", lambda: publishes("new", signed(new, "new", publish=["*"])) == 201, within=10)
    assert publishes("again", signed(old, "old", publish=["*"])) == 201, "the set lists both"
    file.write_text(jwks(new=new))
    eventually(
        "a key that is not listed any more is out", lambda: publishes("out", signed(old, "old", publish=["*"])) == 401, within=10
    )
    assert publishes("still", signed(new, "new", publish=["*"])) == 201
