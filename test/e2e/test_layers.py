"""Simulcast across nodes: every viewer gets the layer that fits it, or the one that it asks for, and hears of what there is."""

import httpx
import pytest

from harness.faults import narrowed
from harness.growth import grows
from harness.waiting import eventually

# Three layers are three encoders, and what a browser sends of them follows what the machine has left.
pytestmark = pytest.mark.alone

# Low rates: on a busy machine a browser that has measured little bandwidth sends its top layers late.
LAYERS = [
    {"rid": "q", "scaleResolutionDownBy": 4, "maxBitrate": 60_000},
    {"rid": "h", "scaleResolutionDownBy": 2, "maxBitrate": 120_000},
    {"rid": "f", "scaleResolutionDownBy": 1, "maxBitrate": 400_000},
]
# Chromium sends three layers of pictures from 960 x 540 on, and two of smaller ones.
PICTURE = {"width": 960, "height": 544, "frameRate": 10}
HEIGHTS = {"q": 136, "h": 272, "f": 544}
# OBS numbers its layers, and 0 is the highest.
OBS_LAYERS = [layer | {"rid": str(2 - index)} for index, layer in enumerate(LAYERS)][::-1]
CORE = "urn:ietf:params:whep:ext:core"


@pytest.fixture
def simulcast(cluster, page, stream):
    """A publisher on sfu-1 that sends all its layers; its tab may watch as well."""

    def publish(layers=LAYERS):
        tab = page("chromium")
        publisher = tab.publish(cluster.whip(stream, "sfu-1"), **PICTURE, layers=layers)
        return tab, publisher

    return publish


def all_layers_flow(publisher):
    def sent():
        layers = publisher.stats()["layersSent"]
        return len(layers) == 3 and all(layer["frames"] > 0 for layer in layers.values())

    eventually("the publisher sends three layers", sent, within=40)


def choose(viewer, **wish) -> httpx.Response:
    return httpx.post(f"{viewer.url}/layer", json=wish, trust_env=False)


def current(viewer) -> dict | None:
    return httpx.get(f"{viewer.url}/layer", trust_env=False).json()


def shows(viewer, height, within=15):
    eventually(f"{viewer} gets pictures of {height} rows", lambda: viewer.height() == height, within=within)
    grows(viewer)


def test_a_viewer_on_another_node_gets_each_layer_that_it_asks_for(cluster, page, simulcast, stream):
    """Firefox is the viewer; that Chromium gets what it asks for is shown by the product's own page."""
    tab, publisher = simulcast()
    viewer = page("firefox").watch(cluster.whep(stream, "sfu-3"))
    other = tab.watch(cluster.whep(stream, "sfu-3"))
    assert f'rel="{CORE}:layer"' in viewer.links
    all_layers_flow(publisher)
    for rid in ("q", "h", "f", "q"):
        answer = choose(viewer, mediaId="1", rid=rid)
        assert answer.status_code == 200, answer.text
        shows(viewer, HEIGHTS[rid])
    assert (current(viewer)["rid"], current(viewer)["height"]) == ("q", 136)
    shows(other, 544)
    assert choose(viewer, mediaId="1").status_code == 200
    shows(viewer, 544)


def test_a_viewer_that_wants_small_pictures_gets_no_others(cluster, simulcast, stream):
    tab, publisher = simulcast()
    small = tab.watch(f"{cluster.whep(stream, 'sfu-3')}&maxHeight=300")
    all_layers_flow(publisher)
    shows(small, 272)
    assert choose(small, maxWidth=300).status_code == 200
    shows(small, 136)
    sdp = {"Content-Type": "application/sdp"}
    refused = httpx.post(f"{cluster.whep(stream, 'sfu-3')}&maxHeight=tall", content="v=0", headers=sdp, trust_env=False)
    assert (refused.status_code, refused.json()["field"]) == (400, "maxHeight")


def test_the_first_of_obs_layers_is_the_highest(cluster, simulcast, stream):
    tab, publisher = simulcast(OBS_LAYERS)
    assert "a=simulcast:recv 0;1;2" in publisher.answer
    viewer = tab.watch(cluster.whep(stream, "sfu-2"))
    all_layers_flow(publisher)
    assert choose(viewer, spatialLayerId=0).status_code == 200
    shows(viewer, 136)
    assert current(viewer)["rid"] == "2"
    assert choose(viewer, rid="0").status_code == 200
    shows(viewer, 544)


def test_a_viewer_that_loses_packets_gets_a_lower_layer_and_later_the_higher_one_again(cluster, peers, simulcast, stream):
    """aiortc has no bandwidth estimation with this server: the node goes by the losses that it reports."""
    _, publisher = simulcast()
    viewer = peers.aiortc("watch", cluster.whep(stream, "sfu-3"))
    all_layers_flow(publisher)
    shows(viewer, 544)
    viewer.lose_packets(True)
    eventually("the lossy viewer is sent the lowest layer", lambda: current(viewer)["rid"] == "q", within=30)
    viewer.lose_packets(False)
    eventually("the viewer is sent the highest layer again", lambda: current(viewer)["rid"] == "f", within=60)
    shows(viewer, 544)


