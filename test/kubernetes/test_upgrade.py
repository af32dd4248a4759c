"""From the commit before to this one and back, by Helm: the operator is replaced, and no pod of a cluster is touched."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from helm import ROOT, WAIT, HelmError, operator_values
from installation import IMAGES, PREVIOUS, PREVIOUS_OPERATOR, Operator
from nodes import Nodes
from sfucluster import SfuCluster
from testcluster.fixtures import new_namespace
from testcluster.layout import cache
from testcluster.waiting import eventually

# The previous commit's images are on the test cluster only.
pytestmark = pytest.mark.testcluster

RELEASE = "sfumato"
DEFINITION = "sfuclusters.sfumato.dev"
# The number of the earlier release. Between two commits it mostly is the same, and between two releases it never is.
EARLIER = "0.0.1"
SPEC = {"replicas": 3, "workersPerNode": 1, "drain": {"deadline": "10s"}, "web": {"replicas": 1}}
LEADS = 40


@pytest.fixture
def system(operator, kubectl, helm) -> Iterator[str]:
    """A namespace for an operator by Helm. That of the other tests, which looks after all namespaces, is away meanwhile."""
    with operator.away(), new_namespace(kubectl, "upgrade-system") as name:
        yield name
        # What belongs to no namespace would stay.
        for release in helm.releases(name):
            helm.uninstall(release, name)


@pytest.fixture
def earlier(tmp_path) -> Path:
    """The charts of the commit before (scripts/previous.sh) as those of an earlier release, whose definition lacks a column."""
    charts = tmp_path / "charts"
    shutil.copytree(cache().parent / "previous" / "charts", charts)
    file = charts / "sfumato" / "files" / f"{DEFINITION}.yaml"
    definition = yaml.load(file.read_text(), yaml.CSafeLoader)
    definition["metadata"]["annotations"]["sfumato.dev/release"] = EARLIER
    definition["spec"]["versions"][0]["additionalPrinterColumns"].pop()
    file.write_text(yaml.safe_dump(definition))
    return charts


def values(namespace: str, operator: str, node: str) -> dict:
    """No options beside: an operator of the commit before may not know those of this one."""
    made = operator_values(namespace)
    del made["extraArgs"]
    return made | {"image": image(operator), "clusters": made["clusters"] | {"nodeImage": image(node)}}


def image(reference: str) -> dict:
    repository, _, tag = reference.rpartition(":")
    return {"repository": repository, "tag": tag}


def version(charts: Path) -> str:
    """What a chart's operator calls itself."""
    return yaml.load((charts / "sfumato" / "Chart.yaml").read_text(), yaml.CSafeLoader)["appVersion"]


def leads(operator: Operator, image: str, version: str) -> bool:
    """Whether a pod with this image leads, whose log begins with this version."""
    leader = operator.leader()
    [pod] = [pod for pod in operator.pods() if pod["metadata"]["name"] == leader]
    assert pod["spec"]["containers"][0]["image"] == image, pod["spec"]["containers"]
    log = operator.kubectl.run("logs", "--namespace", operator.namespace, leader)
    started = [line["version"] for line in map(json.loads, log.splitlines()) if line["message"] == "started"]
    assert started == [version], log[:1000]
    return True


def offers(live: SfuCluster, status: str, words: str = "") -> bool:
    """Whether the operator says this of the media nodes' image: so it has looked at the cluster."""
    said = live.condition("UpgradeAvailable")
    assert said["status"] == status, said
    assert words in said["message"], said
    return True


def lives(live: SfuCluster) -> dict[str, tuple[str, int]]:
    """UID and restarts of every pod of the cluster: media nodes, Redis and front door."""
    return {
        pod["metadata"]["name"]: (pod["metadata"]["uid"], sum(it["restartCount"] for it in pod["status"]["containerStatuses"]))
        for pod in live.get("pods")
    }


def links(live: SfuCluster) -> dict[tuple[str, str, int], str]:
    """Each end of each link by its id, which a link that is made again does not keep."""
    found = Nodes(live).links()
    assert {link["state"] for link in found.values()} == {"fresh"}, found
    return {end: link["id"] for end, link in found.items()}


def definition(kubectl) -> dict:
    found = kubectl.get("crd", DEFINITION)
    return {"uid": found["metadata"]["uid"], "release": found["metadata"]["annotations"]["sfumato.dev/release"], "spec": found["spec"]}


def test_an_upgrade_from_the_commit_before_and_its_rollback_replace_the_operator_and_nothing_else(helm, system, kubectl, namespace, earlier):
    live = SfuCluster(kubectl, namespace)
    operator = Operator(kubectl, system, RELEASE)
    # The definition is there already, by the other tests' manifests.
    ours = ("--take-ownership", "--force-conflicts")
    helm.deploy(RELEASE, str(earlier / "sfumato"), system, values(namespace, PREVIOUS_OPERATOR, PREVIOUS), *ours)
    helm.deploy("live", str(earlier / "sfumato-cluster"), namespace, {"spec": SPEC})
    live.whole(3)
    assert live.status()["mesh"]["summary"] == "3/3"
    assert leads(operator, PREVIOUS_OPERATOR, version(earlier))
    assert definition(kubectl)["release"] == EARLIER
    before, linked = lives(live), links(live)

    def untouched() -> None:
        live.whole(3)
        assert lives(live) == before
        assert links(live) == linked

    helm.deploy(RELEASE, "sfumato", system, values(namespace, IMAGES["sfu-operator"], IMAGES["sfu-node"]), "--force-conflicts")
    eventually("this commit's operator leads", lambda: leads(operator, IMAGES["sfu-operator"], version(ROOT / "charts")), within=LEADS)
    eventually("it has looked at the cluster", lambda: offers(live, "True", IMAGES["sfu-node"]), within=60)
    untouched()
    upgraded = definition(kubectl)
    assert upgraded["release"] == version(ROOT / "charts")
    helm.deploy("live", "sfumato-cluster", namespace, {"spec": SPEC})
    untouched()

    with pytest.raises(HelmError, match=f"stays that of release {upgraded['release']}"):
        helm.run("rollback", RELEASE, "1", "--namespace", system, "--wait", f"--timeout={WAIT}s")
    operator.rolled_out()
    eventually("the earlier operator leads", lambda: leads(operator, PREVIOUS_OPERATOR, version(earlier)), within=LEADS)
    eventually("it has looked at the cluster", lambda: offers(live, "False"), within=60)
    untouched()
    assert definition(kubectl) == upgraded, "fields of SfuClusters would be lost"
