"""A cluster by `sfu-operator local`, seen from outside: front door, admin API, processes, logs."""

import itertools
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar
from urllib.parse import urlsplit

import httpx

from harness import redis
from harness.ports import Slot
from harness.processes import Child, alive, comm, tail
from harness.waiting import PATIENCE, eventually


def manifest(replicas: int, more: str = "") -> str:
    """An SfuCluster for `sfu-operator local --file`; `more` is further YAML of its spec."""
    return f"""\
apiVersion: sfumato.dev/v1alpha1
kind: SfuCluster
metadata:
  name: e2e
spec:
  replicas: {replicas}
{more}"""


class Cluster:
    """`sfu-operator local` with ports and a state directory of its own."""

    running: ClassVar[list["Cluster"]] = []

    def __init__(
        self,
        binaries: Path,
        directory: Path,
        slot: Slot,
        *,
        nodes: int | None = 3,
        options: tuple = (),
        env: dict | None = None,
        observer: Callable[[], str] | None = None,
    ):
        self.slot = slot
        # Makes a token that may see the cluster, where clients need tokens.
        self._observer = observer
        self.nodes = nodes
        self.state = directory / "state"
        self.front = f"http://127.0.0.1:{slot.web}"
        count = [] if nodes is None else ["--nodes", str(nodes)]
        command = [binaries / "sfu-operator", "local", *count, *slot.options(), "--state-dir", self.state, *options]
        self.child = Child("sfu-operator local", command, directory / "operator.log", env=env)
        self.http = httpx.Client(trust_env=False, timeout=5)
        Cluster.running.append(self)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self) -> None:
        self.http.close()
        self.child.stop()
        if self in Cluster.running:
            Cluster.running.remove(self)

    def started(self, nodes: int | None = None, within: float = 30):
        """Waits until all nodes are ready and the mesh is whole."""

        def check():
            if not self.child.running():
                raise RuntimeError(f"sfu-operator ended with {self.child.process.returncode}:\n{self.child.tail()}")
            return self.whole(nodes)

        try:
            eventually("the cluster is up and its mesh whole", check, within=within)
        except BaseException as error:
            error.add_note(self.tails())
            self.stop()
            raise
        return self

    # Names and addresses

    def names(self, nodes: int | None = None) -> list[str]:
        return [f"sfu-{i + 1}" for i in range(nodes or self.nodes)]

    def whip(self, stream: str, node: str | None = None) -> str:
        return f"{self.front}/whip/{stream}" + (f"?node={node}" if node else "")

    def whep(self, stream: str, node: str | None = None) -> str:
        return f"{self.front}/whep/{stream}" + (f"?node={node}" if node else "")

    def client_url(self, node: str) -> str:
        return f"http://127.0.0.1:{self.slot.client + ordinal(node)}"

    def admin_url(self, node: str) -> str:
        return f"http://127.0.0.1:{self.slot.admin + ordinal(node)}"

    def health_url(self, node: str) -> str:
        return f"http://127.0.0.1:{self.slot.health + ordinal(node)}"

    def pipe_range(self, node: str) -> tuple[int, int]:
        first = self.slot.pipes + 100 * ordinal(node)
        return first, first + 99

    # What the cluster says

    def json(self) -> dict:
        """`/api/v1/cluster` of the front door."""
        headers = {"Authorization": f"Bearer {self._observer()}"} if self._observer else {}
        answer = self.http.get(f"{self.front}/api/v1/cluster", headers=headers)
        assert answer.status_code == 200, f"{answer.status_code} {answer.text}"
        return answer.json()

    def token(self) -> str:
        return (self.state / "admin-token").read_text().strip()

    def admin(self, method: str, node: str, path: str, **more) -> httpx.Response:
        """A call of a node's admin API, below `/admin/v1/`."""
        headers = {"Authorization": f"Bearer {self.token()}"}
        return self.http.request(method, f"{self.admin_url(node)}/admin/v1/{path}", headers=headers, **more)

    def report(self, node: str) -> dict:
        """`/admin/v1/node` of a node: its own word, not the front door's copy."""
        answer = self.admin("GET", node, "node")
        assert answer.status_code == 200, f"{answer.status_code} {answer.text}"
        return answer.json()

    def objects(self, node: str) -> dict:
        """`/admin/v1/objects` of a node: what it and its workers hold."""
        headers = {"Authorization": f"Bearer {self.token()}"}
        answer = self.http.get(f"{self.admin_url(node)}/admin/v1/objects", headers=headers)
        assert answer.status_code == 200, f"{answer.status_code} {answer.text}"
        return answer.json()

    def reports(self, nodes: int | None = None) -> dict[str, dict]:
        return {name: self.report(name) for name in self.names(nodes)}

    def whole(self, nodes: int | None = None) -> dict[str, dict]:
        """The nodes' reports if both ends of every lane say that it is fresh, and the front door agrees; raises what is missing."""
        names = self.names(nodes)
        reports = self.reports(nodes)
        for me, other in itertools.permutations(names, 2):
            lanes = min(reports[me]["workers"], reports[other]["workers"])
            ends = [end for end in reports[me]["links"] if end["peer"] == other]
            assert [end["lane"] for end in ends] == list(range(lanes)), f"{me} has lanes {[e['lane'] for e in ends]} to {other}"
            for end in ends:
                assert end["peerIncarnation"] == reports[other]["incarnation"], f"{me} has a link to a dead life of {other}"
                assert end["state"] == "fresh", f"{me}'s link to {other} is {end['state']}"
                far = [e["id"] for e in reports[other]["links"] if e["peer"] == me and e["lane"] == end["lane"]]
                assert [end["remote"]] == far, f"{me}'s link to {other} ends at {end['remote']}, not at {far}"
        assert all(report["ready"] for report in reports.values()), "a node is not ready"
        seen = self.json()
        assert [node["name"] for node in seen["nodes"]] == names, f"the front door lists {[n['name'] for n in seen['nodes']]}"
        assert all(node["ready"] and node["reachable"] for node in seen["nodes"]), "the front door lists a node as not ready"
        pairs = len(names) * (len(names) - 1) // 2
        assert seen["mesh"] == {"desiredPairs": pairs, "establishedPairs": pairs}, f"the front door says {seen['mesh']}"
        return reports

    def wait_whole(self, nodes: int | None = None, within: float = 20) -> dict[str, dict]:
        return eventually("the mesh is whole", lambda: self.whole(nodes), within=within)

    def stream(self, name: str) -> dict | None:
        """A stream in the front door's JSON."""
        return next((stream for stream in self.json()["streams"] if stream["name"] == name), None)

    def redis(self, *words: str):
        """One command to this cluster's Redis."""
        password = urlsplit((self.state / "redis-url").read_text()).password
        return redis.ask(self.slot.redis, *words, password=password)

    def claimed(self, stream: str) -> bool:
        """Whether Redis holds a claim on a stream name."""
        return bool(self.redis("KEYS", f"sfumato:*:stream:{stream}"))

    # Processes

    def pid(self, node: str) -> int:
        return self.report(node)["pid"]

    def child_named(self, program: str) -> int:
        """Pid of the one living process of this cluster with that program name."""
        found = [pid for pid in self.child.family() if comm(pid) == program]
        assert len(found) == 1, f"{len(found)} processes named {program}"
        return found[0]

    def kill(self, pid: int, number: signal.Signals = signal.SIGKILL) -> float:
        assert pid in self.child.family(), f"{pid} is not of this cluster"
        os.kill(pid, number)
        return time.monotonic()

    def gone(self, pids: list[int], within: float) -> None:
        eventually(f"{pids} have ended", lambda: not [pid for pid in pids if alive(pid)], within=within)

    def tails(self, lines: int = 25) -> str:
        parts = [f"--- sfu-operator local ---\n{self.child.tail(lines)}"]
        parts += [f"--- {log.name} ---\n{tail(log, lines)}" for log in sorted(self.state.glob("logs/*"))]
        return "\n".join(parts)


def ordinal(node: str) -> int:
    return int(node.removeprefix("sfu-")) - 1


def link_ids(reports: dict[str, dict]) -> dict[tuple[str, str, int], str]:
    """The id of every end of every link: (node, peer, lane) -> id."""
    return {(name, end["peer"], end["lane"]): end["id"] for name, report in reports.items() for end in report["links"]}


def between(ids: dict[tuple[str, str, int], str], a: str, b: str) -> dict[tuple[str, str, int], str]:
    """Those of the links between two nodes."""
    return {key: value for key, value in ids.items() if {key[0], key[1]} == {a, b}}


def lost_between(reports: dict[str, dict], a: str, b: str) -> int:
    """RTP packets that the links between two nodes lost since they were made."""
    return sum(end["packetsLost"] for me, other in ((a, b), (b, a)) for end in reports[me]["links"] if end["peer"] == other)


def scaled(seconds: float) -> float:
    return seconds * PATIENCE
