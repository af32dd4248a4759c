"""The cluster is a real one: what Sfumato's operator builds on works here, on this cluster or on any other."""

import contextlib
import json
import socket
import subprocess
import urllib.request

import pytest

from testcluster.kubectl import KubectlError
from testcluster.waiting import eventually
from workloads import PROBE, everyone, hosts_of, pods, probe_from, statefulset

ROLLED_OUT = 90


@pytest.fixture
def trio(kubectl, namespace):
    """Three pods of a StatefulSet, on three nodes where there are three, behind a headless Service and a Service."""
    kubectl.apply(statefulset(namespace, replicas=3))
    kubectl.run("rollout", "status", "--namespace", namespace, "statefulset/probe", f"--timeout={ROLLED_OUT}s", timeout=ROLLED_OUT + 5)
    return pods(kubectl, namespace)


@pytest.mark.testcluster
def test_nodes_are_ready_and_have_addresses_of_both_families(layout, kubectl):
    nodes = kubectl.get("nodes")
    assert len(nodes) >= 3
    for node in nodes:
        conditions = {it["type"]: it["status"] for it in node["status"]["conditions"]}
        assert conditions["Ready"] == "True"
        addresses = [it["address"] for it in node["status"]["addresses"] if it["type"] == "InternalIP"]
        assert ["." in address for address in addresses] == [True, False]


@pytest.mark.testcluster
def test_pods_are_spread_over_hosts_and_have_addresses_of_both_families(layout, trio):
    assert len(hosts_of(trio)) == 3
    for pod in trio:
        assert ["." in it["ip"] for it in pod["status"]["podIPs"]] == [True, False]


def test_udp_passes_from_pod_to_pod_across_hosts_with_the_senders_own_address(kubectl, namespace, trio):
    for target in trio[1:]:
        for family in target["status"]["podIPs"]:
            address = f"[{family['ip']}]:7007" if ":" in family["ip"] else f"{family['ip']}:7007"
            # A host may hold the layer-2 address of an earlier pod for an IPv6 address for some seconds: the bridge plugin announces IPv4 alone.
            expected = f"20 of 20 answered by {target['metadata']['name']}\n"
            eventually(
                f"{address} answers",
                lambda address=address, expected=expected: probe_from(kubectl, namespace, "probe-0", "udp", address) == expected,
                within=30,
            )
    for source in trio[0]["status"]["podIPs"]:
        peer = next(it["ip"] for it in trio[1]["status"]["podIPs"] if (":" in it["ip"]) == (":" in source["ip"]))
        answer = probe_from(kubectl, namespace, "probe-0", "http", f"http://[{peer}]:8080" if ":" in peer else f"http://{peer}:8080")
        name, seen_as = answer.split()
        assert name == "probe-1"
        assert seen_as.rsplit(":", 1)[0].strip("[]") == source["ip"]


def test_a_service_reaches_every_pod_also_from_a_pod_on_the_same_host(kubectl, namespace, trio):
    service = kubectl.get("service", "probe", "--namespace", namespace)
    for cluster_ip in service["spec"]["clusterIPs"]:
        url = f"http://[{cluster_ip}]" if ":" in cluster_ip else f"http://{cluster_ip}"
        for asker in ("probe-0", "probe-1", "probe-2"):
            # kube-proxy chooses at random: 40 connections miss one of three pods once in 3 million runs.
            eventually(
                f"{asker} has answers from all three pods through {url}",
                lambda asker=asker, url=url: everyone(3) == set(probe_from(kubectl, namespace, asker, "http", url, "40").split()[::2]),
                within=60,
            )


def test_a_headless_service_resolves_to_each_pod_and_to_a_name_for_each(kubectl, namespace, trio):
    def resolved(name):
        return set(probe_from(kubectl, namespace, "probe-0", "resolve", name).split())

    everything = {it["ip"] for pod in trio for it in pod["status"]["podIPs"]}
    eventually("the headless Service has all pods", lambda: resolved("probe-pods") == everything, within=30)
    one = {it["ip"] for it in trio[2]["status"]["podIPs"]}
    eventually("a pod has its name", lambda: resolved(f"probe-2.probe-pods.{namespace}.svc.cluster.local") == one, within=30)


def test_a_name_that_is_not_there_does_not_resolve(kubectl, namespace, trio):
    with pytest.raises(KubectlError, match="no such host"):
        probe_from(kubectl, namespace, "probe-0", "resolve", "nobody.probe-pods")


