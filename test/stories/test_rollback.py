"""`helm rollback` of the operator's chart never takes the definition back: the API server would prune fields from SfuClusters."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from api_client import ApiClient, Refused, path
from control_plane import ControlPlane, StartedControlPlane
from testcluster import control_plane_programs as programs
from testcluster.waiting import eventually

CHART = Path(__file__).parents[2] / "charts" / "sfumato"
DEFINITION = "sfuclusters.sfumato.dev"
NAMESPACE = "sfumato-system"
NEW_FIELD = "fieldOfTomorrow"
KEPT = "--set=crds.enabled=false"

pytestmark = pytest.mark.xdist_group("own control plane")


@pytest.fixture(scope="module")
def plane() -> Iterator[ControlPlane]:
    """One of its own: the definition of the others stays as it is."""
    started = StartedControlPlane()
    try:
        started.start()
        yield started
    finally:
        started.close()


@pytest.fixture(scope="module")
def api(plane) -> Iterator[ApiClient]:
    with plane.admin() as api:
        # It is there already, as somebody without Helm has applied it, who would be asked for --force-conflicts at each change of it.
        api.delete(path("customresourcedefinitions", name=DEFINITION))
        eventually("the definition is gone", lambda: not defined(api), within=20)
        api.create(path("namespaces"), {"metadata": {"name": NAMESPACE}})
        yield api


def defined(api: ApiClient) -> bool:
    return bool(api.get(path("customresourcedefinitions"), fieldSelector=f"metadata.name={DEFINITION}"))


@pytest.fixture
def helm(plane, tmp_path) -> Iterator[Callable[..., subprocess.CompletedProcess[str]]]:
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(plane.kubeconfig(programs.tokens(plane.keys)["admin"]))
    kubeconfig.chmod(0o600)

    def run(*arguments: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
        command = [os.environ["SFUMATO_HELM"], "--kubeconfig", kubeconfig, "--namespace", NAMESPACE, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0 or not check, done.stderr
        return done

    yield run
    run("uninstall", "sfumato", "--ignore-not-found")


@pytest.fixture
def next_release(tmp_path) -> Path:
    """The chart of a later release, whose definition has a field more."""
    chart = tmp_path / "sfumato"
    shutil.copytree(CHART, chart)
    about = chart / "Chart.yaml"
    about.write_text(about.read_text().replace("0.1.0", "0.10.0"))
    file = chart / "files" / f"{DEFINITION}.yaml"
    definition = yaml.load(file.read_text(), yaml.CSafeLoader)
    definition["metadata"]["annotations"]["sfumato.dev/release"] = "0.10.0"
    spec_of(definition)[NEW_FIELD] = {"type": "string"}
    file.write_text(yaml.safe_dump(definition))
    return chart


def spec_of(definition: dict) -> dict:
    return definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]


def test_a_rollback_between_releases_with_one_definition_goes_through(api, helm):
    helm("install", "sfumato", CHART)
    helm("upgrade", "sfumato", CHART, "--set=replicas=1")
    helm("rollback", "sfumato", "1")
    assert api.get(path("deployments", NAMESPACE, "sfumato"))["spec"]["replicas"] == 2


# Each before the next, as https://semver.org (11) has it; those of one line are one.
IN_ORDER = [
    ("0.9.12",),
    ("0.10.0-0",),
    ("0.10.0-9", "0.10.0-9+build.7-a"),
    ("0.10.0-10",),
    ("0.10.0-alpha",),
    ("0.10.0-alpha.1",),
    ("0.10.0-alpha.beta",),
    ("0.10.0-alpha-1",),
    ("0.10.0-rc.2",),
    ("0.10.0-rc.11",),
    ("0.10.0", "0.10.0+1.2-3"),
    ("0.10.1-rc.1",),
    ("0.10.1",),
    ("1.0.0-alpha",),
    ("1.0.0",),
]


SMALL = "versions.stories.example.com"


@pytest.fixture
def small(api) -> Iterator[str]:
    """The path of a definition that the chart's policy protects as it does that of SfuCluster, which is too long for many changes."""
    command = [os.environ["SFUMATO_HELM"], "template", "small", CHART, f"--namespace={NAMESPACE}", "--show-only=templates/definitionpolicy.yaml"]
    rendered = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    policy, binding = yaml.load_all(rendered.replace(DEFINITION, SMALL), yaml.CSafeLoader)
    names = {"group": "stories.example.com", "scope": "Namespaced", "names": {"kind": "Version", "plural": "versions"}}
    schema = {"openAPIV3Schema": {"type": "object"}}
    spec = names | {"versions": [{"name": "v1", "served": False, "storage": True, "schema": schema}]}
    api.create(path("customresourcedefinitions"), {"metadata": {"name": SMALL}, "spec": spec})
    where = "/apis/admissionregistration.k8s.io/v1"
    kinds = {"validatingadmissionpolicies": policy, "validatingadmissionpolicybindings": binding}
    for kind, item in kinds.items():
        api.create(f"{where}/{kind}", item)
    yield path("customresourcedefinitions", name=SMALL)
    for kind, item in kinds.items():
        api.delete(f"{where}/{kind}/{item['metadata']['name']}")
    api.delete(path("customresourcedefinitions", name=SMALL))


