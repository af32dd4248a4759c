"""Clients outside of the pod network: the Services before each pod, and the addresses that they are told."""

import re

import pytest

from api_client import Refused, path
from operator_process import manifests
from stand_in_kubelet import HOST_ADDRESS
from testcluster.waiting import eventually

ADDRESSES = "sfumato.dev/media-addresses"
SERVICES = {"live-media-0", "live-media-1", "live-media-2"}


@pytest.fixture(autouse=True)
def ports_are_given_back(story):
    """All stories share the ports of hosts: each has a range of its own, and leaves none taken for another try."""
    yield
    live = story.cluster()
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


# Load balancers: a story is the one that gives addresses.


@pytest.fixture
def hasty(story):
    """A cluster whose operator neither waits nor believes for long."""
    story.operator("--address-patience=2s", "--secrets-every=2s").ready()
    return story.cluster()


def balancers(live) -> dict[str, dict]:
    found = live.api.get(path("services", live.namespace))
    return {it["metadata"]["name"]: it for it in found if it["spec"]["type"] == "LoadBalancer"}


def give(live, service: str, *ingress: dict) -> None:
    live.api.merge(path("services", live.namespace, service, "status"), {"status": {"loadBalancer": {"ingress": list(ingress)}}})


def test_pods_are_told_what_load_balancers_give_and_a_change_is_followed(live):
    live.create(
        replicas=2,
        media={
            "exposure": "LoadBalancer",
            "loadBalancer": {
                "class": "example.net/fast",
                "annotations": {"example.net/name": "live-{ordinal}"},
                "ip": "203.0.113.2{ordinal}",
                "sourceRanges": ["198.51.100.0/24"],
            },
        },
    )
    eventually("both Services", lambda: set(balancers(live)) == {"live-media-0", "live-media-1"}, within=20)
    second = balancers(live)["live-media-1"]
    assert second["metadata"]["annotations"]["example.net/name"] == "live-1"
    spec = second["spec"]
    assert (spec["loadBalancerClass"], spec["loadBalancerIP"], spec["loadBalancerSourceRanges"]) == (
        "example.net/fast",
        "203.0.113.21",
        ["198.51.100.0/24"],
    )
    assert [(it["port"], it["protocol"]) for it in spec["ports"]] == [(20000, "UDP"), (20000, "TCP")]
    live.says("Reconciling", "True", "NoMediaAddress", "live-media-0", "kubectl describe service live-media-0")
    assert set(told(live).values()) == {""}

    give(live, "live-media-0", {"ip": "203.0.113.20"})
    give(live, "live-media-1", {"ip": "203.0.113.21"})
    eventually("they are told", lambda: told(live) == {"live-0": "203.0.113.20:20000", "live-1": "203.0.113.21:20000"}, within=10)
    live.whole(2)
    # A name is what it resolves to, as far as the pod has an address of the family.
    give(live, "live-media-0", {"hostname": "localhost"})
    eventually("its address is told", lambda: told(live)["live-0"] == "127.0.0.1:20000", within=10)
    live.in_order()


def test_a_load_balancer_that_gives_no_address_is_told(hasty):
    live = hasty
    live.create(replicas=2, media={"exposure": "LoadBalancer"})
    eventually("both Services", lambda: len(balancers(live)) == 2, within=20)
    give(live, "live-media-0", {"ip": "203.0.113.20"})
    live.degraded("NoMediaAddress", "Service live-media-1 has no address from a load balancer")
    give(live, "live-media-1", {"ip": "203.0.113.21"})
    live.in_order()
    # What clients were told they are told on, and that it may be wrong is told.
    give(live, "live-media-1")
    live.degraded("NoMediaAddress", "live-media-1")
    assert told(live)["live-1"] == "203.0.113.21:20000"


def test_pods_share_an_address_and_protocols_have_one_each(hasty):
    live, balancer = hasty, {"portBase": 443, "separateProtocols": True, "externalTrafficPolicy": "Cluster", "healthPort": 9000}
    live.create(replicas=2, workersPerNode=2, media={"exposure": "LoadBalancer", "loadBalancer": balancer})
    ports = lambda name: [(it["port"], it["protocol"], it["targetPort"]) for it in balancers(live)[name]["spec"]["ports"]]  # noqa: E731
    eventually("a Service for each protocol", lambda: len(balancers(live)) == 4, within=20)
    assert ports("live-media-1") == [(507, "UDP", 20000), (508, "UDP", 20001)]
    assert {it["spec"]["externalTrafficPolicy"] for it in balancers(live).values()} == {"Cluster"}
    assert ports("live-media-1-tcp") == [(507, "TCP", 20000), (508, "TCP", 20001), (9001, "TCP", 5001)]
    for number in range(2):
        give(live, f"live-media-{number}", {"ip": "203.0.113.50"})
    eventually("half of it is no address", lambda: "live-media-0-tcp" in live.condition("Degraded").get("message", ""), within=30)
    assert set(told(live).values()) == {""}
    for number in range(2):
        give(live, f"live-media-{number}-tcp", {"ip": "203.0.113.51"})
    eventually("both are told", lambda: told(live)["live-1"] == "udp/203.0.113.50:507,tcp/203.0.113.51:507", within=10)
    live.whole(2)

    live.patch(media={"loadBalancer": {"separateProtocols": False}})
    eventually("the second Services go", lambda: set(balancers(live)) == {"live-media-0", "live-media-1"}, within=20)


# Kubernetes nodes: the stand-in has `live-0` run on `host-0`.


