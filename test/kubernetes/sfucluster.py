"""One SfuCluster, as a user of kubectl sees it."""

import json
from typing import Any

from testcluster.kubectl import Kubectl
from testcluster.waiting import eventually

# From an apply to a whole mesh, images being there.
WHOLE = 90
# Kinds of what a cluster may own.
CHILDREN = "statefulsets,deployments,services,serviceaccounts,secrets,poddisruptionbudgets,networkpolicies,pods"
# Every condition of a cluster of which nothing is wanting.
AS_DESIRED = {
    "Ready": "True",
    "NodesReady": "True",
    "MeshReady": "True",
    "RedisReady": "True",
    "FrontDoorReady": "True",
    "Degraded": "False",
    "Paused": "False",
    "UpgradeAvailable": "False",
}
# The shortest time that publishers get, so that the suite stays short.
DEADLINE = "10s"


def merged(base: dict, over: dict) -> dict:
    out = dict(base)
    for key, value in over.items():
        out[key] = merged(out[key], value) if isinstance(value, dict) and isinstance(out.get(key), dict) else value
    return out


class SfuCluster:
    def __init__(self, kubectl: Kubectl, namespace: str, name: str = "live"):
        self.kubectl = kubectl
        self.namespace = namespace
        self.name = name

    def manifest(self, **spec: Any) -> str:
        spec = merged({"replicas": 3, "workersPerNode": 1, "drain": {"deadline": DEADLINE}, "web": {"replicas": 1}}, spec)
        metadata = {"name": self.name, "namespace": self.namespace}
        return json.dumps({"apiVersion": "sfumato.dev/v1alpha1", "kind": "SfuCluster", "metadata": metadata, "spec": spec})

    def apply(self, **spec: Any) -> None:
        self.kubectl.apply(self.manifest(**spec))

    def patch(self, **spec: Any) -> None:
        self.run("patch", "sfu", self.name, "--type=merge", "--patch", json.dumps({"spec": spec}))

    def put_secret(self, name: str, data: dict[str, str]) -> None:
        metadata = {"name": name, "namespace": self.namespace}
        self.kubectl.apply(json.dumps({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": data}))

    def run(self, *arguments: str, **options) -> str:
        return self.kubectl.run(*arguments, "--namespace", self.namespace, **options)

    def get(self, *arguments: str) -> Any:
        return self.kubectl.get(*arguments, "--namespace", self.namespace)

    def children(self) -> list[str]:
        """What there is in the namespace of what a cluster may own, as `pod/live-0`; without what Kubernetes makes in each namespace."""
        names = [f"{child['kind'].lower()}/{child['metadata']['name']}" for child in self.get(CHILDREN)]
        return [name for name in names if name != "serviceaccount/default"]

    def status(self) -> dict:
        return self.get("sfu", self.name).get("status", {})

    def condition(self, kind: str) -> dict:
        return next((c for c in self.status().get("conditions", []) if c["type"] == kind), {})

    def nodes(self) -> dict[str, dict]:
        """The nodes' pods by name."""
        selector = f"app.kubernetes.io/instance={self.name},app.kubernetes.io/component=node"
        return {pod["metadata"]["name"]: pod for pod in self.get("pods", "--selector", selector)}

    def uids(self) -> dict[str, str]:
        return {name: pod["metadata"]["uid"] for name, pod in self.nodes().items()}

    def replaced(self, name: str, uid: str, within: float = 60) -> None:
        """Waits until a node has another pod than the one of this UID."""
        eventually(f"{name} has another pod", lambda: self.uids().get(name, uid) != uid, within=within)

    def node_without_redis(self) -> str:
        """The name of a node on a host where Redis does not run."""
        redis = {pod["spec"]["nodeName"] for pod in self.get("pods", "--selector", "app.kubernetes.io/component=redis")}
        return next(name for name, pod in self.nodes().items() if pod["spec"]["nodeName"] not in redis)

    def lives(self) -> dict[str, tuple[str, str]]:
        """Each node's pod and incarnation, by the node's name."""
        incarnations = {node["name"]: node["incarnation"] for node in self.status()["nodes"]}
        return {name: (uid, incarnations.get(name, "")) for name, uid in self.uids().items()}

    def events(self, reason: str) -> list[str]:
        """What the events of this reason say."""
        found = self.get("events", "--field-selector", f"involvedObject.name={self.name},reason={reason}")
        return [event.get("message") or event.get("note", "") for event in found]

    def reaches_redis(self) -> None:
        eventually("every node reaches Redis", lambda: self.condition("RedisReady")["status"] == "True", within=60)

    def degraded(self, reason: str, *words: str, within: float = 60) -> None:
        """Waits until a person is told of this, by condition and by event."""
        self.told("Degraded", "True", reason, *words, within=within)

    def told(self, kind: str, status: str, reason: str, *words: str, event: str = "", within: float = 60) -> None:
        """Waits until a condition says this for this reason in these words, and an event with that reason (or another one) as well."""

        def condition() -> bool:
            now = self.condition(kind)
            assert (now["status"], now["reason"]) == (status, reason), now
            assert all(word in now["message"] for word in words), now
            return True

        def written() -> list[str]:
            told = self.events(event or reason)
            assert any(all(word in text for word in words) for text in told), told
            return told

        eventually(f"{kind} is {status}: {reason}", condition, within=within)
        eventually(f"an event {event or reason}", written, within=20)

    def whole(self, nodes: int, within: float = WHOLE, ready: str = "True") -> dict:
        """Waits until so many nodes are ready and all their pairs linked, by a status of the newest generation; `ready` is what Ready then says."""

        def is_whole():
            cluster = self.get("sfu", self.name)
            status = cluster.get("status", {})
            says = next((c for c in status.get("conditions", []) if c["type"] == "Ready"), {})
            pairs = nodes * (nodes - 1) // 2
            fits = (
                says.get("status") == ready
                and says.get("observedGeneration") == cluster["metadata"]["generation"]
                and status.get("mesh", {}).get("summary") == f"{pairs}/{pairs}"
                and status.get("replicas") == nodes
            )
            assert fits, json.dumps({k: status.get(k) for k in ("nodesSummary", "mesh", "conditions", "nodes")})
            # What an operator that is gone has written may be of pods that are gone too.
            uids = self.uids()
            lives = {node["name"]: node["incarnation"] for node in status["nodes"]}
            assert all(lives.get(name, "").startswith(uid) for name, uid in uids.items()), f"pods are {uids}, nodes told are {lives}"
            return status

        return eventually(f"{self.name} has {nodes} nodes in a whole mesh", is_whole, within=within)
