"""What the nodes say themselves: their admin API, asked from the pod network, and their containers on their hosts."""

import base64
import json
import ssl
import urllib.request

from sfucluster import SfuCluster
from testcluster.machines import Machine

ADMIN_PORT = 4001
CLIENT_PORT = 3001
# An answer of a node that runs; one that does not is refused at once, or was cut off.
ANSWER_WITHIN = 5


def client_url(pod: dict, path: str) -> str:
    """At a node itself: it can be reached whatever happens to the front door."""
    return f"http://{pod['status']['podIP']}:{CLIENT_PORT}/{path}"


class Nodes:
    """Asks the nodes of one cluster."""

    def __init__(self, cluster: SfuCluster):
        self.cluster = cluster
        secret = {key: base64.b64decode(value).decode() for key, value in cluster.get("secret", f"{cluster.name}-admin")["data"].items()}
        self._token = secret["token"].splitlines()[0]
        self._trust = ssl.create_default_context(cadata=secret["ca.crt"])
        # Certificates are made out to one name for all nodes of a cluster, not to addresses.
        self._trust.check_hostname = False

    def report(self, pod: dict) -> dict:
        """What the node in this pod says of itself."""
        url = f"https://{pod['status']['podIP']}:{ADMIN_PORT}/admin/v1/node"
        request = urllib.request.Request(url, headers={"Authorization": f"Bearer {self._token}"})
        with urllib.request.urlopen(request, timeout=ANSWER_WITHIN, context=self._trust) as answer:
            return json.load(answer)

    def reports(self) -> dict[str, dict]:
        return {name: self.report(pod) for name, pod in self.cluster.nodes().items()}

    def links(self) -> dict[tuple[str, str, int], dict]:
        """Every end of every link, by the node that holds it, its peer and its lane."""
        return {(name, link["peer"], link["lane"]): link for name, report in self.reports().items() for link in report["links"]}

    def link_ids(self) -> dict[tuple[str, str, int], str]:
        return {end: link["id"] for end, link in self.links().items()}

    def states(self, one: str, other: str) -> set[str]:
        """How the two nodes see what links them: `fresh`, `stale`."""
        links = self.links()
        return {link["state"] for (node, peer, _), link in links.items() if {node, peer} == {one, other}}


def kill(layout, pod: dict, signal: str = "SIGKILL") -> None:
    """Signals the process of a pod's container on its host: no kubelet hears of it before."""
    container = pod["status"]["containerStatuses"][0]["containerID"].removeprefix("containerd://")
    Machine(layout, pod["spec"]["nodeName"]).script(f"ctr --namespace k8s.io tasks kill --signal {signal} {container}")
