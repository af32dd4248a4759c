"""Fixtures: clusters, browsers and peers. Whatever a test starts is stopped by pid when it ends, also when it fails."""

import contextlib
import functools
import http.server
import itertools
import os
import re
import threading
import tomllib
from pathlib import Path

import pytest

from harness import processes
from harness.browsers import BROWSERS
from harness.cluster import Cluster
from harness.foreign import ForeignPeer, make_media
from harness.needs import needs
from harness.peers import AiortcPeer, Counter, FfmpegPublisher, Flock, Generator, Page
from harness.ports import slot

HERE = Path(__file__).parent
REPOSITORY = HERE.parent.parent
PROGRAMS = ("sfu-operator", "sfu-node", "sfu-web", "sfu-bench", "sfu-smoke")


def pytest_configure(config):
    """`testpaths` fixes the order; a file that it leaves out would never run in the checks."""
    left_out = {path.name for path in HERE.glob("test_*.py")} - set(config.getini("testpaths"))
    if left_out:
        raise pytest.UsageError(f"{', '.join(sorted(left_out))}: not among the testpaths of pytest.ini")


def pytest_addoption(parser):
    parser.addoption("--needs-to", metavar="FILE", type=Path, help="write what the chosen tests need, one word a line")


def pytest_collection_finish(session):
    if file := session.config.getoption("--needs-to"):
        file.write_text("".join(f"{one}\n" for one in sorted(needs(session.items))))


# Logs on failure


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if call.excinfo is not None and not report.skipped:
        for name, tail in processes.tails():
            report.sections.append((f"log of {name}", tail))
        for cluster in Cluster.running:
            report.sections.append(("logs of the cluster", cluster.tails()))
    return report


# Programs


def binary_directory() -> Path:
    """SFUMATO_BIN_DIR, else CARGO_TARGET_DIR/debug, else what .cargo/config.toml says, else target/debug."""
    if named := os.environ.get("SFUMATO_BIN_DIR"):
        return Path(named)
    target = os.environ.get("CARGO_TARGET_DIR")
    config = REPOSITORY / ".cargo/config.toml"
    if not target and config.is_file():
        target = tomllib.loads(config.read_text()).get("build", {}).get("target-dir")
    return REPOSITORY / (target or "target") / "debug"


@pytest.fixture(scope="session")
def binaries() -> Path:
    directory = binary_directory().resolve()
    missing = [name for name in PROGRAMS if not os.access(directory / name, os.X_OK)]
    assert not missing, f"{', '.join(missing)} not in {directory}: build first, or set SFUMATO_BIN_DIR"
    return directory


# Clusters


@contextlib.contextmanager
def running_cluster(binaries, directory, **options):
    with slot() as ports, Cluster(binaries, directory, ports, **options) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def _cluster(binaries, tmp_path_factory):
    with running_cluster(binaries, tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster.started()


@pytest.fixture
def cluster(_cluster):
    """Three nodes, shared by the tests of one file; whole when a test begins, whatever the one before it broke."""
    _cluster.wait_whole(within=40)
    return _cluster


@pytest.fixture
def make_cluster(binaries, tmp_path):
    """Starts a cluster for one test; it may not be up yet."""
    with contextlib.ExitStack() as stack:
        numbers = itertools.count(1)

        def make(**options) -> Cluster:
            return stack.enter_context(running_cluster(binaries, tmp_path / f"cluster-{next(numbers)}", **options))

        yield make


@pytest.fixture
def ports():
    """A free range of ports, for tests that start programs by themselves."""
    with slot() as free:
        yield free


# Streams and peers


@pytest.fixture
def stream(request) -> str:
    """A stream name that no other test uses."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", request.node.name.removeprefix("test_"))[-100:].strip("_.-")


class Peers:
    """Starts peers and stops them all."""

    def __init__(self, request, directory: Path):
        self._request = request
        self._directory = directory
        self._numbers = itertools.count(1)
        self._started = []

    def generate(self, url: str, *options: str) -> Generator:
        return self._start(Generator, self._binaries(), url, name=self._name("generator", url), options=options)

    def count(self, url: str, *options: str) -> Counter:
        return self._start(Counter, self._binaries(), url, name=self._name("counter", url), options=options)

    def flock(self, viewers: int, url: str, again: str) -> Flock:
        return self._start(Flock, viewers, self._binaries(), url, again, name=self._name("flock", url))

    def aiortc(self, role: str, url: str, **options) -> AiortcPeer:
        return self._start(AiortcPeer, role, url, name=self._name(f"aiortc-{role}", url), **options)

    def ffmpeg(self, url: str, **options) -> FfmpegPublisher:
        return self._start(FfmpegPublisher, url, name=self._name("ffmpeg", url), **options)

    def foreign(self, client, role: str, url: str, *options: str) -> ForeignPeer:
        """A client of harness/foreign.py."""
        return self._start(ForeignPeer, client(role, url, *options), name=self._name(f"{client.__name__}-{role}", url))

    def stop(self) -> None:
        with contextlib.ExitStack() as stack:
            for peer in self._started:
                peer.child.interrupt()
                stack.callback(peer.stop)

    def _binaries(self) -> Path:
        return self._request.getfixturevalue("binaries")

    def _name(self, what: str, url: str) -> str:
        stream = url.partition("?")[0].rsplit("/", 1)[-1][-40:]
        return f"{what}-{next(self._numbers)}-{stream}"

    def _start(self, kind, *arguments, name: str, **options):
        peer = kind(*arguments, name, self._directory, **options)
        self._started.append(peer)
        return peer


@pytest.fixture
def peers(request, tmp_path):
    started = Peers(request, tmp_path)
    yield started
    started.stop()


@pytest.fixture(scope="module")
def module_peers(request, tmp_path_factory):
    """Peers that live as long as the tests of a file."""
    started = Peers(request, tmp_path_factory.mktemp("peers"))
    yield started
    started.stop()


@pytest.fixture(scope="session")
def media(tmp_path_factory) -> str:
    """A folder with encoded media for peers that carry no encoder."""
    return str(make_media(tmp_path_factory.mktemp("media")))


@pytest.fixture
def nginx():
    """Says that a test needs nginx, and Helm for what it carries out (harness/needs.py)."""
    assert os.environ.get("SFUMATO_HELM"), "SFUMATO_HELM names no Helm: scripts/e2e-tests.sh does"


# Browsers


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture(scope="session")
def page_url():
    """The test's own page, served from an origin that is not the front door's."""
    handler = functools.partial(QuietHandler, directory=HERE / "pages")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/peer.html"
        server.shutdown()


@pytest.fixture(scope="session")
def _browsers(tmp_path_factory):
    running = {}

    def get(name: str):
        if name in running and not running[name].working():
            running.pop(name).stop()
        if name not in running:
            running[name] = BROWSERS[name](tmp_path_factory.mktemp(name) / f"{name}.log")
        return running[name]

    yield get
    for browser in running.values():
        browser.stop()


@pytest.fixture
def browser(_browsers):
    """`browser("chromium")` is a browser whose tab is free for this test; one process for the whole run."""
    used = {}

    def get(name: str):
        used[name] = _browsers(name)
        return used[name]

    yield get
    for one in used.values():
        with contextlib.suppress(Exception):
            one.run("() => window.peer?.closeAll()", within=10)
        with contextlib.suppress(Exception):
            one.open("about:blank")


@pytest.fixture
def page(browser, page_url):
    """`page("chromium")` is the test's own WHIP and WHEP page in that browser."""
    return lambda name: Page(browser(name), page_url)
