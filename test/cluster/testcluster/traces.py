"""What is left of a test that failed, for whoever asks later why: its text, and the cluster as it was at that moment.

A second attempt passes and its run goes on, so that without this nothing would tell a race from a slow machine."""

import re
import shutil
from pathlib import Path

from .attempts import RUN
from .kubectl import Kubectl, KubectlError
from .layout import cache

FOLDER = cache() / "failed/tests"
# Runs whose traces are kept.
KEPT = 10
# Seconds for one question.
ASKED = 20
# Lines of each container's log.
LINES = 3000

QUESTIONS = (
    ("get", "nodes,pods", "--all-namespaces", "--output=wide"),
    ("get", "events", "--all-namespaces", "--sort-by=.metadata.creationTimestamp"),
    ("get", "sfuclusters", "--all-namespaces", "--output=yaml"),
)
NAMES = ("sfumato", "sfu-operator")
# Of the cluster itself: its DNS.
SYSTEM = "kube-system"


def keep(item, report) -> None:
    """Writes the traces of a failed test. What cannot be asked any more is said there instead."""
    folder = FOLDER / re.sub(r"\W+", "-", RUN)
    folder.mkdir(parents=True, exist_ok=True)
    drop_old(FOLDER)
    name = re.sub(r"\W+", "-", item.name)[:100]
    number = sum(1 for _ in folder.glob(f"{name}.*.txt")) + 1
    parts = [report.longreprtext, *(f"-- {title}\n{text}" for title, text in report.sections)]
    kubectl = getattr(item, "funcargs", {}).get("kubectl")
    if isinstance(kubectl, Kubectl):
        parts += cluster(kubectl)
    (folder / f"{name}.{number}.txt").write_text("\n\n".join(parts))


def cluster(kubectl: Kubectl) -> list[str]:
    questions = list(QUESTIONS)
    try:
        pods = kubectl.get_by_kubectl("pods", "--all-namespaces")
    except KubectlError as error:
        return [str(error)]
    for pod in pods:
        about = pod["metadata"]
        if about["namespace"] == SYSTEM or about.get("labels", {}).get("app.kubernetes.io/name") in NAMES:
            log = ("logs", "--namespace", about["namespace"], about["name"], "--all-containers", f"--tail={LINES}")
            questions.append(log)
            if any(it["restartCount"] for it in pod.get("status", {}).get("containerStatuses", [])):
                questions.append((*log, "--previous"))
    return [f"-- kubectl {' '.join(question)}\n{answer(kubectl, question)}" for question in questions]


def answer(kubectl: Kubectl, question: tuple[str, ...]) -> str:
    try:
        return kubectl.run(*question, timeout=ASKED)
    except KubectlError as error:
        return str(error)


def drop_old(folder: Path) -> None:
    runs = sorted((it for it in folder.iterdir() if it.is_dir()), key=lambda it: it.stat().st_mtime)
    for run in runs[:-KEPT]:
        shutil.rmtree(run, ignore_errors=True)
