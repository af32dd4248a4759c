"""etcd, API server and controller manager as processes of this computer: no namespaces, no kubelets, no root."""

import shutil
import subprocess
import tempfile
from pathlib import Path

from api_client import ApiClient
from loopback import Block
from operator_process import define
from process import Process
from testcluster import control_plane_programs as programs
from testcluster.layout import binary
from testcluster.waiting import eventually

READY_DEADLINE = 60
PROGRAMS = ("etcd", "kube-apiserver", "kube-controller-manager")
# Those that stories need. Pods' addresses are of loopback, which Kubernetes refuses as those of endpoints, so nobody makes endpoints.
CONTROLLERS = (
    "statefulset-controller",
    "deployment-controller",
    "replicaset-controller",
    "garbage-collector-controller",
    "namespace-controller",
    "serviceaccount-controller",
    "clusterrole-aggregation-controller",
    "disruption-controller",
    "resourcequota-controller",
    "persistentvolumeclaim-protection-controller",
)


class ControlPlane:
    """One that runs, perhaps started by another process."""

    def __init__(self, folder: Path, address: str):
        self.folder = folder
        self.address = address
        self.server = f"https://{address}:6443"
        self.keys = folder / "certificates"
        self.authority = programs.certificate(self.keys)
        self.audit_log = folder / "audit.log"

    def admin(self) -> ApiClient:
        """Whoever may do everything."""
        return ApiClient(self.server, self.authority, programs.tokens(self.keys)["admin"])

    def kubeconfig(self, token: str, server: str | None = None) -> str:
        """Of somebody with this token, who asks the API server itself or what stands before it."""
        return programs.kubeconfig("stories", server or self.server, token, None if server else self.authority)

    def ready(self) -> None:
        with self.admin() as api:
            eventually(f"the API server is ready (see {self.folder})", lambda: api.text("/readyz") == "ok", within=READY_DEADLINE, every=0.05)


class StartedControlPlane(ControlPlane):
    """One of this process. Everything that it writes is in a folder of its own, which goes when it is closed."""

    def __init__(self):
        missing = [name for name in PROGRAMS if not Path(binary(name)).exists()]
        assert not missing, f"not built yet: {', '.join(missing)}; run scripts/cluster-build.sh"
        self._block = Block()
        self._running: dict[str, Process] = {}
        super().__init__(Path(tempfile.mkdtemp(prefix="sfumato-stories-")), self._block.address(1))
        self._etcd = f"http://{self.address}:2379"

    def start(self) -> None:
        programs.make_credentials(self.keys, [programs.ADMIN])
        peers = f"http://{self.address}:2380"
        cluster = [f"--listen-peer-urls={peers}", f"--initial-advertise-peer-urls={peers}", f"--initial-cluster=default={peers}"]
        self._start("etcd", *programs.etcd(str(self.folder / "etcd"), self._etcd), *cluster)
        self.start_api_server()
        eventually("the API server has made its certificate", lambda: programs.has_certificate(self.keys), within=READY_DEADLINE, every=0.02)
        kubeconfig = self.folder / "kubeconfig"
        kubeconfig.write_text(self.kubeconfig(programs.tokens(self.keys)["admin"]))
        kubeconfig.chmod(0o600)
        # It would wait for the API server by itself, for 10 s and no longer.
        self.ready()
        # The garbage collector looks for new kinds every 30 s only: it must find this one at its start.
        with self.admin() as api:
            define(api)
        self._start(
            "kube-controller-manager",
            *programs.controller_manager(self.keys, kubeconfig),
            f"--bind-address={self.address}",
            f"--cert-dir={self.keys}/controller-manager",
            f"--controllers={','.join(CONTROLLERS)}",
        )

    def died(self) -> list[str]:
        """Programs that have ended although nobody ended them."""
        return [name for name, process in self._running.items() if not process.running()]

    def start_api_server(self) -> None:
        self._start(
            "kube-apiserver",
            *programs.api_server(self.keys, self.audit_log, self._etcd, "10.96.0.0/16"),
            f"--bind-address={self.address}",
            f"--advertise-address={self.address}",
            "--secure-port=6443",
            # Its own address is one of loopback too.
            "--endpoint-reconciler-type=none",
        )

    def kill_api_server(self) -> None:
        self._running.pop("kube-apiserver").kill()

    def close(self) -> None:
        """Ends everything at once: nothing of it is used again."""
        for process in reversed(self._running.values()):
            process.kill()
        self._block.close()
        shutil.rmtree(self.folder)

    def logs(self) -> str:
        """The end of each program's log."""
        tail = ["tail", "--lines=20", *(str(process.log) for process in self._running.values())]
        return subprocess.run(tail, capture_output=True, text=True, check=False).stdout

    def _start(self, program: str, *arguments: str) -> None:
        # They live for a minute: collecting their garbage seldom costs some memory, and saves processor time.
        self._running[program] = Process([binary(program), *arguments], self.folder / f"{program}.log", GOGC="400")
