"""What a story happens in: a namespace of its own with a stand-in for its kubelets, clusters, and operators."""

import os
import re
from contextlib import suppress
from pathlib import Path

from api_client import path
from cluster import Cluster
from control_plane import ControlPlane
from kubelet import Kubelet
from loopback import Block
from operator_process import Operator, draw_token, give_rights
from testcluster.audit import Audit, Request
from testcluster.log_schema import strange
from way import Way


class Story:
    def __init__(self, plane: ControlPlane, title: str, folder: Path):
        words = re.sub(r"[^a-z0-9]+", "-", title.removeprefix("test_").lower())[:40].strip("-")
        self.namespace = f"{words}-{os.urandom(2).hex()}"
        self.plane = plane
        self.api = plane.admin()
        self.audit = Audit(plane.audit_log)
        self.operators: list[Operator] = []
        self._folder = folder
        self._block = Block()
        self._ways: list[Way] = []
        self._kubelets: list[Kubelet] = []
        self.rights_end = False
        """Whether the story takes an operator's rights away, with their namespace."""
        self.over_quota: set[str] = set()
        """Names of objects that a quota lets nobody make, or that the operator was not given the right to read: both are answered alike."""
        self.kubelet = self.begin(self.namespace)
        give_rights(self.api, self.namespace)

    def begin(self, namespace: str) -> Kubelet:
        """Makes a namespace, with the strictest pod security and a stand-in for its kubelets."""
        labels = {"pod-security.kubernetes.io/enforce": "restricted"}
        self.api.create(path("namespaces"), {"metadata": {"name": namespace, "labels": labels}})
        kubelet = Kubelet(self.api, namespace, self._block)
        self._kubelets.append(kubelet)
        return kubelet

    def close(self) -> None:
        """Ends what the story started; its objects stay, since nobody looks after them any more."""
        for operator in self.operators:
            with suppress(ProcessLookupError):
                operator.process.kill()
        for way in self._ways:
            way.close()
        self.api.close()
        for kubelet in self._kubelets:
            kubelet.close()

    def operator(self, *options: str, way: Way | None = None) -> Operator:
        """Starts one, and does not wait for it."""
        number = len(self.operators) + 1
        kubeconfig = self.plane.kubeconfig(draw_token(self.api, self.namespace), way.url if way else None)
        it = Operator(f"operator-{number}", self.namespace, self._block.address(number), self._folder, kubeconfig, *options)
        self.operators.append(it)
        return it

    def way(self) -> Way:
        it = Way(self.plane, self._block.address(10 + len(self._ways)))
        self._ways.append(it)
        return it

    def cluster(self, name: str = "live") -> Cluster:
        return Cluster(self.api, self.namespace, name)

    def put_secret(self, name: str, **data: str) -> None:
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data}
        self.api.patch("apply", path("secrets", self.namespace, name), secret, fieldManager="somebody", force="true")

    def create(self, resource: str, name: str, **rest) -> dict:
        """An object of somebody else."""
        return self.api.create(path(resource, self.namespace), {"metadata": {"name": name}} | rest)

    def asked(self, *verbs: str) -> list[Request]:
        """What the operators of this story have asked of the API server, by these verbs."""
        return [request for request in self.audit.requests(self.user) if not verbs or request.verb in verbs]

    @property
    def user(self) -> str:
        return f"system:serviceaccount:{self.namespace}:sfu-operator"

    def lease(self) -> dict:
        return self.api.get(path("leases", self.namespace, "sfu-operator"))["spec"]

    def leader(self) -> str:
        return self.lease().get("holderIdentity", "")

    def check(self) -> None:
        """What is true of every story: no right is missing, the stand-in has done its part, and whoever runs ends when asked to."""
        refused = [f"{r.verb} {r.resource} {r.name}: {r.code}" for r in self.audit.refused(self.user) if r.name not in self.over_quota]
        assert self.rights_end or not refused, f"the operator lacks rights: {refused}"
        assert not self.failures(), self.failures()
        for operator in self.operators:
            wrong = strange(operator.log())
            assert not wrong, f"{operator.identity} does not log by docs/logs.md: {wrong}"
            if operator.process.running():
                assert operator.process.end() == 0, operator.log()[-2000:]

    def failures(self) -> list[BaseException]:
        """What the stand-ins could not do."""
        return [failure for kubelet in self._kubelets for failure in kubelet.failures]