@pytest.fixture
def host(story):
    metadata = {"name": "host-0", "annotations": {}}
    story.api.create(path("nodes"), {"metadata": metadata})
    addresses = [{"type": "InternalIP", "address": "10.0.0.7"}, {"type": "ExternalIP", "address": "203.0.113.7"}]
    story.api.merge(path("nodes", name="host-0", sub="status"), {"status": {"addresses": addresses}})
    yield path("nodes", name="host-0")
    story.api.delete(path("nodes", name="host-0"))


def test_addresses_of_kubernetes_nodes_are_read_with_the_right_to_do_so_and_its_lack_is_told(hasty, story, host):
    live = hasty
    story.over_quota.add("host-0")
    live.create(replicas=1, media={"exposure": "HostPort", "announce": {"from": "NodeExternalIP"}})
    relaxed(story)
    live.degraded("NoMediaAddress", "host-0 cannot be read", "rbac.kubernetesNodes")
    may_read_kubernetes_nodes(story)
    eventually("it is told", lambda: told(live).get("live-0") == "203.0.113.7:20000", within=30)
    live.patch(media={"announce": {"from": "NodeInternalIP"}})
    eventually("the other one is told", lambda: told(live)["live-0"] == "10.0.0.7:20000", within=10)
    live.in_order()
    story.api.merge(host, {"metadata": {"annotations": {ADDRESSES: "198.51.100.9"}}})
    eventually("the annotation is told", lambda: told(live)["live-0"] == "198.51.100.9:20000", within=15)


def test_kubernetes_nodes_are_read_for_nobody_else(live, story):
    live.up(media={"exposure": "NodePort", "nodePortBase": 32500})
    eventually("all are told", lambda: all(told(live).values()), within=10)
    assert not [request for request in story.asked() if request.resource == "nodes"]


def relaxed(story) -> None:
    """Host ports and the host network are privileges."""
    strict = {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "privileged"}}}
    story.api.merge(path("namespaces", name=story.namespace), strict)


def may_read_kubernetes_nodes(story) -> None:
    name = f"{story.namespace}:sfu-operator:kubernetes-nodes"
    role, binding = manifests(
        "ClusterRole", "ClusterRoleBinding", options=(f"--namespace={story.namespace}", f"--watch-namespaces={story.namespace}", "--kubernetes-nodes")
    )
    assert role["metadata"]["name"] == name
    story.api.create(path("clusterroles"), role)
    story.api.create(path("clusterrolebindings"), binding)


# The network of hosts.


def test_nodes_in_the_network_of_their_hosts_have_all_ports_there_and_are_said_to_be_unprotected(live, story):
    relaxed(story)
    live.up(replicas=2, media={"exposure": "HostNetwork", "port": 21000}, mesh={"portBase": 25000}, ports={"client": 3101, "health": 5101})
    pod = live.pods()["live-0"]
    assert (pod["spec"]["hostNetwork"], pod["spec"]["dnsPolicy"]) == (True, "ClusterFirstWithHostNet")
    [container] = pod["spec"]["containers"]
    ports = {it["name"]: it["hostPort"] for it in container["ports"]}
    assert ports == {"client": 3101, "client-secure": 3443, "admin": 4001, "health": 5101, "media-udp0": 21000, "media-tcp0": 21000, "links": 25000}
    assert {"--admin-listen=[$(SFUMATO_ADVERTISE_IP)]:4001", "--listen=[::]:3101"} <= set(container["args"])
    live.says("Unprotected", "True", "HostNetwork", "4001", "5101", "25000")
    # No selector finds them.
    rules = live.child("networkpolicies", "-redis")["spec"]["ingress"]
    assert [rule.get("from") for rule in rules] == [None]
    assert told(live) == {"live-0": "", "live-1": ""}, "their own addresses are those of their hosts"

    before = live.uids()
    live.patch(media={"exposure": "PodIP"})
    live.rolled(before)
    eventually("nothing is unprotected", lambda: not live.condition("Unprotected"), within=10)
    [rule] = live.child("networkpolicies", "-redis")["spec"]["ingress"]
    assert rule["from"]


WRONG = {
    "a host of a pod that is not reached there": ({"media": {"announce": {"from": "NodeExternalIP"}}}, "choose `HostPort` or `NodePort`"),
    "a load balancer that there is not": ({"media": {"loadBalancer": {"portBase": 443}}}, "choose it, or leave loadBalancer out"),
    "a host behind a load balancer": ({"media": {"exposure": "LoadBalancer", "announce": {"from": "HostIP"}}}, "choose `ServiceIngress` or `Static`"),
    "an ingress without a load balancer": (
        {"media": {"exposure": "NodePort", "announce": {"from": "ServiceIngress"}}},
        "choose exposure `LoadBalancer`",
    ),
    "one port for two listeners": ({"ports": {"client": 4001}}, "choose four different ones"),
    "a listener on a media port": ({"ports": {"client": 20063}}, "64 ports from media.port on"),
    "a front door at a port of media": (
        {"media": {"exposure": "NodePort"}, "web": {"service": {"type": "NodePort", "nodePort": 30291}}},
        "choose another",
    ),
    "health among the ports of media": (
        {"media": {"exposure": "LoadBalancer", "loadBalancer": {"healthPort": 20063}}},
        "healthPort is one of the media ports",
    ),
    "health among the ports of media at an address of several pods": (
        {"media": {"exposure": "LoadBalancer", "loadBalancer": {"healthPort": 415, "portBase": 443}}},
        "choose one outside of them",
    ),
    "no network": ({"media": {"exposure": "LoadBalancer", "loadBalancer": {"sourceRanges": ["everybody"]}}}, "203.0.113.0/24"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_does_not_go_together_is_refused_with_what_to_do(case, story):
    spec, words = WRONG[case]
    with pytest.raises(Refused, match=re.escape(words)):
        story.cluster().create(**spec)
