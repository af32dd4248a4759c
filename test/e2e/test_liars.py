"""A media node that says what cannot be right, while others play: it is named, and costs nobody a picture."""

import json
import re

import pytest

from harness.cluster import Cluster
from harness.crowd import Crowd
from harness.growth import Steady, grows
from harness.liar import many, say, write_program
from harness.processes import most_memory
from harness.waiting import eventually

LIAR = "sfu-3"
HONEST = ("sfu-1", "sfu-2")
# Well above what a report may have, and what a node has.
MANY = 100_000

CARRIED = {"publication": "p", "stream": "s", "origin": "sfu-1", "viewers": 1, "lane": 0, "packetsLost": 0, "packetsReceived": 0}
PUBLICATION = {"id": "p", "stream": "s", "generation": 2**64 - 1, "worker": 0, "tracks": [], "viewers": 0, "subscribers": []}

# What the liar reports of itself to operator and front door, and what it is told to be.
REPORTS = {
    "workers": ({"workers": 65_535}, "workers: 65535 is over 64"),
    "relayed streams": ({"carried": many(CARRIED, MANY)}, "longer than 1048576 bytes"),
    "viewers": ({"viewers": 2**32 - 1}, "viewers: 4294967295 is over 1000000"),
    "generation": ({"publications": [PUBLICATION]}, r"publications\[0\].generation: 18446744073709551615 is over"),
}
# What it tells its peers of its publications, and what they log.
PUBLICATIONS = {
    "generation": ({"publications": [PUBLICATION]}, r"generation: 18446744073709551615 is over"),
    "streams": ({"publications": many(PUBLICATION | {"generation": 1}, MANY)}, "longer than 4194304 bytes"),
    "revision": ({"revision": 2**64 - 1}, r"revision: 18446744073709551615 is over"),
}


class Site:
    """A cluster of three, of which one lies when it is told to."""

    def __init__(self, binaries, make_cluster, directory):
        self.lies = directory / "lies.json"
        self.status = directory / "status.json"
        program = write_program(directory / "bin", binaries / "sfu-node", [LIAR], self.lies)
        options = ("--workers", "1", "--node-bin", program, "--status-json", self.status)
        self.cluster: Cluster = make_cluster(nodes=3, options=options).started()

    def degraded(self) -> dict:
        conditions = json.loads(self.status.read_text())["status"]["conditions"]
        return next(condition for condition in conditions if condition["type"] == "Degraded")

    def reachable(self) -> dict[str, bool]:
        return {node["name"]: node["reachable"] for node in self.cluster.json()["nodes"]}

    def log(self, name: str) -> str:
        return (self.cluster.state / "logs" / f"{name}.log").read_text()

    def honest_links(self) -> set[str]:
        ends = [(me, end) for me in HONEST for end in self.cluster.report(me)["links"] if end["peer"] in HONEST]
        assert all(end["state"] == "fresh" for _, end in ends), f"{ends}"
        return {end["id"] for _, end in ends}


@pytest.fixture
def site(binaries, make_cluster, tmp_path):
    return Site(binaries, make_cluster, tmp_path / "liar")


def test_a_node_that_reports_what_cannot_be_is_named_and_viewers_of_the_others_play_on_and_come_in(site, peers, stream):
    cluster = site.cluster
    peers.generate(cluster.whip(stream, "sfu-1"))
    home, far = (peers.count(cluster.whep(stream, node)) for node in HONEST)
    links = site.honest_links()
    without_it = dict.fromkeys(HONEST, True) | {LIAR: False}
    with Steady([home, far]):
        for name, (lie, told) in REPORTS.items():
            say(site.lies, {"node": lie})
            named = lambda told=told: re.search(f"{LIAR} .*{told}", refusal(site.degraded()))  # noqa: E731
            eventually(f"the lie about {name} is told with who said it", named, within=15)
            eventually("the front door gives it nobody", lambda: site.reachable() == without_it, within=15)
            # Those who come now, by the front door's choice and on each honest node.
            for node in (None, *HONEST):
                viewer = peers.count(cluster.whep(stream, node))
                grows(viewer)
                viewer.stop()
            say(site.lies, {})
            eventually("it is believed again", lambda: site.degraded()["status"] == "False", within=15)
        assert site.honest_links() == links, "a link that had nothing to do with it was replaced"
        cluster.wait_whole()


def refusal(condition: dict) -> str:
    return condition["message"] if condition["reason"] == "AnswerRefused" else ""


def test_peers_refuse_what_a_node_cannot_publish_name_it_and_play_on(site, peers, stream):
    cluster = site.cluster
    peers.generate(cluster.whip(stream, "sfu-1"))
    home, far = (peers.count(cluster.whep(stream, node)) for node in HONEST)
    with Steady([home, far]):
        for name, (lie, told) in PUBLICATIONS.items():
            say(site.lies, {"publications": lie})
            theirs = f"{stream}-{name}"
            publisher = peers.generate(cluster.whip(theirs, LIAR))
            for node in HONEST:
                line = re.compile(f"peer's answer is refused.*{LIAR}.*{told}")
                eventually(f"{node} tells who lies about its {name}", lambda n=node, w=line: w.search(site.log(n)), within=15)
            for node in (None, *HONEST):
                viewer = peers.count(cluster.whep(stream, node))
                grows(viewer)
                viewer.stop()
            say(site.lies, {})
            for node in HONEST:
                peers.count(cluster.whep(theirs, node)).stop()
            publisher.stop()
        grows(far)


# A node may name so many peers.
CROWD = 60
# What the front door may take when each of them says as much as it may. It was 1.4 GB.
FRONT_DOOR_MEMORY = 350 * 1024 * 1024


def test_a_node_that_names_a_crowd_of_others_neither_fills_the_front_door_nor_gets_its_clients(site, peers, stream):
    cluster = site.cluster
    peers.generate(cluster.whip(stream, "sfu-1"))
    home, far = (peers.count(cluster.whep(stream, node)) for node in HONEST)
    with Crowd(CROWD) as crowd, Steady([home, far]):
        say(site.lies, {"node": {"peers": crowd.peers}})
        eventually("each of the crowd was heard more than once", lambda: min(crowd.asked) > 2, within=60)
        # The crowd has no load. Who is sent to one of them waits for a few seconds, and those who come next do not.
        for node in (None, None, None, *HONEST):
            viewer = peers.count(cluster.whep(stream, node))
            grows(viewer)
            viewer.stop()
        assert 1 <= crowd.clients <= 2, f"{crowd.clients} viewers were sent to nodes that hang"
        most = most_memory(cluster.child_named("sfu-web"))
        assert most <= FRONT_DOOR_MEMORY, f"{most / 1e6} MB"
        say(site.lies, {})
    nodes = lambda: {node["name"] for node in cluster.json()["nodes"]}  # noqa: E731
    eventually("the crowd is forgotten", lambda: nodes() == {*HONEST, LIAR}, within=30)
