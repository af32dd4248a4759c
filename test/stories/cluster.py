"""One SfuCluster of a story."""

import json
from typing import Any

from api_client import ApiClient, path
from sfucluster import merged
from testcluster.waiting import eventually

# What waits for nothing but programs on this computer.
SOON = 30
DEFAULTS = {"replicas": 3, "workersPerNode": 1, "drain": {"deadline": "60s"}, "web": {"replicas": 1}}


class Cluster:
    def __init__(self, api: ApiClient, namespace: str, name: str):
        self.api = api
        self.namespace = namespace
        self.name = name

    def manifest(self, **spec: Any) -> dict:
        metadata = {"name": self.name, "namespace": self.namespace}
        return {"apiVersion": "sfumato.dev/v1alpha1", "kind": "SfuCluster", "metadata": metadata, "spec": merged(DEFAULTS, spec)}

    def create(self, **spec: Any) -> "Cluster":
        self.api.create(path("sfuclusters", self.namespace), self.manifest(**spec))
        return self

    def up(self, **spec: Any) -> "Cluster":
        """Creates it and waits until it is as desired."""
        self.create(**spec)
        self.whole(merged(DEFAULTS, spec)["replicas"])
        return self

    def patch(self, **spec: Any) -> None:
        self.api.merge(self._path(), {"spec": spec})

    def scale(self, replicas: int) -> None:
        """As `kubectl scale` and autoscalers do it."""
        self.api.merge(path("sfuclusters", self.namespace, self.name, "scale"), {"spec": {"replicas": replicas}})

    def delete(self, **options: Any) -> None:
        self.api.delete(self._path(), **options)

    def object(self) -> dict:
        return self.api.get(self._path())

    def exists(self) -> bool:
        return bool(self.api.get(path("sfuclusters", self.namespace), fieldSelector=f"metadata.name={self.name}"))

    def status(self) -> dict:
        return self.object().get("status", {})

    def condition(self, kind: str) -> dict:
        return next((c for c in self.status().get("conditions", []) if c["type"] == kind), {})

    def child(self, resource: str, suffix: str = "") -> dict:
        return self.api.get(path(resource, self.namespace, self.name + suffix))

    def has(self, resource: str, suffix: str = "") -> bool:
        where = path(resource, self.namespace)
        return bool(self.api.get(where, fieldSelector=f"metadata.name={self.name}{suffix}"))

    def pods(self) -> dict[str, dict]:
        """The media nodes' pods by name."""
        selector = f"app.kubernetes.io/instance={self.name},app.kubernetes.io/component=node"
        return {pod["metadata"]["name"]: pod for pod in self.api.get(path("pods", self.namespace), labelSelector=selector)}

    def uids(self) -> dict[str, str]:
        return {name: pod["metadata"]["uid"] for name, pod in self.pods().items()}

    def delete_pod(self, name: str, **options: Any) -> None:
        self.api.delete(path("pods", self.namespace, name), **options)

    def lose_pod(self, name: str, within: float = SOON) -> None:
        """Deletes one, and waits until it is another: until then, a status that is all well is that of the old one."""
        before = self.uids()[name]
        self.delete_pod(name)
        eventually(f"{name} is another pod", lambda: self.uids().get(name, before) != before, within=within)

    def events(self, reason: str) -> list[str]:
        return [event["message"] for event in self._events(reason)]

    def times_told(self, reason: str) -> int:
        """How often an event was written; those that say the same are one object with a count."""
        return sum(event.get("series", {}).get("count", 1) for event in self._events(reason))

    def warnings(self) -> list[str]:
        """What a person was told to look at."""
        events = self.api.get(path("events", self.namespace), fieldSelector=f"involvedObject.name={self.name},type=Warning")
        return [f"{event['reason']}: {event['message']}" for event in events]

    def draining(self) -> set[str]:
        return {node["name"] for node in self.status()["nodes"] if node.get("draining")}

    def says(self, kind: str, status: str, reason: str, *words: str, within: float = SOON) -> dict:
        """Waits until a condition says this for this reason in these words, and returns it."""

        def said() -> dict:
            now = self.condition(kind)
            assert (now["status"], now["reason"]) == (status, reason), now
            assert all(word in now["message"] for word in words), now
            return now

        return eventually(f"{self.name}: {kind} is {status} by {reason}", said, within=within)

    def degraded(self, reason: str, *words: str, within: float = SOON) -> None:
        """Waits until a person is told of this, by condition and by event."""
        self.says("Degraded", "True", reason, *words, within=within)
        self.tells(reason, *words)

    def tells(self, reason: str, *words: str) -> None:
        """Waits for an event."""
        told = lambda: any(all(word in text for word in words) for text in self.events(reason))  # noqa: E731
        eventually(f"{self.name}: an event {reason} with {words}", told, within=SOON)

    def in_order(self) -> None:
        """Waits until nothing needs a person any more."""
        self.says("Degraded", "False", "AsExpected")

    def whole(self, nodes: int, within: float = SOON, ready: str = "True") -> dict:
        """Waits until so many nodes are ready and all their pairs linked, by a status of the newest generation and of the pods that there are.
        `ready` is what the condition Ready then says."""

        def is_whole() -> dict:
            cluster = self.object()
            status = cluster.get("status", {})
            says = next((c for c in status.get("conditions", []) if c["type"] == "Ready"), {})
            pairs = nodes * (nodes - 1) // 2
            told = {k: status.get(k) for k in ("nodesSummary", "mesh", "conditions", "nodes")}
            assert says.get("status") == ready, json.dumps(told)
            assert says["observedGeneration"] == cluster["metadata"]["generation"], json.dumps(told)
            assert status["mesh"]["summary"] == f"{pairs}/{pairs}", json.dumps(told)
            # Asked last: ten times a second the list costs more than the object.
            uids = self.uids()
            lives = {node["name"]: node["incarnation"].partition(".")[0] for node in status["nodes"]}
            assert len(uids) == nodes, json.dumps(told | {"pods": uids})
            assert lives == uids, json.dumps(told | {"pods": uids})
            return status

        return eventually(f"{self.name} has {nodes} nodes in a whole mesh", is_whole, within=within)

    def settled(self) -> None:
        """Waits until the manifest is carried out, in the terms of kstatus."""
        is_open = lambda: [c for c in self.status()["conditions"] if c["type"] in ("Reconciling", "Stalled")]  # noqa: E731
        eventually(f"{self.name}: the manifest is carried out", lambda: not is_open(), within=SOON)

    def rolled(self, before: dict[str, str], within: float = SOON) -> None:
        """Waits until every pod is another one than before, and all is well again."""
        eventually("all pods are new", lambda: not set(before.values()) & set(self.uids().values()), within=within)
        self.whole(len(before))
        self.settled()

    def _events(self, reason: str) -> list[dict]:
        return self.api.get(path("events", self.namespace), fieldSelector=f"involvedObject.name={self.name},reason={reason}")

    def _path(self) -> str:
        return path("sfuclusters", self.namespace, self.name)
