"""Fixtures: the operator in the cluster, clusters of media nodes, and whoever publishes and watches."""

from collections.abc import Iterator

import pytest

from api_server import ApiServer
from fleet import Fleet
from helm import Helm
from installation import IMAGES, Operator, program
from media import Peers
from sfucluster import SfuCluster
from testcluster.fixtures import foreign
from testcluster.machines import Machine


@pytest.fixture(scope="session")
def operator(kubectl, request) -> Operator:
    if not foreign():
        missing = IMAGES.missing(Machine(request.getfixturevalue("layout"), "node-1"))
        assert not missing, f"the cluster has not the images of the built programs: {', '.join(missing)}; `scripts/cluster.sh images` loads them"
    it = Operator(kubectl)
    it.install()
    return it


@pytest.fixture
def sfu(operator, kubectl, namespace) -> SfuCluster:
    """An SfuCluster that is not applied yet, in a namespace of its own."""
    return SfuCluster(kubectl, namespace)


@pytest.fixture
def trio(sfu) -> SfuCluster:
    """Three nodes in a whole mesh."""
    sfu.apply()
    sfu.whole(3)
    return sfu


@pytest.fixture
def peers(layout, tmp_path):
    """Publishers, viewers and browsers of this test, in the pod network."""
    started = Peers(program("sfu-bench").parent, tmp_path)
    yield started
    started.stop()


@pytest.fixture
def helm(kubectl) -> Helm:
    return Helm(kubectl)


@pytest.fixture
def api(kubectl) -> Iterator[ApiServer]:
    it = ApiServer(kubectl)
    yield it
    it.close()


@pytest.fixture
def fleet(operator, api, kubectl, namespace) -> Iterator[Fleet]:
    """Clusters without hosts; none yet."""
    it = Fleet(api, kubectl, namespace)
    yield it
    it.close()
