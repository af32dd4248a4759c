"""The front door from outside: its Service, and HTTPS with a certificate of the user's."""

import pytest

from api_client import path
from testcluster.waiting import eventually

CLASS = "example.com/internal"


def inside(node_port: int) -> dict:
    """Behind a load balancer. Ports are of the lowest ones, which the API server gives to nobody who does not name them: each is for one story."""
    return {"type": "LoadBalancer", "port": 80, "nodePort": node_port, "loadBalancerClass": CLASS, "loadBalancerSourceRanges": ["203.0.113.0/24"]}


@pytest.fixture(autouse=True)
def ports_are_given_back(live):
    """All stories share the ports of hosts."""
    yield
    if live.exists():
        live.delete()


def service(live) -> dict:
    return live.child("services", "-web")["spec"]


def test_the_service_is_as_the_manifest_says_and_no_pod_is_replaced_for_it(live):
    live.up(replicas=1, web={"service": inside(30011) | {"externalTrafficPolicy": "Cluster", "annotations": {"example.com/pool": "a"}}})
    now = service(live)
    assert (now["type"], now["loadBalancerClass"], now["loadBalancerSourceRanges"]) == ("LoadBalancer", CLASS, ["203.0.113.0/24"])
    [port] = now["ports"]
    assert (port["name"], port["port"], port["nodePort"], now["externalTrafficPolicy"]) == ("http", 80, 30011, "Cluster")
    template = live.child("deployments", "-web")["spec"]["template"]

    gone = {"loadBalancerClass": None, "loadBalancerSourceRanges": None}
    live.patch(web={"service": gone | {"type": "NodePort", "nodePort": 30012, "externalTrafficPolicy": "Local"}})
    eventually("the type is another", lambda: service(live)["type"] == "NodePort", within=15)
    now = service(live)
    assert not {"loadBalancerClass", "loadBalancerSourceRanges"} & now.keys(), now
    assert (now["ports"][0]["nodePort"], now["externalTrafficPolicy"]) == (30012, "Local")

    live.patch(web={"service": {"nodePort": None, "externalTrafficPolicy": None}})
    eventually("the policy is that of Kubernetes", lambda: service(live)["externalTrafficPolicy"] == "Cluster", within=15)
    assert service(live)["ports"][0]["nodePort"] == 30012, "the API server keeps a port that nobody names"
    live.patch(web={"service": {"type": "ClusterIP"}})
    eventually("it is closed", lambda: "nodePort" not in service(live)["ports"][0], within=15)
    live.settled()
    live.in_order()
    assert live.child("deployments", "-web")["spec"]["template"] == template


def test_another_class_of_load_balancers_is_told_until_the_service_is_deleted(live):
    live.up(replicas=1, web={"service": inside(30013)})
    live.patch(web={"service": {"port": 81, "loadBalancerClass": "example.com/external"}})
    live.degraded("ApplyRefused", "Service live-web", "spec.loadBalancerClass")
    assert (service(live)["ports"][0]["port"], service(live)["loadBalancerClass"]) == (80, CLASS), "what was there stays whole"
    live.api.delete(path("services", live.namespace, "live-web"))
    eventually("it is of the other class", lambda: service(live)["loadBalancerClass"] == "example.com/external", within=45)
    live.in_order()


def test_a_front_door_gets_the_certificate_that_the_manifest_names_and_no_media_node_is_replaced(live, story):
    live.up(replicas=1)
    before = live.uids()
    # As far as an operator looks.
    story.put_secret("door", **{"tls.crt": "-----BEGIN CERTIFICATE-----", "tls.key": "-----BEGIN PRIVATE KEY-----"})
    live.patch(web={"tls": {"secretName": "door"}})
    eventually("the port is for HTTPS", lambda: service(live)["ports"][0]["name"] == "https", within=15)

    def is_given() -> bool:
        pod = live.child("deployments", "-web")["spec"]["template"]["spec"]
        [container] = pod["containers"]
        environment = {entry["name"]: entry.get("value") for entry in container["env"]}
        volume = next((volume["secret"] for volume in pod["volumes"] if volume["name"] == "tls"), None)
        assert volume, pod["volumes"]
        assert (volume["secretName"], [item["key"] for item in volume["items"]]) == ("door", ["tls.crt", "tls.key"])
        [mounted] = [mount["mountPath"] for mount in container["volumeMounts"] if mount["name"] == "tls"]
        files = environment["SFUMATO_WEB_TLS_CERT"], environment["SFUMATO_WEB_TLS_KEY"]
        return files == (f"{mounted}/tls.crt", f"{mounted}/tls.key")

    eventually("its files are given to the pods", is_given, within=15)
    live.settled()
    live.in_order()
    assert live.uids() == before

    live.patch(web={"tls": None})
    eventually("the port is for HTTP", lambda: service(live)["ports"][0]["name"] == "http", within=15)
