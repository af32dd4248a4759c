"""Volumes for claims: folders on each node's own disk, offered as `local` volumes by the default storage class, which respect a pod's fsGroup.

Nothing provisions or cleans them: a volume that was used once stays Released, and each node has some more."""

import json

from .layout import Host, Layout

VOLUMES_PER_NODE = 10
STORAGE_CLASS = "local"
SIZE = "10Gi"


def make_folders(layout: Layout, host: Host) -> None:
    for number in range(VOLUMES_PER_NODE):
        (layout.machine(host.name) / f"var-lib/volumes/{number}").mkdir(parents=True)


def manifests(hosts: list[Host]) -> str:
    storage_class = {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": STORAGE_CLASS, "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
        "provisioner": "kubernetes.io/no-provisioner",
        "volumeBindingMode": "WaitForFirstConsumer",
    }
    volumes = [volume(host, number) for host in hosts for number in range(VOLUMES_PER_NODE)]
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": [storage_class, *volumes]})


def volume(host: Host, number: int) -> dict:
    on_its_node = {"key": "kubernetes.io/hostname", "operator": "In", "values": [host.name]}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": f"{host.name}-{number}"},
        "spec": {
            "storageClassName": STORAGE_CLASS,
            "capacity": {"storage": SIZE},
            "accessModes": ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Retain",
            "local": {"path": f"/var/lib/volumes/{number}"},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [on_its_node]}]}},
        },
    }
