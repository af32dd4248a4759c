"""The page of a cluster through `kubectl port-forward`, from where no pod can be reached."""

import contextlib
import re
import subprocess
import time

import pytest

from media import whip
from testcluster.layout import OUTSIDE
from testcluster.machines import Machine
from testcluster.waiting import eventually

pytestmark = pytest.mark.testcluster

# The page gives a connection 12 s before it tells that there is none.
TOLD_WITHIN = 40

TILE = """async name => {
    const note = document.querySelector(`[data-testid="${name}"] [data-testid="session-unreachable"]`);
    return note && !note.hidden ? { text: note.textContent, addresses: [...note.querySelectorAll("li")].map((item) => item.textContent) } : null;
}"""


@contextlib.contextmanager
def forwarded(cluster, port: int):
    """`kubectl port-forward` to the front door's Service; answers the page's URL."""
    command = cluster.kubectl.command("port-forward", "--namespace", cluster.namespace, f"service/{cluster.name}-web", f":{port}")
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as forward:
        try:
            line = forward.stdout.readline()
            local = re.search(r"127\.0\.0\.1:(\d+) ->", line)
            assert local, f"kubectl port-forward said {line!r}"
            yield f"http://127.0.0.1:{local[1]}"
        finally:
            forward.kill()


@pytest.mark.usefixtures("chromium")
def test_through_a_port_forward_the_page_shows_the_cluster_and_says_why_no_media_comes(trio, peers, layout, tmp_path):
    peers.publish(whip(trio, "demo", "live-0"))
    with Machine(layout, OUTSIDE).network(), forwarded(trio, 2020) as front:
        chromium = peers.browser("127.0.0.1")
        chromium.open(f"{front}/")
        shows(chromium)
        began = time.monotonic()
        chromium.run("async () => void (await sfumato.watch({ stream: 'demo', node: 'live-1' }))")
        chromium.run("async () => void (await sfumato.publish({ stream: 'mine', node: 'live-2', width: 320, height: 180 }))")
        for tile, node in (("watch-demo", "live-1"), ("publish-mine", "live-2")):
            told = eventually(f"the page says why of {tile}", lambda tile=tile: chromium.run(TILE, tile), within=TOLD_WITHIN)
            assert f"cannot reach the media addresses of {node}" in told["text"]
            assert "port-forward" in told["text"]
            assert "UDP" in told["text"]
            ips = [address["ip"] for address in trio.nodes()[node]["status"]["podIPs"]]
            assert all(any(ip in address for address in told["addresses"]) for ip in ips), told
        print(f"told after {time.monotonic() - began:.1f} s")
        chromium.screenshot(tmp_path / "page.png")


def shows(chromium) -> None:
    """Nodes, mesh and streams of this cluster."""
    eventually("the mesh is shown", lambda: "3/3" in chromium.run("() => document.getElementById('mesh-value').textContent"), within=15)
    nodes = chromium.run("() => document.getElementById('nodes').textContent")
    assert all(name in nodes for name in ("live-0", "live-1", "live-2")), nodes
    eventually("the stream is listed", lambda: "demo" in chromium.run("() => document.getElementById('streams').textContent"), within=10)
