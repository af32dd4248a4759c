"""Wrong requests are refused with the right status and a problem that names what is wrong; nothing dies of them."""

import random
import uuid

import httpx
import pytest

from harness.offers import offer

SDP = {"Content-Type": "application/sdp"}
LIMIT = 64 * 1024


class Door:
    """Where a client knocks: at the front door, or at a node directly."""

    def __init__(self, cluster, direct: bool):
        self.direct = direct
        self._cluster = cluster
        self._base = cluster.client_url("sfu-1") if direct else cluster.front
        self._query = "" if direct else "?node=sfu-1"

    def endpoint(self, protocol: str, stream: str) -> str:
        return f"{self._base}/{protocol}/{stream}{self._query}"

    def session(self, protocol: str, stream: str, session: str) -> str:
        return f"{self._base}{'' if self.direct else '/nodes/sfu-1'}/{protocol}/{stream}/{session}"

    def post(self, protocol: str, stream: str, body=None, **options) -> httpx.Response:
        options.setdefault("headers", SDP)
        content = offer(direction="sendonly" if protocol == "whip" else "recvonly") if body is None else body
        return self._cluster.http.post(self.endpoint(protocol, stream), content=content, **options)


@pytest.fixture(params=["front door", "node"])
def door(request, cluster):
    return Door(cluster, request.param == "node")


def refused(answer: httpx.Response, status: int, field: str | None = None) -> dict:
    """The problem (RFC 9457) in an answer that must be a refusal."""
    assert answer.status_code == status, f"{answer.status_code}: {answer.text}"
    assert answer.headers["content-type"].split(";")[0] == "application/problem+json", answer.headers["content-type"]
    problem = answer.json()
    assert problem["status"] == status
    assert problem["title"]
    assert problem["detail"]
    if field:
        assert problem.get("field", "").lower() == field, problem
    return problem


def test_watching_an_unknown_stream_is_409_with_a_time_to_come_back(door, stream):
    answer = door.post("whep", stream)
    problem = refused(answer, 409)
    assert 1 <= int(answer.headers["retry-after"]) <= 60
    assert stream in problem["detail"], problem


@pytest.mark.parametrize("protocol", ["whip", "whep"])
@pytest.mark.parametrize(
    "name", ["a%20b", "%C3%A4", "a%2Fb", "x" * 129, "semi;colon", "%00", "a%0D%0Ab", "%FF"], ids=lambda name: name[:12]
)
def test_a_stream_name_that_is_not_allowed_is_400(door, protocol, name):
    problem = refused(door.post(protocol, name), 400, "stream")
    assert "128" in problem["detail"], f"it does not say what is allowed: {problem}"


def test_a_stream_name_of_128_characters_is_no_error(door):
    """What is wrong with these requests is their body, and that nobody publishes, not the name."""
    name = ("Az09._-" * 19)[:128]
    assert refused(door.post("whip", name, body="no sdp"), 400).get("field") != "stream"
    refused(door.post("whep", name), 409)


@pytest.mark.parametrize("other", ["sfu-1", "sfu-2"])
def test_a_taken_name_is_409_on_its_own_node_and_on_others(cluster, peers, stream, other):
    peers.generate(cluster.whip(stream, "sfu-1"))
    for url in (cluster.whip(stream, other), f"{cluster.client_url(other)}/whip/{stream}"):
        problem = refused(cluster.http.post(url, content=offer(direction="sendonly"), headers=SDP), 409, "stream")
        assert "sfu-1" in problem["detail"], f"it does not say who has it: {problem}"


def test_publishing_without_a_codec_in_common_is_422_and_names_what_is_supported(door, stream):
    problem = refused(door.post("whip", stream, offer(direction="sendonly", video="H265", audio=None)), 422)
    for codec in ("VP8", "H264"):
        assert codec in problem["detail"], problem


def test_watching_without_a_codec_in_common_is_422_and_names_what_is_supported(door, cluster, peers, stream):
    peers.generate(cluster.whip(stream, "sfu-1"))
    for video, audio in (("H264", None), ("H265", None), (None, "G722")):
        body = offer(direction="recvonly", video=video, audio=audio)
        problem = refused(door.post("whep", stream, body), 422)
        assert "VP8" in problem["detail"] or "opus" in problem["detail"].lower(), problem


def test_firefox_is_told_that_it_cannot_play_h264(cluster, page, peers, stream):
    """The plugin that Firefox decodes H264 with is a download, which tests do not make."""
    peers.ffmpeg(cluster.whip(stream, "sfu-1"))
    page("chromium").watch(cluster.whep(stream, "sfu-2"), retryMs=15000)
    with pytest.raises(AssertionError, match=r"422.*H264"):
        page("firefox").watch(cluster.whep(stream, "sfu-2"))


