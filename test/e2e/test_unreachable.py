"""Media addresses that a client cannot reach: what the product's own page and the admin API say of them."""

import re

import pytest

from harness.waiting import eventually

OPEN = """async options => {
    const session = await sfumato.publish({ ...options, node: "sfu-1", width: 320, height: 180 });
    window.e2e = { session, retries: 0, changes: [] };
    session.addEventListener("change", () => {
        if (session.state === "retrying") e2e.retries += 1;
    });
}"""

NOTE = """() => {
    const note = document.querySelector('[data-testid="session-unreachable"]');
    if (!note || note.hidden) return null;
    const texts = (what) => [...note.querySelectorAll(what)].map((each) => each.textContent);
    return { sentences: texts("p"), addresses: texts("li") };
}"""

# From now on: whether the note goes away, or its sentences change. The figures in its list may.
FOLLOW = """() => {
    const note = document.querySelector('[data-testid="session-unreachable"]');
    const observer = new MutationObserver((changes) => e2e.changes.push(...changes.map(({ type }) => type)));
    observer.observe(note, { attributes: true });
    for (const sentence of note.querySelectorAll("p")) {
        observer.observe(sentence, { childList: true, characterData: true, subtree: true });
    }
}"""

# The page gives a connection 12 s.
TOLD_WITHIN = 25


def only_session(cluster, stream: str) -> dict:
    """The session of a stream, as `/admin/v1/sessions` tells it."""
    answer = cluster.admin("GET", "sfu-1", "sessions", params={"stream": stream})
    assert answer.status_code == 200, answer.text
    found = answer.json()["sessions"]
    assert len(found) == 1
    return found[0]


@pytest.mark.parametrize("name", ["chromium", "firefox"])
def test_the_page_says_which_addresses_it_tried_in_vain_and_goes_on_saying_so(name, make_cluster, ports, browser, stream, tmp_path):
    # Nobody listens there.
    nowhere = f"127.0.0.1:{ports.redis}"
    cluster = make_cluster(nodes=1, options=("--workers", "1"), env={"SFUMATO_MEDIA_ANNOUNCED": nowhere}).started()
    one = browser(name)
    one.open(f"{cluster.front}/")
    eventually("the page has its script", lambda: one.run("() => !!window.sfumato?.publish"), within=5)
    one.run(OPEN, {"stream": stream})

    def untried() -> dict:
        session = only_session(cluster, stream)
        assert not session["connected"]
        return session["ice"]

    ice = eventually("the admin API lists the session", untried, within=10)
    both = [{"protocol": protocol, "address": "127.0.0.1", "port": ports.redis} for protocol in ("udp", "tcp")]
    assert ice == {"state": "new", "candidates": both}

    told = eventually("the page says why", lambda: one.run(NOTE), within=TOLD_WITHIN)
    what, why = told["sentences"]
    assert what == f"This browser cannot reach the media addresses of sfu-1: no answer by UDP or TCP from {nowhere}."
    assert ("camera" if name == "firefox" else "see whether it still runs here") in why
    (address,) = told["addresses"]
    assert re.match(rf"{re.escape(nowhere)} \(the node's own machine\) . UDP: .+ . TCP: .+", address), address
    if name == "chromium":
        assert re.search(r"UDP: no answer to \d+ checks?", address), address
        fits_a_narrow_screen(one, tmp_path)
    one.run(FOLLOW)
    before = one.run("() => e2e.retries")
    eventually("it has tried again", lambda: one.run("() => e2e.retries") > before, within=TOLD_WITHIN + 10)
    assert one.run("() => e2e.changes") == [], "the note flickers"
    assert one.run(NOTE)["sentences"] == told["sentences"]


def fits_a_narrow_screen(chromium, directory) -> None:
    """The note and its list, in both colour schemes."""
    size = {"width": 400, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    chromium.socket.call("Emulation.setDeviceMetricsOverride", size, 10)
    chromium.run("""() => void (document.querySelector('[data-testid="session-unreachable"] details').open = true)""")
    for scheme in ("light", "dark"):
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        chromium.socket.call("Emulation.setEmulatedMedia", {"features": features}, 10)
        chromium.screenshot(directory / f"{scheme}.png")
        assert chromium.run("() => document.documentElement.scrollWidth") <= size["width"], scheme
    chromium.socket.call("Emulation.setEmulatedMedia", {"features": []}, 10)
    chromium.socket.call("Emulation.clearDeviceMetricsOverride", {}, 10)


def test_the_admin_api_names_the_addresses_over_which_a_session_plays(make_cluster, peers, stream):
    cluster = make_cluster(nodes=1, options=("--workers", "1")).started()
    peers.generate(cluster.whip(stream, "sfu-1"))

    def in_use() -> dict:
        session = only_session(cluster, stream)
        assert session["connected"]
        return session["ice"]

    ice = eventually("the publisher is connected", in_use, within=10)
    assert ice["state"] in ("connected", "completed")
    pair = ice["selected"]
    assert {"protocol": pair["protocol"], "address": pair["localAddress"], "port": pair["localPort"]} in ice["candidates"]
    assert pair["remoteAddress"] == "127.0.0.1"
    assert pair["remotePort"] > 0
