"""Hosts and the paths between them fail under a stream: it plays on, and the mesh is whole again by itself."""

import time
import urllib.error

import pytest

from harness.growth import Steady, grows
from nodes import Nodes, client_url
from testcluster.waiting import eventually

pytestmark = [pytest.mark.testcluster, pytest.mark.timeout(420)]

# Counters are read once a second, on a computer whose cores are busy.
LONGEST_PAUSE = 5
# How soon pods leave a host that is called lost: test_lost_host.py waits for the defaults.
EVICTED = 3
SOON = [
    {"key": f"node.kubernetes.io/{key}", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": EVICTED}
    for key in ("not-ready", "unreachable")
]
# Called lost after 8 s, evicted, 25 s of grace, 5 s more until a pod is given up; and what the controllers take.
GIVEN_UP = 100
# More than those 5 s.
OVERDUE = 15
# After a path is there again: at most one step's backoff (30 s), and its three calls.
HEALED = 60
WATCHED = 20


@pytest.fixture
def trio(sfu):
    """Three nodes in a whole mesh, which leave lost hosts soon."""
    sfu.apply(tolerations=SOON)
    sfu.whole(3)
    return sfu


def pods_and_hosts(cluster) -> tuple[dict, dict]:
    pods = cluster.nodes()
    hosts = {name: pod["spec"]["nodeName"] for name, pod in pods.items()}
    assert len(set(hosts.values())) == 3, "one node on each host"
    return pods, hosts


def playing(peers, pods: dict, source: str, target: str):
    """A stream that is published on one node and watched on another."""
    peers.publish(client_url(pods[source], "whip/demo"))
    viewer = peers.count(client_url(pods[target], "whep/demo"))
    grows(viewer)
    return viewer


def plays_on(what: str, viewer, seconds: float) -> None:
    """Media comes without a pause for so long."""
    with Steady([viewer], longest=LONGEST_PAUSE):
        began = viewer.count()
        # What is shown is that nothing happens in this time.
        time.sleep(seconds)
        print(f"{what}: {viewer.count() - began} packets in {seconds:.0f} s, {viewer.lost()} lost")


def test_media_goes_on_while_a_kubelet_is_gone_and_a_node_that_is_heard_is_not_given_up(trio, peers, faults):
    pods, hosts = pods_and_hosts(trio)
    uid = pods["live-1"]["metadata"]["uid"]
    viewer = playing(peers, pods, "live-0", "live-1")

    def overdue():
        ended = trio.nodes()["live-1"]["metadata"].get("deletionTimestamp")
        return ended and time.time() > seconds(ended) + OVERDUE

    with faults.kubelet_gone(hosts["live-1"]):
        began = time.monotonic()
        with Steady([viewer], longest=LONGEST_PAUSE):
            eventually(f"its pod should have ended {OVERDUE} s ago", overdue, within=GIVEN_UP)
        print(f"kubelet gone: media went on for {time.monotonic() - began:.0f} s")
        assert trio.uids()["live-1"] == uid, "only the silence of the node would say that its host is lost"
        assert not trio.events("HostLost")
    began = time.monotonic()
    # Its kubelet ends the pod, and it is made anew.
    trio.replaced("live-1", uid, within=GIVEN_UP)
    trio.whole(3)
    print(f"kubelet back: whole after {time.monotonic() - began:.1f} s")


def seconds(timestamp: str) -> float:
    """A time of Kubernetes as seconds since 1970."""
    return time.mktime(time.strptime(timestamp, "%Y-%m-%dT%H:%M:%SZ")) - time.timezone


def test_a_partition_between_two_hosts_costs_their_links_alone_and_heals_by_itself(trio, peers, faults):
    pods, hosts = pods_and_hosts(trio)
    nodes, lives = Nodes(trio), trio.lives()
    others = {end: link for end, link in nodes.link_ids().items() if "live-2" in end}
    viewer = playing(peers, pods, "live-0", "live-2")
    with faults.partition(hosts["live-0"], hosts["live-1"]):
        began = time.monotonic()
        eventually("both ends are stale", lambda: nodes.states("live-0", "live-1") == {"stale"}, within=10)
        print(f"partition: stale after {time.monotonic() - began:.1f} s")
        eventually("it is told", lambda: trio.condition("MeshReady")["status"] == "False", within=30)
        # Longer than `mesh.linkGrace`, so that replacing is tried, and fails.
        plays_on("partition of two others", viewer, WATCHED)
    began = time.monotonic()
    trio.whole(3, within=HEALED)
    print(f"partition over: whole after {time.monotonic() - began:.1f} s")
    now = nodes.link_ids()
    assert {end: link for end, link in now.items() if end in others} == others, "the other links are not touched"
    assert trio.lives() == lives, "and no pod is replaced"


def test_media_crosses_a_path_that_loses_every_tenth_packet(trio, peers, faults):
    pods, hosts = pods_and_hosts(trio)
    nodes, lives = Nodes(trio), trio.lives()
    viewer = playing(peers, pods, "live-0", "live-1")
    before = nodes.link_ids()
    with faults.packet_loss(hosts["live-0"], hosts["live-1"], percent=10) as loss:
        plays_on("10 % of packets lost", viewer, WATCHED)
        assert loss.dropped() > WATCHED, "packets were lost"
        trio.whole(3, within=HEALED)
    assert nodes.link_ids() == before, "no link is replaced for it"
    assert trio.lives() == lives


def test_a_path_that_loses_large_packets_alone_is_no_whole_mesh_and_everybody_is_told(trio, peers, faults):
    pods, hosts = pods_and_hosts(trio)
    nodes, lives = Nodes(trio), trio.lives()
    narrow, other = playing(peers, pods, "live-0", "live-1"), peers.count(client_url(pods["live-2"], "whep/demo"))
    before = nodes.link_ids()
    with faults.large_packets_lost(hosts["live-0"], hosts["live-1"], over=1000) as loss:
        began = time.monotonic()
        words = "between live-0 and live-1, links carry no packets of 1250 bytes", "set the MTU"
        trio.degraded("LargePacketsLost", *words, within=30)
        print(f"large packets lost: told after {time.monotonic() - began:.1f} s")
        mesh = trio.condition("MeshReady")
        assert (mesh["status"], mesh["reason"]) == ("False", "LargePacketsLost"), mesh
        assert "3 of 3 node pairs are linked" in mesh["message"]
        assert trio.condition("Ready")["status"] == "False"
        assert nodes.states("live-0", "live-1") == {"fresh"}, "its heartbeats come through"
        plays_on("large packets of two others lost", other, WATCHED)
        assert loss.dropped() > 0
    began = time.monotonic()
    trio.whole(3, within=HEALED)
    print(f"large packets pass: whole after {time.monotonic() - began:.1f} s")
    assert trio.condition("Degraded")["status"] == "False"
    grows(narrow)
    assert nodes.link_ids() == before, "no link is replaced for it"
    assert trio.lives() == lives


def test_nothing_that_plays_stops_while_the_api_server_is_away(sfu, operator, peers, faults):
    # By default nodes stay on a host that is called lost for so long as its kubelet may need until it says again that it is well.
    sfu.apply()
    sfu.whole(3)
    pods, _ = pods_and_hosts(sfu)
    lives = sfu.lives()
    viewer = playing(peers, pods, "live-0", "live-1")
    with faults.api_server_gone():
        plays_on("API server away", viewer, 30)
        late = peers.count(client_url(pods["live-2"], "whep/demo"))
        grows(late)
    began = time.monotonic()
    eventually("an operator leads", operator.leader, within=60)
    sfu.whole(3)
    print(f"API server back: whole after {time.monotonic() - began:.1f} s")
    assert sfu.lives() == lives
    assert not viewer.closed()


def test_nobody_links_with_a_node_whose_host_was_given_up_when_it_comes_back(trio, faults):
    pods, hosts = pods_and_hosts(trio)
    nodes, name = Nodes(trio), trio.node_without_redis()
    old = pods[name]
    began = time.monotonic()
    with faults.host_cut_off(hosts[name]):
        trio.replaced(name, old["metadata"]["uid"], within=GIVEN_UP)
        trio.whole(3)
        print(f"host cut off: whole without it after {time.monotonic() - began:.1f} s")
        assert trio.events("HostLost")
        # Without its kubelet nobody ends the zombie.
        with faults.kubelet_gone(hosts[name]):
            faults.plug_in(hosts[name])
            zombie = eventually("the zombie answers", lambda: nodes.report(old)["incarnation"], within=30)
            lives = {report["name"]: report["incarnation"] for report in nodes.reports().values()}
            assert zombie != lives[name]
            stays_alone(nodes, old, lives)
            trio.whole(3)
    eventually("its kubelet ends the zombie", lambda: not answers(nodes, old), within=60)
    trio.whole(3)
    assert {report["name"]: report["incarnation"] for report in nodes.reports().values()} == lives


def stays_alone(nodes: Nodes, zombie: dict, lives: dict[str, str]) -> None:
    """For a while no node has a link with another life than the present one, and none of the zombie's is fresh."""
    until = time.monotonic() + WATCHED
    while time.monotonic() < until:
        wrong = [end for end, link in nodes.links().items() if link["peerIncarnation"] != lives[link["peer"]]]
        assert not wrong, "links with a life that is over"
        assert "fresh" not in {link["state"] for link in nodes.report(zombie)["links"]}
        time.sleep(0.5)


def answers(nodes: Nodes, pod: dict) -> bool:
    try:
        return bool(nodes.report(pod))
    except (urllib.error.URLError, OSError):
        return False
