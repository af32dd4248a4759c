"""Helm against the test cluster, with the charts of this repository."""

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from installation import IMAGES, PACE
from testcluster.kubectl import Kubectl
from testcluster.layout import cache

ROOT = Path(__file__).parents[2]
# Helm's own deadline, so that what it waited for is in its message.
WAIT = 120


class HelmError(RuntimeError):
    """Helm ended with an error; the message has what it said."""


@dataclass
class Helm:
    kubectl: Kubectl
    program: str = os.environ.get("SFUMATO_HELM") or str(cache().parent / "tools" / "helm" / "helm")

    def run(self, *arguments: str) -> str:
        assert Path(self.program).exists(), f"{self.program} is not there: scripts/tools.sh helm"
        command = [self.program, "--kubeconfig", str(self.kubectl.kubeconfig), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=WAIT + 30, check=False)
        if done.returncode != 0:
            raise HelmError(f"helm {' '.join(arguments)} ended with {done.returncode}: {done.stderr.strip()}\n{done.stdout.strip()}")
        return done.stdout

    def deploy(self, release: str, chart: str, namespace: str, values: dict, *options: str) -> str:
        """Installs or upgrades, and waits as Helm does: until everything is as kstatus has it."""
        return self.run(
            *("upgrade", "--install", release, str(ROOT / "charts" / chart), "--namespace", namespace),
            *("--set-json", ",".join(f"{name}={json.dumps(value)}" for name, value in values.items())),
            *("--wait", f"--timeout={WAIT}s", *options),
        )

    def uninstall(self, release: str, namespace: str) -> None:
        self.run("uninstall", release, "--namespace", namespace, "--wait", f"--timeout={WAIT}s")

    def releases(self, namespace: str) -> list[str]:
        return [release["name"] for release in json.loads(self.run("list", "--namespace", namespace, "--output=json"))]


def image(name: str) -> dict:
    """Values for an image of this build."""
    repository, _, tag = IMAGES[name].rpartition(":")
    return {"repository": repository, "tag": tag}


def operator_values(*namespaces: str) -> dict:
    """Values for the images of this build, and for an operator that does not keep a test waiting."""
    return {
        "image": image("sfu-operator"),
        "clusters": {"nodeImage": image("sfu-node"), "webImage": image("sfu-web"), "redisImage": image("redis")},
        "watchNamespaces": list(namespaces),
        "extraArgs": [option.removeprefix("--arg=") for option in PACE],
    }
