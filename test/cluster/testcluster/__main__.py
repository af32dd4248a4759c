"""Command line of the test cluster; scripts/cluster.sh calls it after it has built what is needed."""

import argparse
import contextlib
import os
import sys
from pathlib import Path

from . import bring_up, images, node, tear_down
from .image import reference
from .kubectl import Kubectl, KubectlError
from .layout import CLIENT, KUBERNETES, Layout, cache
from .machines import Machine, MachineError


def main() -> int:
    arguments = parser().parse_args()
    layout = Layout(arguments.name)
    try:
        return arguments.command(layout, arguments) or 0
    except (bring_up.CannotStart, MachineError, KubectlError, FileNotFoundError, images.ImageTooLarge, AssertionError) as error:
        print(f"cluster: {error}", file=sys.stderr)
        return 1


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="cluster.sh",
        description=f"A real Kubernetes {KUBERNETES} on this computer, without Docker: every machine is a set of namespaces. Needs root.",
    )
    top.add_argument(
        "--name",
        default=os.environ.get("SFUMATO_CLUSTER", "default"),
        help="which cluster; several can be up at once (default: %(default)s)",
    )
    commands = top.add_subparsers(required=True, metavar="COMMAND")

    def command(name, function, about):
        one = commands.add_parser(name, help=about, description=about)
        one.set_defaults(command=function)
        return one

    it = command("up", up, "bring a cluster up, unless it is; what a killed attempt left is taken down first")
    it.add_argument("--nodes", type=int, default=3, help="how many Kubernetes nodes (default: %(default)s)")
    it.add_argument("--feature-gates", default="", metavar="GATE=true,...", help="feature gates of every Kubernetes program")
    command("down", down, "take a cluster down; nothing of it stays: no process, mount, namespace, cgroup or file")
    it = command("load", load, "import image archives on every node")
    it.add_argument("archives", nargs="+", type=Path, metavar="ARCHIVE")
    it = command(
        "images",
        sfumato,
        "write Sfumato's images (sfu-node, sfu-operator, sfu-web, redis) from built programs, and load them where the cluster is up",
    )
    it.add_argument("--bin", type=Path, required=True, help="the folder of the programs")
    it.add_argument("--tag", help="their tag: localhost/sfumato/NAME:TAG (default: the digest of each, so that a changed program has a changed name)")
    it.add_argument("--only", nargs="+", metavar="NAME", help="only these")
    it = command("archives", archives, "write the images of built programs for others than the test cluster, as sfumato/NAME:TAG")
    it.add_argument("--bin", type=Path, required=True, help="the folder of the programs")
    it.add_argument("--tag", required=True, help="their tag")
    it.add_argument("folder", type=Path, help="where the archives go")
    it = command("references", references, "list what the images of built programs are called, by program; writes those that are missing")
    it.add_argument("--bin", type=Path, required=True, help="the folder of the programs")
    it = command(
        "exec",
        execute,
        "run a command in the network of one machine, with kubectl and KUBECONFIG; the rest of the computer looks as always",
    )
    it.add_argument(
        "--from",
        dest="machine",
        default=CLIENT,
        help="client (in the pod network), outside (reaches nodes only), control-plane, or node-1, node-2, ... (default: %(default)s)",
    )
    it.add_argument("words", nargs=argparse.REMAINDER, metavar="COMMAND")
    it = command(
        "enter",
        enter,
        "run a command on one machine, with its processes, mounts and network: `enter node-1 -- ctr -n k8s.io tasks list`",
    )
    it.add_argument("machine")
    it.add_argument("words", nargs=argparse.REMAINDER, metavar="COMMAND")
    command("status", status, "tell whether the cluster is up, and how to use it; ends with 1 where it is not")
    command("leftovers", leftovers, "list what a cluster that is down left behind; ends with 1 where there is anything")
    return top


def up(layout: Layout, arguments: argparse.Namespace) -> None:
    bring_up.up(layout, arguments.nodes, arguments.feature_gates)
    status(layout, arguments)


def down(layout: Layout, _: argparse.Namespace) -> None:
    tear_down.down(layout)
    print(f"cluster {layout.name} is down")


def load(layout: Layout, arguments: argparse.Namespace) -> None:
    for archive in arguments.archives:
        for host in bring_up.nodes(layout):
            node.load(layout, host, archive)
        print(f"  {reference(archive)} is on every node")


def sfumato(layout: Layout, arguments: argparse.Namespace) -> None:
    archives = images.sfumato_archives(arguments.bin.resolve(), arguments.tag, only=arguments.only)
    if layout.ready_mark.is_file():
        arguments.archives = list(archives.values())
        load(layout, arguments)


def archives(_: Layout, arguments: argparse.Namespace) -> None:
    images.release_archives(arguments.bin.resolve(), arguments.tag, arguments.folder)


def references(_: Layout, arguments: argparse.Namespace) -> None:
    with contextlib.redirect_stdout(sys.stderr):
        found = images.references(arguments.bin.resolve())
    print("\n".join(f"{name} {reference}" for name, reference in found.items()))


def execute(layout: Layout, arguments: argparse.Namespace) -> None:
    run(Machine(layout, arguments.machine).nsenter(only_network=True), layout, arguments.words)


def enter(layout: Layout, arguments: argparse.Namespace) -> None:
    run(Machine(layout, arguments.machine).nsenter(), layout, arguments.words)


def run(prefix: list[str], layout: Layout, words: list[str]) -> None:
    words = words[1:] if words[:1] == ["--"] else words
    environment = os.environ | {
        "KUBECONFIG": str(layout.kubeconfig),
        "SFUMATO_CLUSTER": layout.name,
        "PATH": f"{cache() / 'bin'}:{os.environ.get('PATH', '/usr/sbin:/usr/bin:/sbin:/bin')}",
    }
    command = [*prefix, *(words or [os.environ.get("SHELL", "/bin/sh")])]
    os.execvpe(command[0], command, environment)


def status(layout: Layout, _: argparse.Namespace) -> int:
    if not layout.ready_mark.is_file() or not Machine(layout, CLIENT).init():
        print(f"cluster {layout.name} is not up")
        return 1
    print(Kubectl.of(layout).run("get", "nodes", "--output=wide").rstrip())
    option = "" if layout.name == "default" else f" --name {layout.name}"
    print(
        f"""
  kubectl, or any other program, in the pod network:   scripts/cluster.sh{option} exec kubectl get pods -A
  a shell there:                                       scripts/cluster.sh{option} exec
  images from built programs, loaded on all nodes:     scripts/cluster.sh{option} images
  kubeconfig: {layout.kubeconfig} (its server answers in the cluster's networks only)
  logs:       {layout.logs}"""
    )
    return 0


def leftovers(layout: Layout, _: argparse.Namespace) -> int:
    found = tear_down.leftovers(layout)
    print("\n".join(found) or f"nothing is left of cluster {layout.name}")
    return 1 if found else 0


sys.exit(main())
