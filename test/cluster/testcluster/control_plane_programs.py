"""What etcd, API server and controller manager are started with, wherever they run, and who may speak to them."""

import base64
import secrets
import subprocess
from collections.abc import Iterable
from pathlib import Path

# Who asked for what and what came of it, without bodies: enough to count requests and to find refusals.
AUDIT_POLICY = """
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules: [{level: Metadata}]
"""
ADMIN = ("admin", "system:masters")


def make_credentials(keys: Path, users: Iterable[tuple[str, str]]) -> None:
    """Keys of the service accounts' tokens, and a token for each of these users, who are given with their group."""
    keys.mkdir(parents=True)
    subprocess.run(["openssl", "genrsa", "-out", keys / "accounts.key", "2048"], check=True, capture_output=True)
    subprocess.run(["openssl", "rsa", "-in", keys / "accounts.key", "-pubout", "-out", keys / "accounts.pub"], check=True, capture_output=True)
    tokens = {user: secrets.token_hex(16) for user in users}
    (keys / "tokens.csv").write_text("".join(f"{token},{user},{user},{group}\n" for (user, group), token in tokens.items()))
    (keys / "audit-policy.yaml").write_text(AUDIT_POLICY)


def tokens(keys: Path) -> dict[str, str]:
    """The token of each user."""
    return {line.split(",")[1]: line.split(",")[0] for line in (keys / "tokens.csv").read_text().splitlines()}


def certificate(keys: Path) -> Path:
    """What the API server is known by. It signs it itself when it first starts."""
    return keys / "apiserver.crt"


def has_certificate(keys: Path) -> bool:
    """Whether the API server has written it, and to its end: it writes the key after it. Whoever reads half of it trusts nobody."""
    key = keys / "apiserver.key"
    return key.is_file() and key.read_text().endswith("KEY-----\n")


def etcd(data: str, clients: str) -> list[str]:
    return [
        f"--data-dir={data}",
        # Nothing here outlives the computer, so nothing waits for its disk.
        "--unsafe-no-fsync",
        f"--listen-client-urls={clients}",
        f"--advertise-client-urls={clients}",
    ]


def api_server(keys: Path, audit_log: Path, etcd_url: str, services: str) -> list[str]:
    return [
        f"--etcd-servers={etcd_url}",
        f"--cert-dir={keys}",
        f"--service-account-key-file={keys}/accounts.pub",
        f"--service-account-signing-key-file={keys}/accounts.key",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--token-auth-file={keys}/tokens.csv",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        f"--service-cluster-ip-range={services}",
        "--allow-privileged=true",
        f"--audit-policy-file={keys}/audit-policy.yaml",
        f"--audit-log-path={audit_log}",
    ]


def controller_manager(keys: Path, kubeconfig: Path) -> list[str]:
    return [
        f"--kubeconfig={kubeconfig}",
        f"--service-account-private-key-file={keys}/accounts.key",
        # What pods verify the API server by: its own certificate.
        f"--root-ca-file={certificate(keys)}",
        "--use-service-account-credentials=true",
        "--leader-elect=false",
        # Each of its forty controllers begins by asking for an account of its own: with the default of 20 requests a second that takes 4 s.
        "--kube-api-qps=200",
        "--kube-api-burst=400",
    ]


def kubeconfig(name: str, server: str, token: str, authority: Path | None = None) -> str:
    """`authority`: what the API server is known by; none where it is asked by plain HTTP."""
    known_by = f"\n    certificate-authority-data: {base64.b64encode(authority.read_bytes()).decode()}" if authority else ""
    return f"""apiVersion: v1
kind: Config
clusters:
- name: {name}
  cluster:
    server: {server}{known_by}
users:
- name: {name}
  user: {{token: {token}}}
contexts:
- name: {name}
  context: {{cluster: {name}, user: {name}}}
current-context: {name}
"""