@pytest.mark.parametrize("protocol", ["whip", "whep"])
@pytest.mark.parametrize("chunked", [False, True], ids=["with its length", "chunked"])
def test_a_body_over_64_kib_is_413(door, protocol, chunked, stream):
    body = offer(direction="sendonly").encode()
    body += b"a=x:" + b"y" * (LIMIT + 1 - len(body) - 6) + b"\r\n"
    assert len(body) == LIMIT + 1
    parts = (body[i : i + 8192] for i in range(0, len(body), 8192))
    problem = refused(door.post(protocol, stream, parts if chunked else body), 413, "body")
    assert "65536" in problem["detail"].replace(",", "").replace(" ", "") or "64 KiB" in problem["detail"], problem


@pytest.mark.parametrize("protocol", ["whip", "whep"])
@pytest.mark.parametrize("headers", [{"Content-Type": "text/plain"}, {"Content-Type": "application/json"}, {}], ids=str)
def test_a_body_of_another_type_is_415(door, protocol, headers, stream):
    problem = refused(door.post(protocol, stream, headers=headers), 415, "content-type")
    assert "application/sdp" in problem["detail"], problem


@pytest.mark.parametrize(
    "headers", [{"Content-Type": "application/sdp; charset=utf-8"}, {"Content-Type": "Application/SDP"}], ids=str
)
def test_a_type_with_parameters_or_capitals_is_no_error(door, headers, stream):
    refused(door.post("whep", stream, headers=headers), 409)


@pytest.mark.parametrize("protocol", ["whip", "whep"])
def test_an_unknown_session_is_404(door, cluster, protocol, stream):
    for session in (str(uuid.uuid4()), "nonsense"):
        refused(cluster.http.delete(door.session(protocol, stream, session)), 404)
        body = "a=ice-ufrag:e2e0\r\na=ice-pwd:0123456789abcdef01234567\r\n"
        headers = {"Content-Type": "application/trickle-ice-sdpfrag", "If-Match": "*"}
        refused(cluster.http.patch(door.session(protocol, stream, session), content=body, headers=headers), 404)


def test_an_unknown_node_is_404_and_the_known_ones_are_named(cluster, stream):
    for answer in (
        cluster.http.post(cluster.whip(stream, "sfu-9"), content=offer(direction="sendonly"), headers=SDP),
        cluster.http.delete(f"{cluster.front}/nodes/sfu-9/whip/{stream}/{uuid.uuid4()}"),
    ):
        assert "sfu-1, sfu-2, sfu-3" in refused(answer, 404, "node")["detail"]


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("nothing", ""),
        ("no session description", "hello"),
        ("JSON", '{"type":"offer"}'),
        ("binary", bytes(range(256))),
        ("only a version", "v=0\r\n"),
        ("no media", "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n"),
        ("no fingerprint", offer(direction="sendonly").replace("a=fingerprint", "a=x-fingerprint")),
        ("no ICE password", offer(direction="sendonly").replace("a=ice-pwd", "a=x-ice-pwd")),
        ("a payload type above 127", offer(direction="sendonly").replace("96", "960")),
        ("a fingerprint that is none", offer(direction="sendonly").replace("AB:AB", "ZZ")),
    ],
    ids=lambda value: value if isinstance(value, str) and len(value) < 40 and "\n" not in value else "",
)
def test_an_offer_that_cannot_be_used_is_4xx_with_a_reason(door, name, body, stream):
    del name
    answer = door.post("whip", stream, body)
    assert answer.status_code in (400, 422), f"{answer.status_code}: {answer.text}"
    refused(answer, answer.status_code)


def test_a_viewers_offer_is_no_publishers_offer(door, stream):
    """RFC 9725: `recvonly` and `inactive` are forbidden to a publisher."""
    for direction in ("recvonly", "inactive"):
        answer = door.post("whip", stream, offer(direction=direction))
        assert answer.status_code in (400, 422), f"{direction}: {answer.status_code} {answer.text}"


