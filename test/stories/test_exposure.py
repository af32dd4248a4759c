"""Clients outside of the pod network: the Services before each pod, and the addresses that they are told."""

import pytest

from api_client import path
from stand_in_kubelet import HOST_ADDRESS
from testcluster.waiting import eventually

ADDRESSES = "sfumato.dev/media-addresses"
SERVICES = {"live-media-0", "live-media-1", "live-media-2"}


@pytest.fixture(autouse=True)
def ports_are_given_back(live):
    """All stories share the ports of hosts: each has a range of its own, and leaves none taken for another try."""
    yield
    if live.exists():
        live.delete()


def services(live) -> dict[str, list[int]]:
    """Ports at hosts of the Services before single pods."""
    found = live.api.get(path("services", live.namespace))
    media = [service for service in found if "-media-" in service["metadata"]["name"]]
    return {service["metadata"]["name"]: [port["nodePort"] for port in service["spec"]["ports"]] for service in media}


def told(live) -> dict[str, str]:
    return {name: pod["metadata"].get("annotations", {}).get(ADDRESSES, "") for name, pod in live.pods().items()}


def test_each_pod_has_a_service_and_is_told_its_addresses_and_what_is_drained_keeps_both(live, story):
    live.up(media={"exposure": "NodePort", "nodePortBase": 30500})
    assert services(live) == {"live-media-0": [30500, 30500], "live-media-1": [30564, 30564], "live-media-2": [30628, 30628]}
    expected = {f"live-{number}": f"{HOST_ADDRESS}:{30500 + 64 * number}" for number in range(3)}
    eventually("every pod is told", lambda: told(live) == expected, within=10)

    story.kubelet.change("live-2", publishers=1)
    live.scale(2)
    eventually("live-2 drains", lambda: "live-2" in live.draining(), within=10)
    assert set(services(live)) == SERVICES, "its publisher is still there"
    story.kubelet.change("live-2", publishers=0)
    live.whole(2)
    eventually("its Service goes with it", lambda: set(services(live)) == SERVICES - {"live-media-2"}, within=10)

    # A pod of the same name is told anew.
    live.lose_pod("live-1")
    live.whole(2)
    eventually("the new one is told", lambda: told(live) == {name: expected[name] for name in ("live-0", "live-1")}, within=10)


def test_another_exposure_is_rolled_out_and_what_still_runs_by_the_former_is_reached(live, story):
    live.up(media={"exposure": "NodePort", "nodePortBase": 30900})
    before = live.uids()
    story.kubelet.change("live-2", publishers=1)
    story.kubelet.patient = True
    live.patch(media={"exposure": "PodIP"})
    eventually("live-2 is emptied for the roll", lambda: "live-2" in live.draining(), within=30)
    assert "live-media-2" in services(live), "what is published there goes on"
    story.kubelet.change("live-2", publishers=0)
    live.rolled(before)
    eventually("no Service is left", lambda: not services(live), within=10)
    assert set(told(live).values()) == {""}


def test_a_pod_that_is_not_rolled_yet_keeps_its_ports(live, story):
    live.up(media={"exposure": "NodePort", "nodePortBase": 31300})
    before = live.uids()
    story.kubelet.change("live-2", publishers=1)
    story.kubelet.patient = True
    live.patch(media={"port": 21000, "tcp": False}, mesh={"portBase": 25000})
    eventually("live-2 is emptied for the roll", lambda: "live-2" in live.draining(), within=30)
    ports = lambda number: [(it["protocol"], it["targetPort"]) for it in live.child("services", f"-media-{number}")["spec"]["ports"]]  # noqa: E731
    assert ports(2) == [("UDP", 20000), ("TCP", 20000)], "what is published there goes on"
    story.kubelet.change("live-2", publishers=0)
    live.rolled(before)
    eventually("all have the new ones", lambda: [ports(number) for number in range(3)] == [[("UDP", 21000)]] * 3, within=10)


def test_in_a_pause_only_a_pod_that_was_told_nothing_yet_is_told(live):
    live.up(media={"exposure": "NodePort", "nodePortBase": 31500})
    eventually("all are told", lambda: all(told(live).values()), within=10)
    live.patch(paused=True, media={"announce": {"from": "Static", "addresses": ["203.0.113.77"]}})
    live.says("Reconciling", "True", "Paused")
    live.lose_pod("live-1")
    eventually("the new pod is told", lambda: told(live)["live-1"] == "203.0.113.77:31564", within=20)
    assert told(live)["live-0"] == f"{HOST_ADDRESS}:31500"
    live.patch(paused=False)
    eventually("all are told", lambda: told(live)["live-0"] == "203.0.113.77:31500", within=10)


def test_addresses_that_a_manifest_names_are_told_at_once_and_no_pod_is_replaced(live):
    static = {"from": "Static", "addresses": ["sfu-{ordinal}.example.net"]}
    live.up(media={"exposure": "NodePort", "nodePortBase": 31100, "announce": static})
    eventually("they are told", lambda: told(live)["live-1"] == "sfu-1.example.net:31164", within=10)
    before = live.uids()
    live.patch(media={"announce": {"from": "Static", "addresses": ["203.0.113.77", "2001:db8::7"]}})
    eventually("the new ones are told", lambda: told(live)["live-1"] == "203.0.113.77:31164,[2001:db8::7]:31164", within=10)
    live.settled()
    assert live.uids() == before


def test_a_port_that_is_taken_is_told_until_it_is_free(live, story):
    port = {"name": "x", "port": 80, "nodePort": 30714}
    story.create("services", "others", spec={"type": "NodePort", "ports": [port]})
    live.create(media={"exposure": "NodePort", "nodePortBase": 30650})
    live.degraded("ApplyRefused", "Service live-media-1", "30714")
    eventually("the others are told", lambda: told(live)["live-0"] and told(live)["live-2"], within=10)
    assert told(live)["live-1"] == "", "clients would reach somebody else there"
    story.api.delete(path("services", story.namespace, "others"))
    eventually("it is told", lambda: told(live)["live-1"] == f"{HOST_ADDRESS}:30714", within=45)
    live.whole(3)
    live.in_order()


def test_a_host_port_that_pod_security_forbids_is_told_with_its_words(live, story):
    strict = {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}}
    story.api.merge(path("namespaces", name=story.namespace), strict)
    live.create(media={"exposure": "HostPort"})
    live.degraded("PodsRefused", "PodSecurity", "hostPort")
