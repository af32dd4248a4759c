"""Runs the tests that need Kubernetes (test/cluster, test/kubernetes), or those at the paths that are named.

Nothing named: all of them, by a queue of files over several test clusters, since most tests wait most of the time.
Else, or with tests picked by PYTEST_ARGS, on one. A test cluster that is up is used; else one is brought up for the tests, and
taken down after them. SFUMATO_KUBECONFIG=FILE: on that cluster, which must have the images (`make kind-up` loads them)."""

import argparse
import os
import signal
import sys
import uuid

from . import everything, on_one
from .clusters import Clusters
from .processes import Processes


def main() -> int:
    parser = argparse.ArgumentParser("kubernetes-tests.sh", description=__doc__)
    parser.add_argument("paths", nargs="*", metavar="PATH", help="test/kubernetes, or files of tests")
    paths = parser.parse_args().paths
    arguments = os.environ.get("PYTEST_ARGS", "").split()
    # check.sh has one name for all its suites.
    run = os.environ.get("SFUMATO_RUN") or uuid.uuid4().hex[:8]
    processes = Processes()
    clusters = Clusters(processes, run)
    # Also where this was started in the background, which ignores the first of them.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupt)
    try:
        if paths or arguments or os.environ.get("SFUMATO_KUBECONFIG"):
            return on_one.run(processes, clusters, paths or ["test/cluster", "test/kubernetes"], arguments, run)
        return everything.run(processes, clusters, run)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        processes.end()
        clusters.down()


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


sys.exit(main())
