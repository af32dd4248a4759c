"""etcd, API server, controller manager and scheduler, and who may speak to them."""

import base64
import secrets
import subprocess

from .kubectl import Kubectl
from .layout import API_PORT, CONTROL_PLANE, CONTROL_PLANE_ADDRESS, SERVICE_RANGES, Host, Layout
from .machines import Machine
from .waiting import eventually

READY_DEADLINE = 60

# Who asked for what and what came of it, without bodies: enough to count requests and to find refusals.
AUDIT_POLICY = """
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules: [{level: Metadata}]
"""


def begin(layout: Layout, hosts: list[Host], feature_gates: str) -> None:
    """Starts etcd and the API server; the others wait for it."""
    keys = layout.certificates
    keys.mkdir(parents=True)
    subprocess.run(["openssl", "genrsa", "-out", keys / "accounts.key", "2048"], check=True, capture_output=True)
    subprocess.run(["openssl", "rsa", "-in", keys / "accounts.key", "-pubout", "-out", keys / "accounts.pub"], check=True, capture_output=True)
    tokens = {("admin", "system:masters"): secrets.token_hex(16)}
    tokens |= {(f"system:node:{host.name}", "system:nodes"): secrets.token_hex(16) for host in hosts}
    (keys / "tokens.csv").write_text("".join(f"{token},{user},{user},{group}\n" for (user, group), token in tokens.items()))
    (keys / "audit-policy.yaml").write_text(AUDIT_POLICY)
    machine = Machine(layout, CONTROL_PLANE)
    machine.start(
        "etcd",
        "--data-dir=/var/lib/etcd",
        # Nothing here outlives the computer, so nothing waits for its disk.
        "--unsafe-no-fsync",
        "--listen-client-urls=http://127.0.0.1:2379",
        "--advertise-client-urls=http://127.0.0.1:2379",
    )
    machine.start(
        "kube-apiserver",
        "--etcd-servers=http://127.0.0.1:2379",
        "--bind-address=::",
        f"--advertise-address={CONTROL_PLANE_ADDRESS.v4}",
        f"--secure-port={API_PORT}",
        f"--cert-dir={keys}",
        f"--service-account-key-file={keys}/accounts.pub",
        f"--service-account-signing-key-file={keys}/accounts.key",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--token-auth-file={keys}/tokens.csv",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        f"--service-cluster-ip-range={SERVICE_RANGES}",
        "--kubelet-preferred-address-types=InternalIP",
        "--allow-privileged=true",
        f"--audit-policy-file={keys}/audit-policy.yaml",
        f"--audit-log-path={layout.audit_log}",
        *gates(feature_gates),
    )


def finish(layout: Layout, hosts: list[Host], feature_gates: str) -> None:
    """Waits for the API server and starts what needs it."""
    keys = layout.certificates
    # The API server signs a certificate of its own when it first starts.
    eventually("the API server has made its certificate", (keys / "apiserver.crt").is_file, within=READY_DEADLINE, every=0.05)
    users = {line.split(",")[1]: line.split(",")[0] for line in (keys / "tokens.csv").read_text().splitlines()}
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
        f"--kubeconfig={layout.kubeconfig}",
        f"--service-account-private-key-file={keys}/accounts.key",
        # What pods verify the API server by: its own certificate.
        f"--root-ca-file={keys}/apiserver.crt",
        "--use-service-account-credentials=true",
        "--leader-elect=false",
        "--bind-address=127.0.0.1",
        # Each of its forty controllers begins by asking for an account of its own: with the default of 20 requests a second that takes 4 s.
        "--kube-api-qps=200",
        "--kube-api-burst=400",
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
    authority = base64.b64encode((layout.certificates / "apiserver.crt").read_bytes()).decode()
    return f"""apiVersion: v1
kind: Config
clusters:
- name: sfumato-{layout.name}
  cluster:
    server: https://{CONTROL_PLANE_ADDRESS.v4}:{API_PORT}
    certificate-authority-data: {authority}
users:
- name: sfumato-{layout.name}
  user: {{token: {token}}}
contexts:
- name: sfumato-{layout.name}
  context: {{cluster: sfumato-{layout.name}, user: sfumato-{layout.name}}}
current-context: sfumato-{layout.name}
"""