def test_the_policy_takes_versions_in_their_order(api, small):
    def taken(release: str, **query: str) -> bool:
        """As a definition of that release, which has something else than the one that is there."""
        version = api.get(small)["spec"]["versions"][0] | {"deprecationWarning": os.urandom(4).hex(), "deprecated": True}
        patch = {"metadata": {"annotations": {"sfumato.dev/release": release}}, "spec": {"versions": [version]}}
        try:
            api.patch("merge", small, patch, **query)
        except Refused as error:
            if error.status != 403:
                raise
            return False
        return True

    assert taken("0.0.1")
    eventually("the policy is in force", lambda: not taken("0.0.0", dryRun="All"), within=20)
    for number, releases in enumerate(IN_ORDER):
        assert taken(releases[0])
        for other, others in enumerate(IN_ORDER):
            for release in others:
                assert taken(release, dryRun="All") == (other >= number), f"{release} after {releases[0]}"


def test_a_rollback_takes_the_operator_back_and_leaves_the_later_definition_and_says_so(api, helm, next_release):
    definition = lambda: api.get(path("customresourcedefinitions", name=DEFINITION))  # noqa: E731
    image = lambda: api.get(path("deployments", NAMESPACE, "sfumato"))["spec"]["template"]["spec"]["containers"][0]["image"]  # noqa: E731
    helm("install", "sfumato", CHART)
    before = definition()
    helm("upgrade", "sfumato", next_release)
    assert NEW_FIELD in spec_of(definition())
    live = path("sfuclusters", NAMESPACE, "live")
    cluster = {"apiVersion": "sfumato.dev/v1alpha1", "kind": "SfuCluster", "metadata": {"name": "live"}, "spec": {NEW_FIELD: "x"}}
    api.create(path("sfuclusters", NAMESPACE), cluster)

    def refused() -> bool:
        old = {"metadata": {"annotations": before["metadata"]["annotations"]}, "spec": before["spec"]}
        try:
            api.patch("merge", path("customresourcedefinitions", name=DEFINITION), old, dryRun="All")
        except Refused as error:
            return error.status == 403
        return False

    eventually("the policy is in force", refused, within=20)
    rollback = helm("rollback", "sfumato", "1", check=False)
    assert rollback.returncode != 0
    assert "stays that of release 0.10.0" in rollback.stderr
    assert KEPT.replace("=", " ", 1) in rollback.stderr
    assert NEW_FIELD in spec_of(definition())
    assert image().endswith(":0.1.0"), "Helm takes all else back, and then ends with that error"

    # What it says to do, for a release that is in order.
    helm("upgrade", "sfumato", CHART, "--reset-then-reuse-values", KEPT)
    assert image().endswith(":0.1.0")
    assert NEW_FIELD in spec_of(definition())
    assert api.get(live)["spec"][NEW_FIELD] == "x"
    helm("upgrade", "sfumato", next_release, "--set=crds.enabled=true")
    assert image().endswith(":0.10.0")
    assert api.get(live)["spec"][NEW_FIELD] == "x"
