"""Where everything of one test cluster is: files, machines and addresses. Pure data."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

# The Kubernetes version of go.mod, as `kubectl version` shows it.
KUBERNETES = "1.36.3"
# Nodes per cluster: the last octet of an address is 10 + its number, the third octet of its pods' addresses is its number.
MOST_NODES = 99

CONTROL_PLANE = "control-plane"
# In the pod network: reaches nodes, pods and the API server. Tests and their browsers run here.
CLIENT = "client"
# Beyond it: reaches the nodes' addresses only, through a router, as a user of NodePorts does.
OUTSIDE = "outside"

CLUSTER_DOMAIN = "cluster.local"
DNS_SERVICE = "10.96.0.10"
SERVICE_RANGES = "10.96.0.0/16,fd00:10:96::/112"
POD_RANGES = "10.244.0.0/16,fd00:10:244::/48"
API_PORT = 6443


def cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sfumato" / "cluster"


def binary(name: str) -> str:
    return str(cache() / "bin" / name)


@dataclass(frozen=True)
class Address:
    """One machine's addresses."""

    v4: str
    v6: str


@dataclass(frozen=True)
class Host:
    """A Kubernetes node of the test cluster, by its number from 1."""

    number: int

    @property
    def name(self) -> str:
        return f"node-{self.number}"

    @property
    def address(self) -> Address:
        return Address(f"172.31.250.{10 + self.number}", f"fd00:250::{10 + self.number}")

    @property
    def pods_v4(self) -> str:
        return f"10.244.{self.number}.0/24"

    @property
    def pods_v6(self) -> str:
        return f"fd00:10:244:{self.number}::/64"


CONTROL_PLANE_ADDRESS = Address("172.31.250.1", "fd00:250::1")
CLIENT_ADDRESS = Address("172.31.250.2", "fd00:250::2")
ROUTER_ADDRESS = Address("172.31.251.1", "fd00:251::1")
OUTSIDE_ADDRESS = Address("172.31.251.2", "fd00:251::2")


@dataclass(frozen=True)
class Layout:
    """One cluster, by its name; several can be up at once, since every machine has namespaces of its own."""

    name: str = "default"

    def __post_init__(self):
        if not re.fullmatch(r"[a-z][a-z0-9-]{0,29}", self.name):
            raise ValueError(f'a test cluster\'s name is at most 30 of a-z, 0-9 and "-", and begins with a letter; "{self.name}" is not')

    @property
    def state(self) -> Path:
        return cache() / "state" / self.name

    @property
    def lock(self) -> Path:
        return cache() / "state" / f"{self.name}.lock"

    @property
    def ready_mark(self) -> Path:
        """Written last by `up`, removed first by `down`."""
        return self.state / "ready.json"

    @property
    def kubeconfig(self) -> Path:
        return self.state / "kubeconfig"

    @property
    def certificates(self) -> Path:
        return self.state / "certificates"

    @property
    def logs(self) -> Path:
        return self.state / "log"

    @property
    def audit_log(self) -> Path:
        return self.logs / "audit.log"

    def machine(self, name: str) -> Path:
        return self.state / "machines" / name

    @property
    def cgroup(self) -> str:
        """Path of the parent of every pod's cgroup, in each hierarchy."""
        return f"/sfumato-cluster-{self.name}"