def test_no_mutilated_offer_ends_a_node(cluster, peers, stream):
    """Cut short, lines dropped, doubled or swapped, bytes changed: a success or a 4xx, and the same lives as before."""
    before = {name: report["incarnation"] for name, report in cluster.reports().items()}
    rng = random.Random(2020)
    door = Door(cluster, direct=True)
    peers.generate(cluster.whip(f"{stream}-live", "sfu-1"))
    for round_ in range(200):
        protocol, name, direction = (("whip", stream, "sendonly"), ("whep", f"{stream}-live", "recvonly"))[round_ % 2]
        whole = offer(direction=direction)
        lines = whole.split("\r\n")
        match round_ % 5:
            case 0:
                body = whole[: rng.randrange(len(whole))]
            case 1:
                del lines[rng.randrange(len(lines))]
                body = "\r\n".join(lines)
            case 2:
                lines.insert(rng.randrange(len(lines)), rng.choice(lines))
                body = "\r\n".join(lines)
            case 3:
                i, j = rng.randrange(len(lines)), rng.randrange(len(lines))
                lines[i], lines[j] = lines[j], lines[i]
                body = "\r\n".join(lines)
            case _:
                raw = bytearray(whole.encode())
                for _ in range(4):
                    raw[rng.randrange(len(raw))] = rng.randrange(256)
                body = bytes(raw)
        answer = door.post(protocol, name, body)
        assert answer.status_code == 201 or 400 <= answer.status_code < 500, f"{answer.status_code} {answer.text} for {body!r}"
        if answer.status_code == 201:
            cluster.http.delete(httpx.URL(str(answer.request.url)).join(answer.headers["location"]))
    assert {name: report["incarnation"] for name, report in cluster.reports().items()} == before


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic eDp5"}], ids=str)
def test_the_admin_api_without_its_token_is_401(cluster, headers):
    for method, path in (("GET", "/admin/v1/node"), ("PUT", "/admin/v1/links/sfu-2"), ("POST", "/admin/v1/links/close")):
        answer = cluster.http.request(method, cluster.admin_url("sfu-1") + path, headers=headers, json={})
        refused(answer, 401)
        assert "bearer" in answer.headers["www-authenticate"].lower()


def test_the_admin_token_is_taken_from_either_header(cluster):
    url = f"{cluster.admin_url('sfu-1')}/admin/v1/node"
    for headers in ({"Authorization": f"Bearer {cluster.token()}"}, {"Sfumato-Admin-Token": cluster.token()}):
        assert cluster.http.get(url, headers=headers).status_code == 200


def test_the_admin_api_is_not_on_the_listener_for_clients(cluster):
    answer = cluster.http.get(
        f"{cluster.client_url('sfu-1')}/admin/v1/node", headers={"Authorization": f"Bearer {cluster.token()}"}
    )
    assert answer.status_code == 404


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"{}", b'{"incarnation": 7}', b"\xff\xfe", b"[" * 5000], ids=lambda b: str(b[:12])
)
def test_malformed_admin_json_is_4xx_with_a_reason(cluster, body):
    headers = {"Authorization": f"Bearer {cluster.token()}", "Content-Type": "application/json"}
    for method, path in (
        ("PUT", "/admin/v1/links/sfu-2"),
        ("POST", "/admin/v1/links/close"),
        ("PUT", "/admin/v1/subscriptions/nobody"),
        ("POST", "/admin/v1/subscriptions/renew"),
    ):
        answer = cluster.http.request(method, cluster.admin_url("sfu-1") + path, headers=headers, content=body)
        assert 400 <= answer.status_code < 500, f"{method} {path}: {answer.status_code} {answer.text}"
        refused(answer, answer.status_code)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "/admin/v1/links/NOT_A_NODE"),
        ("PUT", "/admin/v1/links/%FF"),
        ("PUT", "/admin/v1/subscriptions/a%20b"),
        ("GET", "/admin/v1/node?after=x"),
        ("GET", "/admin/v1/node?after=1&wait=10parsecs"),
        ("GET", "/admin/v1/publications?after=-1"),
        ("DELETE", "/admin/v1/node"),
        ("GET", "/admin/v1/nothing"),
    ],
)
def test_a_wrong_admin_request_is_4xx_with_a_reason(cluster, method, path):
    headers = {"Authorization": f"Bearer {cluster.token()}"}
    answer = cluster.http.request(method, cluster.admin_url("sfu-1") + path, headers=headers, json={})
    assert 400 <= answer.status_code < 500, f"{answer.status_code} {answer.text}"
    refused(answer, answer.status_code)


def test_every_node_is_alive_ready_and_measured(cluster):
    for node in cluster.names():
        for path in ("/livez", "/readyz"):
            assert cluster.http.get(cluster.health_url(node) + path).status_code == 200
        assert "sfu_node_" in cluster.http.get(f"{cluster.health_url(node)}/metrics").text
