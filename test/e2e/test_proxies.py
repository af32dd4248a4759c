"""Ingress and HTTPRoute of charts/sfumato-cluster, carried out by nginx: WHIP and WHEP by TLS, also behind a prefix."""

import ipaddress
import json
import os
import ssl
import subprocess
from pathlib import Path

import httpx
import pytest
import yaml
from cryptography import x509

from harness.certificates import CA, CERTIFICATE, KEY, certify
from harness.growth import grows
from harness.ingress import NO_RULE, Nginx, configuration, of_ingress, of_route
from harness.waiting import eventually

CHART = Path(__file__).parents[2] / "charts" / "sfumato-cluster"
HOST = "localhost"
TLS_SECRET = "live-tls"


def rendered(kind: str, **values) -> dict:
    """The one object of this kind that the chart makes with these values, for a cluster `live`."""
    settings = ",".join(f"{name}={json.dumps(value)}" for name, value in values.items())
    command = [os.environ["SFUMATO_HELM"], "template", "live", str(CHART), "--namespace=media", "--set-json", settings]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    [found] = [item for item in yaml.safe_load_all(done.stdout) if item and item["kind"] == kind]
    return found


def ingress(prefix: str, page: bool):
    assert not prefix, "an Ingress cannot say that a prefix is taken away"
    return of_ingress(rendered("Ingress", ingress={"enabled": True, "host": HOST, "tlsSecretName": TLS_SECRET, "page": page}))


def route(prefix: str, page: bool):
    parents = [{"name": "public", "namespace": "gateways"}]
    wanted = {"enabled": True, "parentRefs": parents, "hostnames": [HOST], "pathPrefix": prefix, "page": page}
    return of_route(rendered("HTTPRoute", httpRoute=wanted), TLS_SECRET)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory) -> Path:
    """A folder with a certificate of this host, its key, and the CA that signed it."""
    folder = tmp_path_factory.mktemp("certificate")
    certify(folder, x509.DNSName(HOST), x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
    return folder


class Outside:
    """A client beyond the proxy, which trusts the CA of its certificate and nothing else."""

    def __init__(self, url: str, authority: Path):
        self.url = url
        self.authority = authority
        self.http = httpx.Client(trust_env=False, timeout=10, verify=ssl.create_default_context(cafile=authority))

    def get(self, path: str) -> httpx.Response:
        return self.http.get(f"{self.url}{path}")


@pytest.fixture
def outside(nginx, cluster, certificates, ports, tmp_path):
    """`outside(site)`: a client beyond an nginx that carries out this site for the cluster's front door."""
    started = []

    def start(site) -> Outside:
        folder = tmp_path / f"nginx-{len(started)}"
        secrets = {TLS_SECRET: (certificates / CERTIFICATE, certificates / KEY)}
        text = configuration(site, ports.web, {("live-web", 2020): cluster.front}, secrets, folder)
        client = Outside(f"https://{HOST}:{ports.web}", certificates / CA)
        started.append((Nginx(text, folder), client))
        started[-1][0].started(client.http, f"{client.url}/-")
        return client

    yield start
    for proxy, client in started:
        client.http.close()
        proxy.stop()


@pytest.mark.parametrize(
    ("made_by", "prefix"), [(ingress, ""), (route, ""), (route, "/studio/a")], ids=["ingress", "route", "route-with-a-prefix"]
)
def test_whip_and_whep_work_by_tls_and_session_urls_lead_back_through_the_proxy(outside, cluster, peers, stream, made_by, prefix):
    client = outside(made_by(prefix, page=False))
    base = f"{client.url}{prefix}"
    publisher = peers.aiortc("publish", f"{base}/whip/{stream}?node=sfu-1", authority=client.authority)
    viewer = peers.aiortc("watch", f"{base}/whep/{stream}?node=sfu-2", authority=client.authority)
    grows(viewer)
    for peer, node, path in ((publisher, "sfu-1", "whip"), (viewer, "sfu-2", "whep")):
        assert peer.url.startswith(f"{base}/nodes/{node}/{path}/{stream}/"), peer.url
        assert client.http.get(peer.url).is_success, "the session's URL is that of a session that lives"
    viewer.stop()
    publisher.stop()
    # They have sent a DELETE to it, through the proxy.
    eventually("both sessions are over", lambda: cluster.stream(stream) is None, within=5)
    for peer in (publisher, viewer):
        assert client.http.get(peer.url).status_code in (404, 410)


@pytest.mark.parametrize(("made_by", "prefix"), [(ingress, ""), (route, "/studio")])
def test_a_proxy_leads_to_whip_and_whep_and_the_rest_of_the_front_door_is_closed(outside, made_by, prefix):
    client = outside(made_by(prefix, page=False))
    assert client.http.options(f"{client.url}{prefix}/whip/a").is_success
    for path in ("/", "/api/v1/cluster", "/whips/a", "/readyz"):
        assert client.get(f"{prefix}{path}").text == NO_RULE, path
    # The player of a stream has its place there already.
    assert client.get(f"{prefix}/watch/a").text != NO_RULE


def test_whoever_wants_the_page_gets_it_too(outside):
    client = outside(ingress("", page=True))
    assert "<html" in client.get("/").text
    assert client.get("/api/v1/cluster").json()["mesh"]["establishedPairs"] == 3


# Publishes and watches on the product's own page, and answers what it has seen.
USE = """async stream => {
    const states = (session) => new Promise((resolve) => {
        const look = () => {
            if (["live", "failed"].includes(session.state)) resolve([session.state, session.error?.message ?? "", session.node]);
        };
        session.addEventListener("change", look);
        look();
    });
    const publisher = await sfumato.publish({ stream, node: "sfu-1", width: 320, height: 180 });
    const published = await states(publisher);
    const viewer = await sfumato.watch({ stream, node: "sfu-2" });
    const watched = await states(viewer);
    const shown = ["whip-url", "whep-url"].map((id) => document.getElementById(id).textContent);
    return { published, watched, shown, feed: document.getElementById("feed-state").textContent };
}"""


def test_the_page_publishes_and_plays_below_a_path_of_a_proxy(nginx, cluster, browser, ports, stream, tmp_path):
    parents = [{"name": "public", "namespace": "gateways"}]
    wanted = {"enabled": True, "parentRefs": parents, "hostnames": [HOST], "pathPrefix": "/studio/a", "page": True}
    site = of_route(rendered("HTTPRoute", httpRoute=wanted), None)
    folder, base = tmp_path / "nginx", f"http://127.0.0.1:{ports.web}"
    proxy = Nginx(configuration(site, ports.web, {("live-web", 2020): cluster.front}, {}, folder), folder)
    try:
        proxy.started(cluster.http, f"{base}/-")
        tab = browser("chromium")
        tab.open(f"{base}/studio/a/")
        eventually("the page has its script", lambda: tab.run("() => !!window.sfumato?.publish"), within=5)
        seen = tab.run(USE, stream)
        assert seen["published"] == ["live", "", "sfu-1"]
        assert seen["watched"] == ["live", "", "sfu-2"]
        assert seen["shown"] == [f"{base}/studio/a/whip/demo", f"{base}/studio/a/whep/demo"]
        assert seen["feed"] == "live"
    finally:
        proxy.stop()
