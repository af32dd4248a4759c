"""When what was seen of one cluster, by watches: conditions in a status have whole seconds only."""

import threading

from api_server import CLUSTERS, PODS, ApiServer, News
from sfucluster import SfuCluster
from testcluster.waiting import eventually


class Timeline:
    """Begins when it is made, which is best before the cluster is."""

    def __init__(self, api: ApiServer, cluster: SfuCluster):
        self._lock = threading.Lock()
        self._ready: dict[str, float] = {}
        self._statuses: list[tuple[float, dict]] = []
        nodes = f"app.kubernetes.io/instance={cluster.name},app.kubernetes.io/component=node"
        api.follow(PODS.format(cluster.namespace), self._see_pod, labelSelector=nodes)
        api.follow(CLUSTERS.format(cluster.namespace), self._see_cluster, fieldSelector=f"metadata.name={cluster.name}")

    def _see_pod(self, news: News) -> None:
        conditions = news.object["status"].get("conditions", [])
        if any(c["type"] == "Ready" and c["status"] == "True" for c in conditions):
            with self._lock:
                self._ready.setdefault(news.object["metadata"]["uid"], news.at)

    def _see_cluster(self, news: News) -> None:
        with self._lock:
            self._statuses.append((news.at, news.object.get("status", {})))

    def ready(self, uids: set[str], within: float) -> float:
        """When the last of these pods was seen Ready."""

        def all_ready() -> float:
            with self._lock:
                return max(self._ready[uid] for uid in uids)

        return eventually(f"{len(uids)} pods are ready", all_ready, within=within)

    def whole(self, nodes: int, uids: set[str], within: float) -> float:
        """When a whole mesh of so many nodes was told first with these pods in it."""

        def told() -> float | None:
            with self._lock:
                return next((at for at, status in self._statuses if is_whole(status, nodes, uids)), None)

        return eventually(f"a mesh of {nodes} nodes", told, within=within)


def is_whole(status: dict, nodes: int, uids: set[str]) -> bool:
    # An incarnation begins with the pod's UID.
    members = {node["incarnation"].partition(".")[0] for node in status.get("nodes", []) if node["pairs"] == nodes - 1}
    told = {(c["type"], c["status"]) for c in status.get("conditions", [])}
    return ("MeshReady", "True") in told and len(members) == nodes and uids <= members
