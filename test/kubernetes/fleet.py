"""Many clusters whose nodes one process plays."""

import json
import time

from api_server import CLUSTERS, ApiServer
from sfucluster import SfuCluster
from stand_in_kubelet import NOWHERE, ClientAddresses, Fate, StandInKubelet
from testcluster.kubectl import Kubectl
from testcluster.waiting import eventually

NODES = 3
# An external Redis, which nobody needs: managed ones would be as many more pods.
REDIS_SECRET = "redis"


class Fleet:
    def __init__(self, api: ApiServer, kubectl: Kubectl, namespace: str):
        self.api = api
        self.kubectl = kubectl
        self.namespace = namespace
        self.kubelet = StandInKubelet(api, namespace, ClientAddresses())
        kubectl.run("create", "secret", "generic", REDIS_SECRET, "--namespace", namespace, "--from-literal=url=redis://127.0.0.1:6379")

    def close(self) -> None:
        self.kubelet.close()

    def cluster(self, name: str) -> SfuCluster:
        return SfuCluster(self.kubectl, self.namespace, name)

    def apply(self, fates: dict[str, Fate | None], **special: dict) -> None:
        """Applies clusters of three nodes, all at once; `special` has further fields of a spec, by cluster. Pods without a fate are for the real
        scheduler and kubelets."""
        self.kubelet.fates |= {name: fate for name, fate in fates.items() if fate}
        manifests = [json.loads(self.cluster(name).manifest(**self.spec(special.get(name, {})))) for name in fates]
        self.kubectl.apply(json.dumps({"apiVersion": "v1", "kind": "List", "items": manifests}))

    @staticmethod
    def spec(further: dict) -> dict:
        redis = {"external": {"urlSecretRef": {"name": REDIS_SECRET, "key": "url"}}}
        return {"replicas": NODES, "web": {"replicas": 0}, "nodeSelector": NOWHERE, "redis": redis, **further}

    def statuses(self) -> dict[str, dict]:
        items = self.api.get(CLUSTERS.format(self.namespace))["items"]
        return {item["metadata"]["name"]: item.get("status", {}) for item in items}

    def ready(self) -> set[str]:
        """Names of those that say `Ready=True`."""
        assert not self.kubelet.failures, self.kubelet.failures
        return {name for name, status in self.statuses().items() if condition(status, "Ready").get("status") == "True"}

    def await_ready(self, names: set[str], within: float) -> float:
        """Waits until these are ready, and returns for how long it did, in seconds."""
        began = time.monotonic()
        eventually(f"{len(names)} clusters are ready", lambda: self.missing(names), within=within)
        return time.monotonic() - began

    def missing(self, names: set[str]) -> bool:
        missing = sorted(names - self.ready())
        statuses = self.statuses() if missing else {}
        assert not missing, f"not ready: {missing}; {missing[0]}: {statuses.get(missing[0])}"
        return True


def condition(status: dict, kind: str) -> dict:
    return next((c for c in status.get("conditions", []) if c["type"] == kind), {})
