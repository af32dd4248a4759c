"""The stand-in for kubelets, complete: it binds pods to hosts, starts and probes their nodes, and confirms that a deleted pod is gone."""

import subprocess
import threading
import time
from contextlib import suppress
from enum import Enum, auto
from pathlib import Path
from tempfile import TemporaryDirectory

from api_client import ApiClient, Refused, path
from api_server import News
from fake_nodes import FakeNode
from loopback import Block
from stand_in_kubelet import StandInKubelet, running

# Between two looks at whether a node is ready, and at what a pod waits for. A kubelet probes once a second.
LOOK_EVERY = 0.2


class Fate(Enum):
    """What becomes of a pod."""

    RUN = auto()
    SILENT = auto()
    """It runs, and takes connections, and never answers."""
    ABSENT = auto()
    """It runs, and nothing listens at its address."""
    FOREIGN = auto()
    """It answers with a certificate of another CA."""
    NOT_PULLED = auto()
    """Its image is not to be had."""
    NO_HOST = auto()
    """No Kubernetes node fits."""


class Kubelet(StandInKubelet):
    """For the media nodes and front doors of one namespace. `fates` are by pod, by cluster for its nodes, or by Deployment for a front door's pods;
    the others run."""

    # Nothing waits for Redis: what becomes of its pods is told by each story that is about them.
    components = "node, web"

    def __init__(self, api: ApiClient, namespace: str, block: Block):
        self.nodes: dict[str, FakeNode] = {}
        """Those that answer, by pod."""
        self._lost: set[str] = set()
        self.probes = True
        self.patient = False
        """Whether a node that is told to end drains first, for as long as it has publishers, and not only for the moment that it takes."""
        self._ending: dict[str, dict] = {}
        """Metadata of pods whose nodes drain before they end, by UID."""
        self._told: dict[str, bool] = {}
        self._waiting: dict[str, dict] = {}
        """Pods whose volumes are not there yet, by UID."""
        self._again: dict[str, str] = {}
        """Names of pods of which the API server refused something, or did not answer, by UID: it is done once more, as kubelets do."""
        self._turn = threading.RLock()
        self._closed = threading.Event()
        super().__init__(api, namespace, block)
        self._looking = threading.Thread(target=self._look, name="kubelet", daemon=True)
        self._looking.start()

    def close(self) -> None:
        self._closed.set()
        self._looking.join()
        super().close()

    def change(self, pod: str, **what) -> None:
        """Changes what a node does, see `FakeNode`."""
        self._nodes.change(self.nodes[pod], **what)

    def cut(self, one: str, other: str) -> None:
        """No packet passes between two nodes."""
        for pod, peer in ((one, other), (other, one)):
            self.change(pod, unheard=self.nodes[pod].unheard | {peer})

    def mend(self, one: str, other: str) -> None:
        for pod, peer in ((one, other), (other, one)):
            self.change(pod, unheard=self.nodes[pod].unheard - {peer})

    def ready(self, pod: str, ready: bool) -> None:
        """What a probe of this pod finds."""
        self._tell(pod, running(self.nodes[pod].address, ready))

    def says(self, pod: str, why: dict, **status) -> None:
        """What it says of a pod whose container does not run: `why` is the container's state."""
        container = {"name": "sfu-node", "image": "", "imageID": "", "ready": False, "restartCount": 0} | why
        unready = [{"type": kind, "status": "False"} for kind in ("ContainersReady", "Ready")]
        self._tell(pod, {"conditions": unready, "containerStatuses": [container]} | status)

    def lose(self, pod: str) -> None:
        """Its host is gone, and with it the node: nobody says that the pod has ended."""
        self.orphan(pod)
        self._silence(pod)

    def orphan(self, pod: str) -> None:
        """Its kubelet is gone, and the node goes on."""
        self._lost.add(self.nodes[pod].incarnation.partition(".")[0])

    def _carry_out(self, news: News) -> None:
        pod = news.object
        uid = pod["metadata"]["uid"]
        with self._turn:
            self._again.pop(uid, None)
            if news.kind == "DELETED":
                self._waiting.pop(uid, None)
                self._take_back(uid)
                return
            try:
                self._see_to(pod)
            except (Refused, ConnectionError):
                self._again[uid] = pod["metadata"]["name"]

    def _see_to(self, pod: dict) -> None:
        metadata = pod["metadata"]
        if "deletionTimestamp" in metadata:
            self._waiting.pop(metadata["uid"], None)
            self._end(metadata)
        elif metadata["uid"] not in self._given:
            self._begin(pod)

    def _repeat(self, uid: str, name: str) -> None:
        """What the API server refused may be over: the pod is gone, or another one has its name."""
        found = self._api.get(path("pods", self._namespace), fieldSelector=f"metadata.name={name}")
        self._again.pop(uid)
        for pod in found:
            if pod["metadata"]["uid"] == uid:
                self._carry_out(News("MODIFIED", pod, time.monotonic()))

    def _begin(self, pod: dict) -> None:
        uid, cluster = pod["metadata"]["uid"], pod["metadata"]["labels"]["app.kubernetes.io/instance"]
        try:
            secret = self._secret(cluster)
        except Refused:
            self._waiting[uid] = pod
            return
        address = self._given[uid] = self._addresses.take()
        try:
            self._run(pod, self._fate(pod["metadata"], cluster), address, secret)
        except (Refused, ConnectionError):
            self.nodes.pop(pod["metadata"]["name"], None)
            self._take_back(uid)
            raise

    def _fate(self, pod: dict, cluster: str) -> Fate:
        return self.fates.get(pod["name"]) or self.fates.get(cluster if is_node(pod) else f"{cluster}-web") or Fate.RUN

    def _run(self, pod: dict, fate: Fate, address: str, secret: dict[str, bytes]) -> None:
        name = pod["metadata"]["name"]
        if fate is Fate.NO_HOST:
            why = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes are available"}
            self._tell(name, {"phase": "Pending", "conditions": [why]})
            return
        if "nodeName" not in pod["spec"]:
            target = {"apiVersion": "v1", "kind": "Node", "name": f"host-{name.rpartition('-')[2]}"}
            self._api.create(path("pods", self._namespace, name, "binding"), {"metadata": {"name": name}, "target": target})
        match fate:
            case Fate.NOT_PULLED:
                waiting = {"reason": "ErrImagePull", "message": "manifest unknown"}
                container = {"name": "sfu-node", "image": "", "imageID": "", "ready": False, "restartCount": 0, "state": {"waiting": waiting}}
                self._tell(name, {"phase": "Pending", "containerStatuses": [container]})
                return
            case Fate.RUN if is_node(pod["metadata"]):
                self._answer(pod["metadata"], address, secret)
            case Fate.FOREIGN:
                self._answer(pod["metadata"], address, secret | foreign_certificate())
            case Fate.SILENT:
                self._nodes.start_silent(address)
        self._tell(name, running(address))

    def _answer(self, pod: dict, address: str, secret: dict[str, bytes]) -> None:
        name = pod["name"]
        self.nodes[name] = self._nodes.start(name, f"{pod['uid']}.1", address, secret)
        self._told[name] = True
        for node in list(self.nodes.values()):
            self._nodes.change(node, unheard=node.unheard - {name})

    def _end(self, pod: dict) -> None:
        if pod["uid"] in self._lost:
            return
        node = self.nodes.get(pod["name"])
        if self.patient and node and node.publishers:
            self._ending[pod["uid"]] = pod
            if "sigterm" not in node.reasons:
                self._nodes.change(node, reasons=[*node.reasons, "sigterm"], viewers=0)
            return
        self._ending.pop(pod["uid"], None)
        self._silence(pod["name"])
        gone = {"gracePeriodSeconds": 0, "preconditions": {"uid": pod["uid"]}}
        self._api.delete(path("pods", self._namespace, pod["name"]), **gone)

    def _silence(self, pod: str) -> None:
        if node := self.nodes.pop(pod, None):
            self._nodes.stop(node.address)
            for other in list(self.nodes.values()):
                self._nodes.change(other, unheard=other.unheard | {pod})

    def _tell(self, pod: str, status: dict) -> None:
        self._api.merge(path("pods", self._namespace, pod, "status"), {"status": status})

    def _look(self) -> None:
        while not self._closed.wait(LOOK_EVERY):
            # What is looked at may end meanwhile, and the API server be away.
            with self._turn, suppress(Refused, ConnectionError):
                for uid, name in list(self._again.items()):
                    self._repeat(uid, name)
                for uid in list(self._waiting):
                    self._carry_out(News("MODIFIED", self._waiting.pop(uid), time.monotonic()))
                for pod in list(self._ending.values()):
                    self._end(pod)
                for name, node in list(self.nodes.items()):
                    # Once: it may change while it is told.
                    ready = node.ready
                    if self.probes and ready != self._told[name]:
                        self._tell(name, running(node.address, ready))
                        self._told[name] = ready


def is_node(pod: dict) -> bool:
    return pod["labels"]["app.kubernetes.io/component"] == "node"


def foreign_certificate() -> dict[str, bytes]:
    """A certificate that nobody here trusts, and its key."""
    with TemporaryDirectory() as folder:
        key, certificate = Path(folder, "key"), Path(folder, "certificate")
        command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=nobody".split()
        subprocess.run([*command, "-keyout", key, "-out", certificate], check=True, capture_output=True, timeout=30)
        return {"tls.key": key.read_bytes(), "tls.crt": certificate.read_bytes()}
