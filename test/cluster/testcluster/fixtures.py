"""pytest's fixtures for tests on a cluster (`-p testcluster.fixtures`).

Two ways: SFUMATO_KUBECONFIG names any cluster, and tests that break machines (marked `testcluster`) are deselected; or else the tests run on the test
cluster that SFUMATO_CLUSTER names, inside its client's network (`scripts/cluster.sh exec`)."""

import contextlib
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from . import process_table
from .attempts import SecondAttempts
from .audit import Audit
from .faults import Faults
from .kubectl import Kubectl, KubectlError
from .layout import CLIENT, Layout
from .machines import Machine
from .needs import pytest_addoption, pytest_collection_finish  # noqa: F401
from .outcome import pytest_runtest_makereport  # noqa: F401
from .waiting import eventually


def foreign() -> str | None:
    return os.environ.get("SFUMATO_KUBECONFIG") or None


@pytest.hookimpl(trylast=True)
def pytest_configure(config):
    if terminal := config.pluginmanager.getplugin("terminalreporter"):
        config.pluginmanager.register(FailuresAtOnce(terminal))
    config.pluginmanager.register(SecondAttempts(f"test/{config.rootpath.name}"))
    config.addinivalue_line("markers", "testcluster: breaks or looks into machines, so it runs on the test cluster only, not on any kubeconfig")


def pytest_collection_modifyitems(config, items):
    if not foreign():
        return
    gone = [item for item in items if item.get_closest_marker("testcluster")]
    if gone:
        config.hook.pytest_deselected(items=gone)
        items[:] = [item for item in items if item not in gone]


@pytest.fixture(scope="session")
def layout() -> Layout:
    """The test cluster that the tests run on."""
    it = Layout(os.environ.get("SFUMATO_CLUSTER", "default"))
    assert it.ready_mark.is_file(), f"cluster {it.name} is not up: make cluster-up"
    own = process_table.namespace(os.getpid(), "net")
    client = process_table.namespace(Machine(it, CLIENT).init() or 0, "net")
    assert own == client, "these tests run in the cluster's network: scripts/cluster.sh exec python -m pytest ..."
    return it


@pytest.fixture(scope="session")
def kubectl(request) -> Kubectl:
    if named := foreign():
        return Kubectl(Path(named))
    return Kubectl.of(request.getfixturevalue("layout"))


@pytest.fixture
def namespace(kubectl, request):
    """A namespace of this test's own, with the strictest pod security. After the test it is deleted with all in it, which nobody waits for.
    If the test fails, its objects and events are shown."""
    with new_namespace(kubectl, request.node.name.removeprefix("test_")) as name:
        yield name
        if getattr(request.node, "failed", False):
            with contextlib.suppress(KubectlError):
                print(kubectl.run("get", "all,events", "--namespace", name, "--output=wide"))


@contextlib.contextmanager
def new_namespace(kubectl: Kubectl, about: str, pod_security: str = "restricted") -> Iterator[str]:
    words = re.sub(r"[^a-z0-9]+", "-", about.lower())[:40].strip("-")
    name = f"t-{words}-{os.urandom(3).hex()}"
    kubectl.run("create", "namespace", name)
    kubectl.run("label", "namespace", name, f"pod-security.kubernetes.io/enforce={pod_security}")
    # Until the controller manager has made it, the API server refuses every pod. It may have to be elected first: after an API server's absence.
    eventually(f"{name} takes pods", lambda: kubectl.get("serviceaccount", "default", "--namespace", name), within=90)
    yield name
    kubectl.run("delete", "namespace", name, "--wait=false")


@pytest.fixture
def faults(layout):
    """Faults of the test cluster; whatever the test leaves broken is healed after it."""
    it = Faults(layout)
    yield it
    it.heal()


@pytest.fixture
def audit(layout) -> Audit:
    """The API server's audit log since the test began."""
    return Audit(layout.audit_log)


@pytest.fixture(scope="session")
def chromium() -> str:
    """The browser. A test that starts one names this fixture, or a run of that test alone would not install it (needs.py)."""
    found = os.environ.get("CHROMIUM") or shutil.which("chromium")
    assert found, "Chromium is not here: install Debian's chromium, or set CHROMIUM"
    return found


class FailuresAtOnce:
    """Tells of a failure when it happens, not only at the end: the suite takes long."""

    def __init__(self, terminal):
        self._terminal = terminal

    def pytest_runtest_logreport(self, report):
        # "rerun": it failed, and is tried once more.
        if report.failed or report.outcome == "rerun":
            self._terminal.write_line("")
            self._terminal.write_sep("-", f"{report.nodeid} ({report.when}) after {report.duration:.0f} s", red=True)
            self._terminal.write_line(report.longreprtext)
