"""How fast Sfumato is on Kubernetes, and what it costs: `make bench-kubernetes`. The rows become a table for docs/benchmarks.md. No tests: what is
asserted is that there is something to measure."""

import math
import os
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from fleet import Fleet
from sfucluster import WHOLE, SfuCluster
from stand_in_kubelet import Fate
from testcluster import process_table
from testcluster.images import sfumato_archives, unpacked_size
from testcluster.waiting import eventually
from timeline import Timeline

# Where the table goes.
TABLE = Path(os.environ.get("SFUMATO_FIGURES", "figures.md"))
CLUSTERS = {f"idle-{number:02}": Fate.RUN for number in range(50)}
# For how long clusters at rest are watched.
IDLE_MINUTES = 2
# Without a request for so long, in seconds, they are at rest.
QUIET = 10


@dataclass
class Row:
    what: str
    unit: str
    wanted: str
    samples: list[float]

    def line(self) -> str:
        ordered = sorted(self.samples)
        p95 = ordered[math.ceil(0.95 * len(ordered)) - 1]
        figures = " | ".join(f"{value:.2f}" for value in (ordered[0], statistics.median(ordered), p95, ordered[-1]))
        return f"| {self.what} | {self.unit} | {self.wanted} | {len(ordered)} | {figures} |"


@pytest.fixture(scope="session")
def table() -> Iterator[list[Row]]:
    rows: list[Row] = []
    yield rows
    head = "|  | unit | wanted | n | min | median | p95 | max |\n| --- | --- | --- | --: | --: | --: | --: | --: |"
    TABLE.write_text("\n".join([head, *(row.line() for row in rows)]) + "\n")


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("nodes", "samples", "wanted"), [(3, 10, "p95 at most 1"), (10, 4, "at most 3")])
def test_pods_ready_to_mesh_ready(api, kubectl, namespace, operator, table, nodes, samples, wanted):
    after_ready, after_apply = [], []
    for number in range(samples):
        sfu = SfuCluster(kubectl, namespace, f"mesh-{number}")
        timeline = Timeline(api, sfu)
        sfu.apply(replicas=nodes)
        applied = time.monotonic()
        uids = eventually("there are pods", lambda of=sfu: uids_of(of, nodes), within=WHOLE)
        whole = timeline.whole(nodes, uids, within=WHOLE)
        after_ready.append(whole - timeline.ready(uids, within=WHOLE))
        after_apply.append(whole - applied)
        # The next sample finds the machine as this one did.
        sfu.run("delete", f"sfu/{sfu.name}", "--cascade=foreground", timeout=WHOLE)
    table.append(Row(f"{nodes} pods, the last one Ready -> MeshReady (negative: before it)", "s", wanted, after_ready))
    table.append(Row(f"{nodes} pods, kubectl apply -> MeshReady, images being there", "s", "", after_apply))


def uids_of(sfu: SfuCluster, nodes: int) -> set[str] | None:
    uids = set(sfu.uids().values())
    return uids if len(uids) == nodes else None


@pytest.mark.timeout(300)
def test_pod_deleted_to_mesh_whole(api, trio, table):
    timeline = Timeline(api, trio)
    after_ready, after_deletion = [], []
    for _ in range(10):
        before = trio.uids()["live-1"]
        deleted = time.monotonic()
        trio.run("delete", "pod/live-1", "--wait=false")
        trio.replaced("live-1", before, within=WHOLE)
        uids = set(trio.uids().values())
        whole = timeline.whole(3, uids, within=WHOLE)
        after_ready.append(whole - timeline.ready(uids, within=WHOLE))
        after_deletion.append(whole - deleted)
    table.append(Row("pod deleted, the new one Ready -> mesh whole (negative: before it)", "s", "at most 2", after_ready))
    table.append(Row("pod deleted -> mesh whole", "s", "", after_deletion))


@pytest.mark.testcluster
@pytest.mark.timeout(600)
def test_fifty_clusters_at_rest(fleet: Fleet, operator, audit, table):
    fleet.apply(CLUSTERS)
    fleet.await_ready(set(CLUSTERS), within=240)
    process = operator.process()

    def asked() -> list:
        requests = audit.requests(operator.user)
        return [r for r in requests if r.namespace == fleet.namespace and r.verb != "watch"]

    quiet_since, seen = time.monotonic(), 0

    def quiet() -> bool:
        nonlocal quiet_since, seen
        if len(asked()) != seen:
            quiet_since, seen = time.monotonic(), len(asked())
        return time.monotonic() - quiet_since >= QUIET

    eventually("nothing happens any more", quiet, within=120, every=1)
    memory, requests_of_each, writes = [], [], 0
    for _ in range(IDLE_MINUTES):
        audit.restart()
        end = time.monotonic() + 60
        while time.monotonic() < end:
            memory.append(process_table.memory(process)["VmRSS"] / 1e6)
            time.sleep(1)
        requests = asked()
        requests_of_each.append(len(requests) / len(CLUSTERS))
        writes += sum(r.resource.endswith("/status") for r in requests)
    table.append(Row("requests to the API server a cluster a minute at rest, mean of 50 clusters", "", "at most 4", requests_of_each))
    table.append(Row("status writes of all 50 in that time", "", "0", [writes]))
    table.append(Row("memory of the operator (VmRSS) with 50 clusters", "MB", "at most 64", memory))


def test_image_sizes(operator, table):
    for name, wanted in [("sfu-operator", "at most 25"), ("sfu-node", "at most 60"), ("sfu-smoke", ""), ("sfu-web", "")]:
        [archive] = sfumato_archives(operator.programs, only=[name]).values()
        table.append(Row(f"image {name}, unpacked", "MB", wanted, [unpacked_size(archive) / 1e6]))
