"""What those who wait for a manifest make of an SfuCluster: kstatus, which Helm and Flux go by, and the script for Argo CD in examples/argocd."""

from pathlib import Path

import yaml
from lupa.lua51 import LuaRuntime

SCRIPT_FILE = Path(__file__).parents[2] / "examples" / "argocd" / "argocd-cm.yaml"
SCRIPT = "resource.customizations.health.sfumato.dev_SfuCluster"


def kstatus(cluster: dict) -> str:
    """What sigs.k8s.io/cli-utils/pkg/kstatus makes of an object of a kind that it does not know."""
    metadata, status = cluster["metadata"], cluster.get("status", {})
    conditions = {condition["type"]: condition["status"] for condition in status.get("conditions", [])}
    if "deletionTimestamp" in metadata:
        return "Terminating"
    if status.get("observedGeneration", metadata["generation"]) != metadata["generation"]:
        return "InProgress"
    # The first of these that it finds counts; there is never more than one.
    if conditions.get("Reconciling") == "True":
        return "InProgress"
    if conditions.get("Stalled") == "True":
        return "Failed"
    return "Current" if conditions.get("Ready", "True") == "True" else "InProgress"


class ArgoCd:
    """Runs the script in Lua 5.1, as Argo CD does."""

    def __init__(self):
        config = yaml.safe_load(SCRIPT_FILE.read_text())
        self._lua = LuaRuntime()
        self._health = self._lua.execute(f"return function(obj) {config['data'][SCRIPT]} end")

    def health(self, cluster: dict) -> tuple[str, str]:
        """Status and message."""
        said = self._health(self._lua.table_from(cluster, recursive=True))
        return said["status"], said["message"]
