"""One Kubernetes node: containerd, kubelet and kube-proxy on a machine of its own, with their usual paths."""

import json
import subprocess
from pathlib import Path

from .layout import CLUSTER_DOMAIN, DNS_SERVICE, POD_RANGES, Host, Layout
from .machines import Machine
from .waiting import eventually

CONTAINERD_DEADLINE = 30
PAUSE_IMAGE = "localhost/sfumato-cluster/pause:1"

CONTAINERD = """
version = 2
disabled_plugins = ["io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs", "io.containerd.internal.v1.opt", "io.containerd.tracing.processor.v1.otlp"]
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "%(pause)s"
# Where the computer lacks CAP_SYS_RESOURCE, runc would die of the score that kubelet asks for.
restrict_oom_score_adj = true
enable_unprivileged_ports = true
enable_unprivileged_icmp = true
[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "%(snapshotter)s"
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/usr/lib/cni"
conf_dir = "/var/lib/cni/conf"
"""

# Without quality-of-service cgroups: they would be shared by every node of this computer. Limits of containers hold all the same.
KUBELET = """
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
failCgroupV1: false
cgroupDriver: cgroupfs
cgroupRoot: %(cgroup)s
cgroupsPerQOS: false
enforceNodeAllocatable: []
localStorageCapacityIsolation: false
evictionHard: {}
imageGCHighThresholdPercent: 100
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
authentication: {anonymous: {enabled: true}, webhook: {enabled: false}}
authorization: {mode: AlwaysAllow}
resolvConf: ""
clusterDNS: ["%(dns)s"]
clusterDomain: %(domain)s
# A node that stops is noticed within seconds, see the controller manager's settings.
nodeStatusUpdateFrequency: 2s
nodeLeaseDurationSeconds: 5
# Mounted Secrets and ConfigMaps follow within 10 s instead of a minute.
syncFrequency: 10s
"""


def prepare(layout: Layout, host: Host) -> None:
    """Writes the configuration; runs before or after the machine boots."""
    lib = layout.machine(host.name) / "var-lib"
    (lib / "cni/conf").mkdir(parents=True, exist_ok=True)
    (lib / "cni/conf/10-pods.conflist").write_text(pod_network(host))
    (lib / "containerd.toml").write_text(CONTAINERD % {"pause": PAUSE_IMAGE, "snapshotter": snapshotter(lib)})
    values = {"cgroup": f"{layout.cgroup}/{host.name}", "dns": DNS_SERVICE, "domain": CLUSTER_DOMAIN}
    (lib / "kubelet.yaml").write_text(KUBELET % values)


def pod_network(host: Host) -> str:
    """A bridge on each node, with addresses of both families from the node's ranges, and ports of the node where a pod asks for them."""
    bridge = {
        "type": "bridge",
        "bridge": "cni0",
        "isGateway": True,
        "hairpinMode": True,
        # Pods see each other's own addresses: links between media nodes depend on it.
        "ipMasq": False,
        "ipam": {
            "type": "host-local",
            "ranges": [[{"subnet": host.pods_v4}], [{"subnet": host.pods_v6}]],
            "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}],
        },
    }
    ports = {"type": "portmap", "capabilities": {"portMappings": True}}
    return json.dumps({"cniVersion": "1.0.0", "name": "pods", "plugins": [bridge, ports]})


def snapshotter(directory: Path) -> str:
    """Overlays cannot lie on an overlay, as in a container: there, layers are copied."""
    kind = subprocess.run(["findmnt", "-n", "-o", "FSTYPE", "-T", directory], capture_output=True, text=True, check=True).stdout.strip()
    return "native" if kind == "overlay" else "overlayfs"


def start_containerd(layout: Layout, host: Host) -> None:
    Machine(layout, host.name).start("containerd", "--config=/var/lib/containerd.toml")


def wait_containerd(layout: Layout, host: Host) -> None:
    machine = Machine(layout, host.name)
    eventually(
        f"containerd on {host.name} answers (see {machine.log('containerd')})",
        lambda: machine.run("ctr", "version"),
        within=CONTAINERD_DEADLINE,
    )


def load(layout: Layout, host: Host, archive: Path) -> None:
    """Imports an OCI archive; the layers that the node has already cost nothing."""
    # As standard input, since a machine does not see all of the computer's folders.
    Machine(layout, host.name).run("ctr", "--namespace=k8s.io", "images", "import", "-", file=archive)


def start_kubelet(layout: Layout, host: Host, feature_gates: list[str]) -> None:
    machine = Machine(layout, host.name)
    machine.start(
        "kubelet",
        "--config=/var/lib/kubelet.yaml",
        "--kubeconfig=/var/lib/kubelet.conf",
        f"--hostname-override={host.name}",
        f"--node-ip={host.address.v4},{host.address.v6}",
        *feature_gates,
    )
    machine.start(
        "kube-proxy",
        f"--kubeconfig={layout.kubeconfig}",
        f"--hostname-override={host.name}",
        "--proxy-mode=nftables",
        f"--cluster-cidr={POD_RANGES}",
        # What is counted by the kernel for the whole computer is left alone.
        "--conntrack-max-per-core=0",
        "--nodeport-addresses=primary",
    )
