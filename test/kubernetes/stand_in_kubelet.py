"""Gives pods that no kubelet will ever start an address and a status, as a kubelet would, and a node that answers there: so many clusters need no
host."""

import base64
import subprocess
from enum import Enum, auto
from typing import Protocol

from api_server import PODS, ApiServer, News
from fake_nodes import FakeNodes

INTERFACE = "eth0"
# Of every host of these pods. Nothing is there.
HOST_ADDRESS = "203.0.113.9"
# No host has this label, so nothing is scheduled.
NOWHERE = {"sfumato.test/host": "nowhere"}
INSTANCE = "app.kubernetes.io/instance"


class Fate(Enum):
    """What becomes of a cluster's pods."""

    RUN = auto()
    SILENT = auto()
    """They run, and take connections, and never answer."""


class Addresses(Protocol):
    """Where pods get theirs from."""

    def take(self) -> str: ...
    def give_back(self, address: str) -> None: ...
    def close(self) -> None: ...


class ClientAddresses:
    """Addresses of the client's network that no machine of the test cluster has; every host and pod reaches them."""

    def __init__(self):
        self._all = [f"172.31.250.{number}" for number in range(64, 255)]
        self._free = list(reversed(self._all))
        self._each("add")

    def take(self) -> str:
        return self._free.pop()

    def give_back(self, address: str) -> None:
        self._free.append(address)

    def close(self) -> None:
        self._each("del")

    def _each(self, verb: str) -> None:
        """Adds or deletes them, on the machine that this runs on: the client's."""
        batch = "".join(f"address {verb} {address}/32 dev {INTERFACE}\n" for address in self._all)
        # -force: what a killed run has left is taken as it is.
        done = subprocess.run(["ip", "-force", "-batch", "-"], input=batch, capture_output=True, text=True, check=False)
        unexpected = [line for line in done.stderr.splitlines() if line.startswith("RTNETLINK") and "exists" not in line]
        assert not unexpected, f"ip address {verb}: {unexpected}"


class StandInKubelet:
    """For the pods of nodes in one namespace."""

    components = "node"
    """Whose pods these are, as a label selector lists them."""

    def __init__(self, api: ApiServer, namespace: str, addresses: Addresses):
        self.fates: dict[str, Fate] = {}
        """By cluster; pods of others are left alone."""
        self._api = api
        self._namespace = namespace
        self._nodes = FakeNodes()
        self._addresses = addresses
        self._given: dict[str, str] = {}
        self.failures: list[BaseException] = []
        selector = f"app.kubernetes.io/name=sfumato,app.kubernetes.io/component in ({self.components})"
        api.follow(PODS.format(namespace), self._see, labelSelector=selector)

    def close(self) -> None:
        self._nodes.close()
        self._addresses.close()

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
        address = self._given[pod["uid"]] = self._addresses.take()
        if self.fates[cluster] is Fate.RUN:
            self._nodes.start(pod["name"], f"{pod['uid']}.1", address, self._secret(cluster))
        else:
            self._nodes.start_silent(address)
        status = {"metadata": {"uid": pod["uid"]}, "status": running(address)}
        self._api.merge(f"{PODS.format(self._namespace)}/{pod['name']}/status", status)

    def _take_back(self, uid: str) -> None:
        if address := self._given.pop(uid, None):
            self._nodes.stop(address)
            self._addresses.give_back(address)

    def _secret(self, cluster: str) -> dict[str, bytes]:
        data = self._api.get(f"/api/v1/namespaces/{self._namespace}/secrets/{cluster}-admin")["data"]
        return {key: base64.b64decode(value) for key, value in data.items()}


def running(address: str, ready: bool = True) -> dict:
    conditions = [{"type": kind, "status": "True"} for kind in ("PodScheduled", "Initialized")]
    conditions += [{"type": kind, "status": str(ready)} for kind in ("ContainersReady", "Ready")]
    addresses = {"podIP": address, "podIPs": [{"ip": address}], "hostIP": HOST_ADDRESS, "hostIPs": [{"ip": HOST_ADDRESS}]}
    return {"phase": "Running", **addresses, "conditions": conditions}
