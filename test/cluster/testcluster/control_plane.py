"""etcd, API server, controller manager and scheduler, on the machine of the control plane."""

from . import control_plane_programs as programs
from .kubectl import Kubectl
from .layout import API_PORT, CONTROL_PLANE, CONTROL_PLANE_ADDRESS, SERVICE_RANGES, Host, Layout
from .machines import Machine
from .waiting import eventually

READY_DEADLINE = 60
ETCD = "http://127.0.0.1:2379"


def begin(layout: Layout, hosts: list[Host], feature_gates: str) -> None:
    """Starts etcd and the API server; the others wait for it."""
    keys = layout.certificates
    programs.make_credentials(keys, [programs.ADMIN, *((f"system:node:{host.name}", "system:nodes") for host in hosts)])
    machine = Machine(layout, CONTROL_PLANE)
    machine.start("etcd", *programs.etcd("/var/lib/etcd", ETCD))
    machine.start(
        "kube-apiserver",
        *programs.api_server(keys, layout.audit_log, ETCD, SERVICE_RANGES),
        "--bind-address=::",
        f"--advertise-address={CONTROL_PLANE_ADDRESS.v4}",
        f"--secure-port={API_PORT}",
        "--kubelet-preferred-address-types=InternalIP",
        *gates(feature_gates),
    )


def finish(layout: Layout, hosts: list[Host], feature_gates: str) -> None:
    """Waits for the API server and starts what needs it."""
    keys = layout.certificates
    eventually("the API server has made its certificate", lambda: programs.has_certificate(keys), within=READY_DEADLINE, every=0.05)
    users = programs.tokens(keys)
    layout.kubeconfig.write_text(kubeconfig(layout, users["admin"]))
    layout.kubeconfig.chmod(0o600)
    for host in hosts:
        (layout.machine(host.name) / "var-lib/kubelet.conf").write_text(kubeconfig(layout, users[f"system:node:{host.name}"]))
    kubectl = Kubectl.of(layout)
    eventually(
        f"the API server is ready (see {Machine(layout, CONTROL_PLANE).log('kube-apiserver')})",
        lambda: kubectl.run("get", "--raw", "/readyz") == "ok",
        within=READY_DEADLINE,
    )
    machine = Machine(layout, CONTROL_PLANE)
    machine.start(
        "kube-controller-manager",
        *programs.controller_manager(keys, layout.kubeconfig),
        "--bind-address=127.0.0.1",
        # A lost host is seen as lost after 8 s instead of 50 s: tests wait for it.
        "--node-monitor-period=1s",
        "--node-monitor-grace-period=8s",
        *gates(feature_gates),
    )
    machine.start(
        "kube-scheduler",
        f"--kubeconfig={layout.kubeconfig}",
        "--leader-elect=false",
        "--bind-address=127.0.0.1",
        *gates(feature_gates),
    )


def gates(feature_gates: str) -> list[str]:
    return [f"--feature-gates={feature_gates}"] if feature_gates else []


def kubeconfig(layout: Layout, token: str) -> str:
    server = f"https://{CONTROL_PLANE_ADDRESS.v4}:{API_PORT}"
    return programs.kubeconfig(f"sfumato-{layout.name}", server, token, programs.certificate(layout.certificates))
