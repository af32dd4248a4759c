"""Each attack runs while somebody watches and others come: the viewer is not disturbed, they get in, and nothing breaks."""

from functools import partial

import pytest

from harness.attacks import claims, connections, datagrams, packets, raw, requests
from harness.attacks.scene import Scene, under
from harness.cluster import link_ids
from harness.growth import Steady, grows
from harness.named_client import named_client
from harness.probes import always_answer
from harness.secure_node import secure_node

# Where newcomers come from. Loopback has no share of anything, so that they could not be kept out of theirs.
NEWCOMER = "203.0.113.7"
# So low that an attack has all of them within moments.
MOST = {"clients": 200, "front door": 400, "admin": 1024, "health": 64}
LIMITS = {
    "SFUMATO_MAX_HALF_OPEN": "100",
    "SFUMATO_MAX_CONNECTIONS": str(MOST["clients"]),
    "SFUMATO_WEB_MAX_CONNECTIONS": str(MOST["front door"]),
    # Attackers and newcomers have addresses of their own, though all are on this machine.
    "SFUMATO_TRUSTED_PROXY": "127.0.0.0/8",
    "SFUMATO_WEB_TRUSTED_PROXY": "127.0.0.0/8",
}
STREAM = "plays"


def all_listeners(scene: Scene) -> dict[str, connections.Listener]:
    return {name: connections.Listener(port, MOST[name]) for name, port in scene.listeners().items()}


ATTACKS = {
    "descriptions that cost most": requests.offers_that_cost_most,
    "fragments and answers that cost most": requests.fragments_and_answers_that_cost_most,
    "half-open sessions": requests.half_open,
    "half-open sessions with forged addresses": requests.forged_addresses(NEWCOMER),
    "silent and half-sent connections": lambda scene: connections.silent(scene, all_listeners(scene)),
    "headers of 390 kB": raw.long_headers,
    "slow bodies": lambda scene: connections.slow_bodies(scene, all_listeners(scene)),
    "sets of payload types": requests.payload_types,
    "streams of events": requests.event_streams,
    "claims without end": claims.unending_generations,
    "shapes that are no HTTP": raw.shapes,
    "stray packets": datagrams.strays,
    "ClientHellos": datagrams.client_hellos,
    "broken media": packets.broken_media,
    "5000 requests": raw.posts,
    "ways out": raw.ways_out,
}


@pytest.fixture(scope="module")
def attacked(binaries, tmp_path_factory):
    """Two nodes whose limits are low."""
    from conftest import running_cluster

    directory = tmp_path_factory.mktemp("attacked")
    with running_cluster(binaries, directory, nodes=2, options=("--workers", "1"), env=LIMITS) as cluster:
        yield cluster.started()


@pytest.fixture(scope="module")
def newcomers(attacked):
    """The front door, as newcomers reach it."""
    with named_client(attacked.front, NEWCOMER) as base:
        yield base


@pytest.fixture(scope="module")
def viewer(attacked, module_peers):
    """Watches across the link what is published on the node that is attacked."""
    module_peers.generate(attacked.whip(STREAM, "sfu-1"))
    return module_peers.count(attacked.whep(STREAM, "sfu-2"))


def lives(cluster) -> tuple[dict[str, str], dict]:
    """Which lives the nodes have, and which links; all of them are up."""
    reports = cluster.wait_whole()
    return {name: report["incarnation"] for name, report in reports.items()}, link_ids(reports)


def alive(cluster) -> list[str]:
    return [f"{cluster.front}/livez", *(f"{cluster.health_url(node)}/livez" for node in cluster.names())]


def a_publisher_and_a_viewer_come(peers, base: str, stream: str, node: str) -> None:
    publisher = peers.generate(f"{base}/whip/{stream}?node={node}")
    # As a browser offers: it takes a profile router.
    viewer = peers.count(f"{base}/whep/{stream}?node={node}", "--browser-extensions")
    grows(viewer)
    assert not viewer.closed()
    assert not publisher.closed()


def no_panic(*logs) -> None:
    for log in logs:
        assert "panic" not in log.read_text(errors="replace").lower(), f"{log} tells of a panic"


@pytest.mark.parametrize(("number", "attack"), list(enumerate(ATTACKS.values(), 1)), ids=ATTACKS)
def test_a_viewer_plays_on_and_newcomers_publish_and_watch_while_an_attack_runs(attacked, newcomers, viewer, peers, number, attack):
    cluster, stream = attacked, f"new-{number}"
    before = lives(cluster)
    scene = Scene(cluster, "sfu-1", STREAM, stream, f"198.51.100.{number}")
    with Steady([viewer]), always_answer(alive(cluster)), under(attack, scene):
        a_publisher_and_a_viewer_come(peers, newcomers, stream, "sfu-1")
    assert lives(cluster) == before, "a node began anew, or a link was replaced"
    no_panic(cluster.child.log, *cluster.state.glob("logs/*"))


def test_a_viewer_plays_on_and_newcomers_come_in_while_the_listener_for_front_doors_is_full_of_silence(
    binaries, tmp_path, ports, peers, stream
):
    few = 60
    with (
        secure_node(binaries, tmp_path, ports, LIMITS | {"SFUMATO_MAX_CONNECTIONS": str(few)}) as alone,
        named_client(alone.front, NEWCOMER) as base,
    ):
        peers.generate(f"{alone.front}/whip/{STREAM}")
        viewer = peers.count(f"{alone.front}/whep/{STREAM}")
        # Both ports for clients share one bound.
        listener = connections.Listener(alone.secure_port, few, alone.trust())
        scene = Scene(alone, "sfu-1", STREAM, stream, "198.51.100.1")
        silence = partial(connections.silent, listeners={"for front doors": listener})
        urls = [f"{alone.front}/livez", f"{alone.health}/livez"]
        with Steady([viewer]), always_answer(urls), under(silence, scene):
            a_publisher_and_a_viewer_come(peers, base, "new", "sfu-1")
        assert alone.running()
        no_panic(alone.node.log, alone.door.log)
