"""The charts on a real cluster: what `helm install` alone brings up, and what upgrades, rollbacks and uninstalling in either order leave."""

import contextlib
import json
import secrets
import time
from collections.abc import Iterator

import pytest

from helm import ROOT, WAIT, Helm, HelmError, image, operator_values
from sfucluster import SfuCluster
from testcluster.fixtures import new_namespace
from testcluster.waiting import eventually

OPERATOR = "sfumato"
# Of another release of the operator, for which the definition is somebody else's.
ANOTHER = "again"
# Nobody runs it: media nodes keep their image when the operator is replaced.
NEWER = "localhost/sfumato/sfu-node:newer"
SPEC = {"replicas": 3, "workersPerNode": 1, "drain": {"deadline": "10s"}, "web": {"replicas": 1}}


@pytest.fixture
def system(operator, kubectl) -> Iterator[str]:
    """A namespace for an operator by Helm. That of the other tests, which looks after all namespaces, is away meanwhile."""
    with operator.away(), new_namespace(kubectl, "chart-system") as name:
        yield name


@contextlib.contextmanager
def uninstalled_at_the_end(helm: Helm, namespace: str) -> Iterator[None]:
    """What belongs to no namespace would stay."""
    try:
        yield
    finally:
        for release in helm.releases(namespace):
            helm.uninstall(release, namespace)


def install(helm: Helm, release: str, chart: str, namespace: str, values: dict, *options: str) -> None:
    """By the command that an administrator gives, which fails where the release is there already."""
    settings = ",".join(f"{name}={json.dumps(value)}" for name, value in values.items())
    place = ("install", release, str(ROOT / "charts" / chart), "--namespace", namespace)
    helm.run(*place, "--set-json", settings, "--wait", f"--timeout={WAIT}s", *options)


def newer(values: dict) -> dict:
    """Values of a release of the operator that has another media node, and says more."""
    repository, _, tag = NEWER.rpartition(":")
    clusters = values["clusters"] | {"nodeImage": {"repository": repository, "tag": tag}}
    return {"clusters": clusters, "log": {"filter": "debug"}, "podAnnotations": {"try": "2"}}


def upgradable(live: SfuCluster, status: str, words: str = "") -> None:
    """Waits until the operator says whether its own release has another image than what runs."""

    def told() -> bool:
        now = live.condition("UpgradeAvailable")
        assert now["status"] == status, now
        assert words in now["message"], now
        return True

    eventually(f"UpgradeAvailable is {status}", told, within=60)


def definition(kubectl) -> dict:
    return kubectl.get("crd", "sfuclusters.sfumato.dev")


