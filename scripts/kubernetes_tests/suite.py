"""One call of pytest, on a test cluster or on any other, and whether all that it was to run has run."""

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from .clusters import CLUSTER
from .files import cache
from .output import Output
from .processes import Processes

# pytest's exit code where nothing was collected.
NONE_COLLECTED = 5


@dataclass(frozen=True)
class Result:
    what: str
    where: str
    seconds: float
    passed: bool
    why: str = ""


@dataclass(frozen=True)
class Suite:
    """Tests of one folder, or of files in it."""

    paths: list[str]
    arguments: list[str]
    run: str
    """Names this run, for second attempts."""

    @property
    def folder(self) -> str:
        first = self.paths[0]
        return first if not first.endswith(".py") else first.rpartition("/")[0]

    @property
    def report(self) -> Path:
        # check.sh finds all suites' reports there.
        return cache() / f"{'-'.join(self.paths).replace('/', '-').removesuffix('.py')}.xml"

    def start(self, processes: Processes, cluster: str | None, output: Output) -> Result:
        """On this test cluster, or on the one that SFUMATO_KUBECONFIG names."""
        began = time.monotonic()
        self.report.parent.mkdir(parents=True, exist_ok=True)
        self.report.unlink(missing_ok=True)
        where = [CLUSTER, "--name", cluster, "exec"] if cluster else []
        pytest = [
            sys.executable,
            "-m",
            "pytest",
            "--rootdir",
            self.folder,
            "--config-file",
            f"{self.folder}/pytest.ini",
            "--verbose",
            "--no-header",
        ]
        color = "--color=yes" if sys.stdout.isatty() else "--color=no"
        code = processes.run(
            [*where, *pytest, color, "--junit-xml", str(self.report), *self.arguments, *self.paths],
            output,
            {"SFUMATO_RUN": self.run, "PYTHONUNBUFFERED": "1"},
        )
        return self.judged(code, cluster or "", time.monotonic() - began)

    def judged(self, code: int, where: str, seconds: float) -> Result:
        what = " ".join(self.paths)
        if code == NONE_COLLECTED and self.arguments:
            # With names picked, a folder may have none of them.
            return Result(what, where, seconds, True, "no test has such a name")
        if code != 0:
            return Result(what, where, seconds, False, f"pytest ended with {code}")
        # pytest calls a run with skipped tests a success; here a test that did not run has not passed.
        skipped = [case.get("name") for case in ElementTree.parse(self.report).iter("testcase") if case.find("skipped") is not None]
        return Result(what, where, seconds, not skipped, f"skipped: {', '.join(map(str, skipped))}" if skipped else "")
