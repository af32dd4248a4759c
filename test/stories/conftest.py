"""One control plane for all stories, also where several processes of pytest share the work; a namespace for each story."""

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster import Cluster
from control_plane import ControlPlane, StartedControlPlane
from operator_process import Operator
from story import Story
from testcluster.attempts import SecondAttempts
from testcluster.outcome import pytest_runtest_makereport  # noqa: F401

# Folder and address of the control plane, for the processes that run tests.
PLANE = "SFUMATO_STORIES_PLANE"
STARTED = pytest.StashKey[StartedControlPlane]()


def pytest_configure(config):
    # The processes that run tests report to the one that was started.
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(SecondAttempts(f"test/{config.rootpath.name}"))


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session):
    if hasattr(session.config, "workerinput") or session.config.option.collectonly:
        return
    plane = session.config.stash[STARTED] = StartedControlPlane()
    plane.start()
    os.environ[PLANE] = f"{plane.folder} {plane.address}"


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session):
    plane = session.config.stash.get(STARTED, None)
    if plane is None:
        return
    if died := plane.died():
        print(f"\nthe control plane is broken: {died}\n{plane.logs()}")
        session.exitstatus = pytest.ExitCode.INTERNAL_ERROR
    plane.close()


@pytest.fixture(scope="session")
def plane() -> ControlPlane:
    folder, address = os.environ[PLANE].split()
    return ControlPlane(Path(folder), address)


@pytest.fixture
def story(plane, request, tmp_path) -> Iterator[Story]:
    """A namespace in which nothing happens yet."""
    it = Story(plane, request.node.name, tmp_path)
    try:
        yield it
        if not getattr(request.node, "failed", False):
            it.check()
    finally:
        if failures := it.failures():
            print(f"--- the stand-ins failed: {failures}")
        for operator in it.operators:
            print(f"--- {operator.identity}\n{operator.log()[-6000:]}")
        it.close()


@pytest.fixture
def operator(story) -> Operator:
    """One that looks after the story's namespace."""
    return story.operator().ready()


@pytest.fixture
def live(operator, story) -> Cluster:
    """A cluster that is not made yet, and whose operator runs."""
    return story.cluster()


def pytest_runtest_setup():
    assert threading.current_thread() is threading.main_thread(), "what this thread starts ends with it"