def test_two_installs_make_a_mesh_that_lives_through_upgrade_rollback_and_uninstalling_in_either_order(helm, system, kubectl, namespace, capsys):
    live = SfuCluster(kubectl, namespace)
    values = operator_values(namespace)
    with uninstalled_at_the_end(helm, system):
        # The definition is there already, by the other tests' manifests: somebody who changes to Helm has that as well.
        began = time.monotonic()
        install(helm, OPERATOR, "sfumato", system, values, "--take-ownership", "--force-conflicts")
        install(helm, "live", "sfumato-cluster", namespace, {"spec": SPEC})
        assert live.status()["mesh"]["summary"] == "3/3", "Helm has waited for it"
        with capsys.disabled():
            print(f"\nfirst helm install to MESH 3/3: {time.monotonic() - began:.1f} s")
        before, uid = live.uids(), definition(kubectl)["metadata"]["uid"]

        helm.deploy(OPERATOR, "sfumato", system, values | newer(values))
        upgradable(live, "True", NEWER)
        assert live.uids() == before
        helm.run("rollback", OPERATOR, "1", "--namespace", system, "--wait", "--timeout=120s")
        upgradable(live, "False")
        live.whole(3)
        assert live.uids() == before, "no media node is replaced for an operator"
        helm.deploy("live", "sfumato-cluster", namespace, {"spec": SPEC | {"replicas": 2}})
        assert live.status()["mesh"]["summary"] == "1/1"
        helm.run("rollback", "live", "1", "--namespace", namespace, "--wait", "--timeout=120s")
        live.whole(3)
        assert {name: live.uids()[name] for name in ("live-0", "live-1")} == {name: before[name] for name in ("live-0", "live-1")}

        # The operator first: the cluster runs on, and goes without it.
        running = live.uids()
        helm.uninstall(OPERATOR, system)
        assert definition(kubectl)["metadata"]["uid"] == uid, "all SfuClusters would have gone with it"
        assert live.uids() == running
        helm.uninstall("live", namespace)
        eventually("all of the cluster is gone", lambda: live.children() == [], within=90)

        # Again under another name, over the definition that was kept, and the cluster first. This one looks after all namespaces: clusters that other
        # tests have left in theirs name their own operator, and are left alone.
        everywhere = values | {"watchNamespaces": []}
        with pytest.raises(HelmError, match="invalid ownership metadata"):
            install(helm, ANOTHER, "sfumato", system, everywhere)
        install(helm, ANOTHER, "sfumato", system, everywhere, "--take-ownership")
        install(helm, "live", "sfumato-cluster", namespace, {"spec": SPEC | {"replicas": 1}})
        assert live.status()["operator"] == f"{system}/{ANOTHER}-sfumato"
        helm.uninstall("live", namespace)
        eventually("all of the cluster is gone", lambda: live.children() == [], within=90)
        helm.uninstall(ANOTHER, system)
        assert definition(kubectl)["metadata"]["uid"] == uid


def test_helm_test_counts_a_stream_on_every_node_and_says_what_is_missing(helm, operator, kubectl, namespace):
    auth = {"mode": "Jwt", "secretRef": {"name": "tokens", "key": "secret"}}
    values = {"spec": SPEC | {"auth": auth}, "secrets": {"tokens": {"secret": secrets.token_hex(32)}}}
    helm.deploy("live", "sfumato-cluster", namespace, values | {"smoke": {"image": image("sfu-smoke"), "seconds": 10}})
    tried = ("test", "live", "--namespace", namespace, "--logs", "--timeout=120s")
    said = helm.run(*tried)
    assert "passed: every node of 3 shows what live-0 takes in" in said
    assert all(f"live-{number}: " in said for number in range(3)), said
    pods = lambda: kubectl.get("pods", "--namespace", namespace, "--selector", "app.kubernetes.io/name=sfu-smoke")  # noqa: E731
    assert pods() == [], "nobody would delete it: Helm forgets what a test makes"
    # Somebody scales it without Helm.
    kubectl.run("scale", "--namespace", namespace, "sfu/live", "--replicas=2")
    SfuCluster(kubectl, namespace).whole(2)
    with pytest.raises(HelmError, match="the front door knows 2 of 3 nodes"):
        helm.run(*tried)
    assert [pod["status"]["phase"] for pod in pods()] == ["Failed"], "it stays, to be looked at"


def test_the_api_server_takes_what_the_charts_can_make(helm, kubectl, namespace):
    """Every kind that a chart makes, checked by the API server of this release, and not made. Those of other projects are not known here."""
    known = helm.run(
        *(
            "template",
            OPERATOR,
            str(ROOT / "charts" / "sfumato"),
            "--namespace",
            namespace,
            "--set-json",
            f"watchNamespaces={json.dumps([namespace])}",
        ),
    )
    autoscaled = helm.run(
        *("template", "live", str(ROOT / "charts" / "sfumato-cluster"), "--namespace", namespace),
        *("--set", "autoscaling.enabled=true,ingress.enabled=true,ingress.host=live.example.com,ingress.tlsSecretName=tls,secrets.more.key=x"),
    )
    for rendered in (known, autoscaled):
        # Strict: a field that the API server does not know is an error.
        kubectl.run("apply", "--server-side", "--force-conflicts", "--dry-run=server", "--validate=strict", "--filename", "-", input=rendered)
