"""Every command that Sfumato prints is one that works: in the hints of `make cluster-run`, in the notes of the charts, in messages of conditions and
events, and in the examples of each `--help`. All are collected here, so that a new one needs a row, or an option that its program knows."""

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from api_client import path
from installation import program
from testcluster.layout import binary
from testcluster.waiting import eventually

ROOT = Path(__file__).parents[2]
PROGRAMS = {
    "sfu-operator": ["", "local", "run", "manifests", "crds", "token"],
    "sfu-node": [""],
    "sfu-web": [""],
    "sfu-smoke": [""],
    "sfu-bench": [""],
}
# What stands for itself in notes and messages, and what it is in the story.
VALUES = {
    "{{ .Release.Namespace }}": "NAMESPACE",
    "{{ $name }}": "live",
    '{{ include "sfumato-cluster.port" . }}': "2020",
    '{{ include "sfumato.fullname" . }}': "sfu-operator",
    "{{ with .Values.watchNamespaces }} --namespace {{ first . }}{{ end }}": "",
    "{{- with .Values.watchNamespaces }} --namespace {{ first . }}{{ end }}": "",
    "{namespace}": "NAMESPACE",
    "{name}": "live",
    "{cluster}": "live",
    "COUNT": "5",
    "pod {pod}": "pod live-1",
    "{of}": "sfu-node",
    "{OPERATOR_ANNOTATION}": "sfumato.dev/operator",
    # Only that of Redis is named in a command.
    "statefulset {set}": "statefulset live-redis",
    "{me}": "NAMESPACE/sfu-operator",
    # One before a media node has the same shape.
    "service {service}": "service live-nodes",
}
# Those that wait for more: it is enough that they show what is there.
WATCHES = re.compile(r" --watch$")
# A pod's name, in messages about pods.
ABOUT_PODS = re.compile(r"^(kubectl (?:describe pod|get pod|logs)) live\b")
# What no API server by itself can carry out; kubectl must understand it.
ONLY_READ = ("kubectl port-forward ", "kubectl logs ", "kubectl get --raw ", "kubectl rollout status ")


def with_values(command: str) -> str:
    for template, value in VALUES.items():
        command = command.replace(template, value)
    assert "{" not in command, f"{command}: what stands for itself has no row in VALUES"
    return ABOUT_PODS.sub(r"\1 live-1", command)


def hints() -> set[str]:
    """Of `make cluster-run` and of the charts: a line each, maybe with a remark at its end."""
    files = [ROOT / "scripts" / "cluster-run.sh", *(ROOT / "charts").glob("*/templates/NOTES.txt")]
    texts = [file.read_text() for file in files]
    texts[0] = texts[0].partition("<<'TEXT'")[2]
    found = [line for text in texts for line in re.findall(r"^  ((?:kubectl|helm|curl) \S.*?)(?: {2,}.*)?$", text, re.M)]
    return set(map(with_values, found))


def advice() -> set[str]:
    """Of messages: in backticks, within texts of the operator."""
    found = set()
    for file in (ROOT / "operator" / "src").rglob("*.rs"):
        program_text = re.split(r"^#\[cfg\(test\)\]$", file.read_text(), maxsplit=1, flags=re.M)[0]
        if "test" in file.name or "stories" in file.name:
            continue
        lines = [line for line in program_text.splitlines() if not line.lstrip().startswith(("//", "#"))]
        found |= set(re.findall(r"`((?:kubectl|helm) [^`]+)`", "\n".join(lines)))
    # A word about kubectl, such as `kubectl apply`, is no command.
    return {with_values(command) for command in found if len(command.split()) > 2}


def examples(name: str, subcommand: str) -> list[list[str]]:
    """Commands of this program in the help of one of its subcommands."""
    # Wide enough that no command is wrapped.
    wide = os.environ | {"COLUMNS": "1000"}
    said = subprocess.run([program(name), *subcommand.split(), "--help"], capture_output=True, text=True, check=True, env=wide).stdout
    joined = re.sub(r"\\\n\s*", "", said)
    commands = re.findall(rf"^ {{2,}}({name}(?: .*)?)$", joined, re.M)
    return [shlex.split(command.removesuffix(" &"), comments=True) for command in commands]


def understood(name: str, arguments: list[str]) -> bool:
    """Whether a program understands what comes before `--help`; that ends it before it does anything."""
    command = [program(name), *arguments, "--help"]
    return subprocess.run(command, capture_output=True, cwd=ROOT, check=False).returncode == 0


def test_every_example_of_a_help_text_is_understood():
    seen = 0
    for name, subcommands in PROGRAMS.items():
        for subcommand in subcommands:
            for _, *arguments in examples(name, subcommand):
                assert understood(name, arguments), f"{name} {arguments}"
                seen += 1
    assert seen > 8
    # Or nothing was shown.
    assert not understood("sfu-operator", ["local", "--no-such-option", "5"])
    assert not understood("sfu-operator", ["local", "--web-port", "many"])


@pytest.fixture
def printed(plane, story, tmp_path):
    """Runs a command as it is printed, against the story's objects. What waits for more is ended after a moment."""

    def run(command: str) -> None:
        words = shlex.split(command.replace("NAMESPACE", story.namespace))
        assert words[0] == "kubectl", f"{command}: only kubectl is run here"
        options = [f"--kubeconfig={plane.folder / 'kubeconfig'}", f"--cache-dir={tmp_path / 'cache'}"]
        if not any(word in ("--namespace", "--all-namespaces", "--raw") for word in words):
            options.append(f"--namespace={story.namespace}")
        words = [word for word in words if word != "--watch"]
        read = ["--help"] if command.startswith(ONLY_READ) else ["--request-timeout=20s"]
        done = subprocess.run([binary("kubectl"), *options, *words[1:], *read], capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{command}: {done.stderr}"

    return run


def test_every_command_of_a_hint_or_a_message_is_one_that_works(live, story, printed):
    live.up(redis={"managed": {"storage": {"size": "1Gi"}}})
    commands = hints() | advice()
    assert len(commands) > 8, commands
    helm = {command for command in commands if command.startswith("helm ")}
    assert helm == {"helm install live charts/sfumato-cluster"}, "the charts' own tests install it; a new one needs a test"

    def runs(pod: str) -> bool:
        found = live.pods().get(pod)
        return found is not None and "deletionTimestamp" not in found["metadata"]

    # The last ones change what the others look at.
    for command in sorted(commands - helm, key=lambda it: ("delete" in it, "scale" in it, "annotate" in it, it)):
        if " live-1" in command:
            eventually("live-1 is there, or there again", lambda: runs("live-1"), within=30)
        printed(command)
    assert story.api.get(path("sfuclusters", story.namespace, "live"))["spec"]["replicas"] == 5


def test_a_command_that_does_not_work_is_found(live, printed):
    """Or the test above would show nothing."""
    live.create()
    with pytest.raises(AssertionError, match="sfuu"):
        printed("kubectl get sfuu live")