def test_a_browser_on_a_line_that_turns_narrow_gets_a_lower_layer_and_the_higher_one_when_it_is_wide_again(
    cluster, simulcast, stream
):
    """By mediasoup's own estimate: the browser reports the arrival of every packet, and no request names a layer."""
    tab, publisher = simulcast()
    viewer = tab.watch(cluster.whep(stream, "sfu-3"), ask=True)
    video = viewer.answer[viewer.answer.index("m=video") :]
    assert "transport-cc" in video
    assert "transport-wide-cc-extensions-01" in video
    all_layers_flow(publisher)
    shows(viewer, 544)
    # The top layer takes 400 kbit/s, the one under it 120.
    with narrowed(viewer.stats()["localPort"], kilobytes=30):
        eventually("the viewer is sent a lower layer", lambda: viewer.height() in (136, 272), within=30)
        grows(viewer)
    shows(viewer, 544, within=60)


def test_a_player_hears_what_happens_to_its_stream(cluster, simulcast, stream):
    """Through the front door, by EventSource."""
    tab, publisher = simulcast()
    viewer = tab.watch(cluster.whep(stream, "sfu-3"))
    assert f'rel="{CORE}:server-sent-events"; events="active,inactive,layers,viewercount,reconnect"' in viewer.links
    events = tab.browser.run("(id, path, events) => peer.listen(id, path, events)", viewer.id, *listening(viewer))

    def heard(kind):
        return [data for name, data in tab.browser.run("id => peer.heard(id)", viewer.id) if name == kind]

    eventually("the player hears that the stream is active", lambda: heard("active"), within=10)
    all_layers_flow(publisher)

    def three_layers():
        newest = (heard("layers") or [{}])[-1].get("1", [])
        sent = [(layer["rid"], layer.get("height")) for layer in newest if layer.get("bitrate")]
        return sent == [("f", 544), ("h", 272), ("q", 136)]

    eventually("the player hears of three layers with their sizes", three_layers, within=15)
    tab.watch(cluster.whep(stream, "sfu-3"))
    eventually("the player hears of another viewer", lambda: heard("viewercount")[-1] == {"viewercount": 2}, within=10)
    publisher.send(False)
    eventually("the player hears that the stream is inactive", lambda: heard("inactive"), within=15)
    publisher.send(True)
    eventually("the player hears that it is active again", lambda: len(heard("active")) == 2, within=15)
    assert httpx.delete(events, trust_env=False).status_code == 200
    assert httpx.get(events, trust_env=False).status_code == 404


def listening(viewer) -> tuple[str, list[str]]:
    return f"{viewer.url}/sse", ["active", "inactive", "layers", "viewercount", "reconnect"]


def test_bad_requests_for_layers_and_events_are_refused_with_their_field(cluster, peers, simulcast, stream):
    tab, _ = simulcast()
    viewer = tab.watch(cluster.whep(stream, "sfu-3"))
    for wish, field in (({"rid": "x"}, "rid"), ({"mediaId": "7"}, "mediaId"), ({"spatialLayerId": 3}, "spatialLayerId")):
        refused = choose(viewer, **wish)
        assert (refused.status_code, refused.json()["field"]) == (400, field)
    unknown = httpx.post(f"{viewer.url}/sse", json=["active", "scte35"], trust_env=False)
    assert (unknown.status_code, unknown.json()["field"]) == (400, "body")
    assert httpx.post(f"{viewer.url}/layer", content="{}", trust_env=False).status_code == 415
    assert httpx.get(f"{viewer.url}/sse/none", trust_env=False).status_code == 404
    for _ in range(4):
        assert httpx.post(f"{viewer.url}/sse", trust_env=False).status_code == 201
    assert httpx.post(f"{viewer.url}/sse", trust_env=False).status_code == 429


OPEN = """async options => {
    const publisher = await sfumato.publish({ ...options, node: "sfu-1", simulcast: true, width: 960, height: 544 });
    const viewer = await sfumato.watch({ ...options, node: "sfu-3" });
    window.e2e = { publisher, viewer };
}"""
PICK = """text => {
    const picker = document.querySelector('[data-testid^="watch-"] [data-testid="session-layer"]');
    picker.value = [...picker.options].find((option) => option.text.startsWith(text)).value;
    picker.dispatchEvent(new Event("change"));
}"""


def test_the_products_own_page_publishes_layers_and_lets_its_viewer_pick_one(cluster, browser, stream, tmp_path):
    one = browser("chromium")
    one.open(f"{cluster.front}/")
    eventually("the page has its script", lambda: one.run("() => !!window.sfumato?.publish"), within=5)
    one.run(OPEN, {"stream": stream})
    choices = "() => [...document.querySelectorAll('[data-testid=\"session-layer\"] option')].map((option) => option.text)"
    expected = ["Auto", "High (544p)", "Medium (272p)", "Low (136p)"]
    eventually("the page offers three layers with their heights", lambda: expected == one.run(choices)[-4:], within=60)
    height = "async () => (await e2e.viewer.stats()).frameHeight"
    for name, rows in (("Low", 136), ("Medium", 272), ("High", 544), ("Low", 136)):
        one.run(PICK, name)
        eventually(f"{name} has {rows} rows", lambda rows=rows: one.run(height) == rows, within=15)
    one.screenshot(tmp_path / "layers.png")