def test_logs_and_exec_work(kubectl, namespace, trio):
    assert kubectl.run("logs", "--namespace", namespace, "probe-1") == "serving\n"
    with pytest.raises(KubectlError, match="usage: probe serve"):
        probe_from(kubectl, namespace, "probe-1", "dance")


def test_port_forward_carries_http(kubectl, namespace, trio):
    with contextlib.closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = kubectl.command("port-forward", "--namespace", namespace, "service/probe", f"{port}:80")
    forward = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        answer = eventually(
            "the forwarded port answers",
            lambda: urllib.request.urlopen(f"http://127.0.0.1:{port}", timeout=5).read().decode(),
            within=20,
        )
        assert answer.split()[0] in everyone(3)
    finally:
        forward.kill()
        forward.wait()


def test_a_statefulset_scales_up_and_down_again(kubectl, namespace, trio):
    kubectl.run("scale", "--namespace", namespace, "statefulset/probe", "--replicas=5")
    eventually("five pods are ready", lambda: ready_names(kubectl, namespace) == everyone(5), within=60)
    kubectl.run("scale", "--namespace", namespace, "statefulset/probe", "--replicas=2")
    eventually("two pods are left", lambda: {pod["metadata"]["name"] for pod in pods(kubectl, namespace)} == everyone(2), within=60)


def test_a_killed_container_is_started_again_in_the_same_pod(kubectl, namespace, trio):
    before = kubectl.get("pod", "probe-1", "--namespace", namespace)
    with contextlib.suppress(KubectlError):
        kubectl.run("exec", "--namespace", namespace, "probe-1", "--", "probe", "kill")

    def restarted():
        now = kubectl.get("pod", "probe-1", "--namespace", namespace)
        status = now["status"]["containerStatuses"][0]
        return now["metadata"]["uid"] == before["metadata"]["uid"] and status["restartCount"] == 1 and status["ready"]

    eventually("the container runs again", restarted, within=60)


def test_pod_security_refuses_a_pod_that_runs_as_root(kubectl, namespace):
    manifest = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "root", "namespace": namespace},
        "spec": {"containers": [{"name": "root", "image": PROBE, "securityContext": {"runAsUser": 0}}]},
    }
    with pytest.raises(KubectlError, match='violates PodSecurity "restricted'):
        kubectl.apply(json.dumps(manifest))


@pytest.mark.testcluster
def test_the_audit_log_counts_requests_and_shows_what_was_refused(layout, kubectl, namespace, audit):
    kubectl.run("create", "serviceaccount", "nobody", "--namespace", namespace)
    nobody = f"system:serviceaccount:{namespace}:nobody"
    with pytest.raises(KubectlError, match="forbidden"):
        kubectl.run("get", "secrets", "--namespace", namespace, "--as", nobody)
    with pytest.raises(KubectlError, match="forbidden"):
        kubectl.run("get", "pods", "--watch", "--namespace", namespace, "--as", nobody)
    kubectl.run("get", "configmaps", "--namespace", namespace)
    kubectl.run("get", "configmaps", "--namespace", namespace)

    def seen():
        refused = [(it.verb, it.resource, it.code) for it in audit.refused("admin") if it.namespace == namespace]
        asked = [it for it in audit.requests("admin") if it.resource == "configmaps" and it.namespace == namespace]
        return ("list", "secrets", 403) in refused and len(asked) == 2

    eventually("the audit log has both refusals and both requests", seen, within=10)


@pytest.mark.testcluster
def test_a_client_in_the_pod_network_reaches_a_pod_by_its_address(layout, trio):
    for family in trio[0]["status"]["podIPs"]:
        host = f"[{family['ip']}]" if ":" in family["ip"] else family["ip"]
        assert urllib.request.urlopen(f"http://{host}:8080", timeout=5).read().decode().split()[0] == "probe-0"


@pytest.mark.testcluster
def test_a_browser_in_the_pod_network_reaches_a_pod_by_its_address(trio, chromium, tmp_path):
    page = f"http://{trio[0]['status']['podIP']}:8080"
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}", "--dump-dom"]
    shown = subprocess.run([chromium, *options, page], capture_output=True, text=True, timeout=60, check=True).stdout
    assert "probe-0 172.31.250.2:" in shown


def ready_names(kubectl, namespace):
    return {
        pod["metadata"]["name"]
        for pod in pods(kubectl, namespace)
        if all(it["ready"] for it in pod["status"].get("containerStatuses", [{"ready": False}]))
    }
