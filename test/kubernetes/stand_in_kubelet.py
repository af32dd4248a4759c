"""Gives pods that no kubelet will ever start an address and a status, as a kubelet would, and a node that answers there: so many clusters need no
host."""

import base64
import subprocess
from enum import Enum, auto

from api_server import PODS, ApiServer, News
from fake_nodes import FakeNodes

# Addresses of the client's network that no machine of the test cluster has; every host and pod reaches them.
ADDRESSES = [f"172.31.250.{number}" for number in range(64, 255)]
INTERFACE = "eth0"
# No host has this label, so nothing is scheduled.
NOWHERE = {"sfumato.test/host": "nowhere"}
INSTANCE = "app.kubernetes.io/instance"


class Fate(Enum):
    """What becomes of a cluster's pods."""

    RUN = auto()
    SILENT = auto()
    """They run, and take connections, and never answer."""


class StandInKubelet:
    """For the pods of nodes in one namespace."""

    def __init__(self, api: ApiServer, namespace: str):
        self.fates: dict[str, Fate] = {}
        """By cluster; pods of others are left alone."""
        self._api = api
        self._namespace = namespace
        self._nodes = FakeNodes()
        self._free = list(reversed(ADDRESSES))
        self._given: dict[str, str] = {}
        self._secrets: dict[str, dict[str, bytes]] = {}
        self.failures: list[BaseException] = []
        addresses("add")
        selector = "app.kubernetes.io/name=sfumato,app.kubernetes.io/component=node"
        api.follow(PODS.format(namespace), self._see, labelSelector=selector)

    def close(self) -> None:
        self._nodes.close()
        addresses("del")

    def _see(self, news: News) -> None:
        try:
            self._carry_out(news)
        except Exception as failure:  # It would end the watching thread, where nobody looks.
            self.failures.append(failure)

    def _carry_out(self, news: News) -> None:
        pod = news.object["metadata"]
        cluster = pod["labels"][INSTANCE]
        if news.kind == "DELETED":
            self._take_back(pod["uid"])
        elif pod["uid"] not in self._given and cluster in self.fates:
            self._start(pod, cluster)

    def _start(self, pod: dict, cluster: str) -> None:
        address = self._given[pod["uid"]] = self._free.pop()
        if self.fates[cluster] is Fate.RUN:
            self._nodes.start(pod["name"], f"{pod['uid']}.1", address, self._secret(cluster))
        else:
            self._nodes.start_silent(address)
        status = {"metadata": {"uid": pod["uid"]}, "status": running(address)}
        self._api.merge(f"{PODS.format(self._namespace)}/{pod['name']}/status", status)

    def _take_back(self, uid: str) -> None:
        if address := self._given.pop(uid, None):
            self._nodes.stop(address)
            self._free.append(address)

    def _secret(self, cluster: str) -> dict[str, bytes]:
        if cluster not in self._secrets:
            data = self._api.get(f"/api/v1/namespaces/{self._namespace}/secrets/{cluster}-admin")["data"]
            self._secrets[cluster] = {key: base64.b64decode(value) for key, value in data.items()}
        return self._secrets[cluster]


def running(address: str) -> dict:
    conditions = [{"type": kind, "status": "True"} for kind in ("PodScheduled", "Initialized", "ContainersReady", "Ready")]
    return {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}], "conditions": conditions}


def addresses(verb: str) -> None:
    """Adds or deletes them, on the machine that this runs on: the client's."""
    batch = "".join(f"address {verb} {address}/32 dev {INTERFACE}\n" for address in ADDRESSES)
    # -force: what a killed run has left is taken as it is.
    done = subprocess.run(["ip", "-force", "-batch", "-"], input=batch, capture_output=True, text=True, check=False)
    unexpected = [line for line in done.stderr.splitlines() if line.startswith("RTNETLINK") and "exists" not in line]
    assert not unexpected, f"ip address {verb}: {unexpected}"
