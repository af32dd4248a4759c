"""A Redis of a test's own in the cluster, with TLS by a CA of the test's own, or plain."""

import json
import subprocess
from pathlib import Path

from installation import IMAGES
from sfucluster import SfuCluster

NAME = "elsewhere"
PORT = 6379
FILES = "/etc/redis"


class RedisPod:
    def __init__(self, cluster: SfuCluster, directory: Path, *, tls: bool = True):
        self._cluster = cluster
        self._tls = tls
        self._host = f"{NAME}.{cluster.namespace}.svc"
        if tls:
            self.ca, certificate, key = issue(directory, self._host)
            self.other_ca = issue(directory, self._host)[0]
            self._files = {"tls.crt": certificate, "tls.key": key}

    @property
    def url(self) -> str:
        return f"{'rediss' if self._tls else 'redis'}://{self._host}:{PORT}/0"

    def start(self) -> None:
        volumes, options = [], ["--port", str(PORT)]
        if self._tls:
            self._cluster.put_secret(NAME, self._files)
            volumes = [{"name": "tls", "secret": {"secretName": NAME}}]
            files = ["--tls-cert-file", f"{FILES}/tls.crt", "--tls-key-file", f"{FILES}/tls.key", "--tls-auth-clients", "no"]
            options = ["--port", "0", "--tls-port", str(PORT), *files]
        container = {
            "name": "redis",
            "image": IMAGES["redis"],
            "command": ["redis-server", *options, "--save", "", "--protected-mode", "no"],
            "readinessProbe": {"tcpSocket": {"port": PORT}, "periodSeconds": 1},
            "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
            "volumeMounts": [{"name": volume["name"], "mountPath": FILES} for volume in volumes],
        }
        user = {"runAsNonRoot": True, "runAsUser": 999, "fsGroup": 999, "seccompProfile": {"type": "RuntimeDefault"}}
        spec = {"containers": [container], "volumes": volumes, "securityContext": user}
        metadata = {"name": NAME, "namespace": self._cluster.namespace, "labels": {"app": NAME}}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
        service = {"apiVersion": "v1", "kind": "Service", "metadata": metadata}
        service["spec"] = {"selector": {"app": NAME}, "ports": [{"port": PORT}]}
        self._cluster.kubectl.apply(json.dumps({"apiVersion": "v1", "kind": "List", "items": [pod, service]}))
        self._cluster.run("wait", "--for=condition=Ready", f"pod/{NAME}", "--timeout=60s", timeout=70)


def issue(directory: Path, host: str) -> tuple[str, str, str]:
    """A new CA, and a certificate of it for a host with its key; PEM."""
    ca, ca_key, certificate, key = (directory / name for name in ("ca.crt", "ca.key", "tls.crt", "tls.key"))
    new = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2".split()
    run([*new, "-subj", "/CN=CA of a test", "-keyout", ca_key, "-out", ca, "-addext", "basicConstraints=critical,CA:TRUE"])
    names = ["-addext", f"subjectAltName=DNS:{host}", "-addext", "basicConstraints=critical,CA:FALSE"]
    run([*new, "-subj", f"/CN={NAME}", "-CA", ca, "-CAkey", ca_key, "-keyout", key, "-out", certificate, *names])
    return ca.read_text(), certificate.read_text(), key.read_text()


def run(command: list) -> None:
    subprocess.run(command, check=True, capture_output=True, timeout=30)
