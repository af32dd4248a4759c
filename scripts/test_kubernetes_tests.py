"""How the tests on Kubernetes are spread over clusters, and what is kept of them."""

import contextlib
import io
import json
import os
import platform
import subprocess
import sys
import tempfile
import unittest
import unittest.mock
from dataclasses import dataclass
from pathlib import Path

from kubernetes_tests.attempts import SecondAttempt, SecondAttempts
from kubernetes_tests.clusters import CannotUse, Clusters, TestCluster
from kubernetes_tests.durations import DEFAULTS, UNKNOWN, Durations
from kubernetes_tests.everything import (
    CLUSTERS,
    LAST,
    OF_SFUMATO,
    WITH_THE_GATE,
    WITH_THE_PREVIOUS_RELEASE,
    WITHOUT_THE_GATE,
    attempted,
    test_file,
)
from kubernetes_tests.files import ROOT, cache
from kubernetes_tests.kept import Passed, checksum, test_cluster_inputs
from kubernetes_tests.output import Output
from kubernetes_tests.suite import Result, Suite
from kubernetes_tests.summary import conclude
from kubernetes_tests.waiting_files import TestFile, WaitingFiles

ANY = frozenset({"one", "two"})
GOOD = Result("test/a/test_x.py", "one", 1, True)


def files_of_tests() -> dict[str, str]:
    """The text of each file of tests, by its path."""
    found = [file for folder in ("test/cluster", "test/kubernetes") for file in (ROOT / folder).glob("test_*.py")]
    return {str(file.relative_to(ROOT)): file.read_text() for file in found}


class Files(unittest.TestCase):
    def test_a_new_machine_knows_how_long_each_file_takes_and_no_other(self) -> None:
        self.assertEqual(json.loads(DEFAULTS.read_text()).keys(), files_of_tests().keys())

    def test_every_file_with_a_place_of_its_own_in_the_queue_is_there(self) -> None:
        named = WITH_THE_GATE | WITHOUT_THE_GATE | WITH_THE_PREVIOUS_RELEASE | LAST | OF_SFUMATO
        self.assertLessEqual(named, files_of_tests().keys())

    def test_results_about_images_of_sfumato_are_not_kept(self) -> None:
        of_the_cluster = {path: text for path, text in files_of_tests().items() if path.startswith("test/cluster/")}
        self.assertEqual({path for path, text in of_the_cluster.items() if "from testcluster import images" in text}, OF_SFUMATO)

    def test_a_test_that_starts_a_browser_has_it_installed(self) -> None:
        pieces = [piece for text in files_of_tests().values() for piece in text.split("\n\n\n") if ".browser(" in piece]
        self.assertGreater(len(pieces), 1)
        for piece in pieces:
            self.assertRegex(piece, r'@pytest\.mark\.usefixtures\("chromium"[,)]')


class Queue(unittest.TestCase):
    def test_the_longest_file_goes_first_and_what_one_cluster_alone_can_run_before_it(self) -> None:
        files = [TestFile("short", 1, ANY), TestFile("long", 9, ANY), TestFile("bound", 5, frozenset({"two"}))]
        queue = WaitingFiles(files)
        taken = [queue.take(cluster) for cluster in ("two", "one", "two", "one")]
        self.assertEqual([file and file.path for file in taken], ["bound", "long", "short", None])

    def test_a_cluster_never_gets_what_it_cannot_run(self) -> None:
        queue = WaitingFiles([TestFile("bound", 5, frozenset({"two"}))])
        self.assertIsNone(queue.take("one"))
        self.assertIsNotNone(queue.take("two"))

    def test_rolls_run_with_the_gate_and_without_it(self) -> None:
        gates = {cluster.name: bool(cluster.feature_gates) for cluster in CLUSTERS}
        self.assertEqual(sorted(gates.values()), [False, False, True])
        for paths, gate in ((WITH_THE_GATE, True), (WITHOUT_THE_GATE, False), (WITH_THE_PREVIOUS_RELEASE, False)):
            for path in paths:
                self.assertTrue((ROOT / path).is_file(), path)
                self.assertEqual({gates[name] for name in test_file(path, Durations(), CLUSTERS).clusters}, {gate}, path)


class Kept(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def test_a_duration_is_that_of_the_last_run(self) -> None:
        durations = Durations(self.folder / "durations.json")
        durations.keep("test/a/test_x.py", 12.34)
        again = Durations(self.folder / "durations.json")
        self.assertEqual((again.of("test/a/test_x.py"), again.of("test/a/test_y.py")), (12.3, UNKNOWN))

    def test_what_starves_beside_others_comes_after_all_of_them(self) -> None:
        here = frozenset({"a"})
        files = WaitingFiles(
            [TestFile("last", 300, here, is_last=True), TestFile("short", 1, frozenset({"a", "b"})), TestFile("own", 5, here)]
        )
        self.assertEqual([files.take("a").path for _ in range(3)], ["own", "short", "last"])

    def test_a_kept_result_counts_for_the_same_inputs_only(self) -> None:
        passed = Passed(self.folder / "kept/test-cluster")
        source = "scripts/kubernetes_tests/files.py"
        now = checksum(test_cluster_inputs([source]))
        self.assertFalse(passed.at(now))
        passed.keep(now)
        self.assertTrue(passed.at(checksum(test_cluster_inputs([source]))))
        self.assertFalse(passed.at(checksum(test_cluster_inputs([source, "scripts/slowest.py"]))))
        passed.forget()
        self.assertFalse(passed.at(now))

    def test_another_build_of_the_kernel_is_another_input(self) -> None:
        now = checksum(test_cluster_inputs([]))
        with unittest.mock.patch.object(platform, "version", return_value="#2 SMP another build"):
            self.assertNotEqual(checksum(test_cluster_inputs([])), now)

    def test_second_attempts_of_one_run_are_told_with_those_of_others(self) -> None:
        file = self.folder / "attempts.jsonl"
        file.write_text("".join(f'{{"test": "test/a/test_x.py::test_y", "error": "E no", "run": "{run}"}}\n' for run in "abb"))
        attempts = SecondAttempts(file)
        self.assertEqual(attempts.of_run("a"), [SecondAttempt("test/a/test_x.py::test_y", "E no")])
        self.assertEqual(attempts.times("test/a/test_x.py::test_y"), 2)
        self.assertTrue(attempted(attempts.of_run("a"), {"test/a/test_x.py"}))
        self.assertFalse(attempted(attempts.of_run("a"), {"test/b/test_x.py"}))

    def test_second_attempts_count_over_all_suites_of_a_run(self) -> None:
        tests = {
            "check 1": ("test/stories/test_x.py::test_y", "test/kubernetes/test_x.py::test_y"),
            "check 2": ("test/stories/test_x.py::test_y",),
        }
        lines = [{"test": test, "error": "E no", "run": run} for run in tests for test in tests[run]]
        (self.folder / "sfumato").mkdir()
        (self.folder / "sfumato/second-attempts.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
        judge = [sys.executable, ROOT / "scripts/second_attempts.py"]
        environment = os.environ | {"XDG_CACHE_HOME": str(self.folder)}
        for run, code, said in (("check 1", 1, tests["check 1"]), ("check 2", 0, tests["check 2"]), ("check 3", 0, ())):
            done = subprocess.run([*judge, run], env=environment, capture_output=True, text=True, check=False)
            self.assertEqual(done.returncode, code, done)
            self.assertEqual([line.split(": ")[1] for line in done.stdout.splitlines() if "second attempt:" in line], list(said))
            self.assertEqual(done.stderr, "2 second attempts: at most 1 passes; find each race\n" if code else "")


@dataclass
class Programs:
    """Programs that end with these codes, one after the other."""

    codes: list[int]

    def run(self, _command: list[str], output: Output, _environment: dict[str, str] | None = None) -> int:
        output.line("cluster: no answer from the API server")
        output.line("")
        return self.codes.pop(0)


class BringUp(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.enterContext(unittest.mock.patch.dict(os.environ, {"XDG_CACHE_HOME": folder.name}))
        self.enterContext(contextlib.redirect_stdout(io.StringIO()))

    def test_a_cluster_that_does_not_come_up_is_tried_once_more_aloud(self) -> None:
        Clusters(Programs([1, 0, 0]), "run").up(TestCluster("nobody"), Output(""))
        (attempt,) = SecondAttempts().of_run("run")
        self.assertIn("nobody", attempt.test)
        self.assertIn("ended with 1: cluster: no answer from the API server", attempt.error)
        self.assertTrue((cache() / "cluster/failed/nobody").is_dir())

    def test_a_cluster_that_does_not_come_up_twice_is_not_used_and_says_why(self) -> None:
        said = ""
        try:
            Clusters(Programs([1, 1]), "run").up(TestCluster("nobody"), Output(""))
        except CannotUse as error:
            said = str(error)
        self.assertTrue(said.endswith("up ended with 1: cluster: no answer from the API server"), said)


class Verdict(unittest.TestCase):
    def setUp(self) -> None:
        for stream in (contextlib.redirect_stdout, contextlib.redirect_stderr):
            self.enterContext(stream(io.StringIO()))
        self.enterContext(unittest.mock.patch.dict(os.environ, {"SFUMATO_RUN": ""}))

    def test_two_second_attempts_fail_a_run_and_one_does_not(self) -> None:
        attempt = SecondAttempt("test/a/test_x.py::test_y", "E no")
        self.assertEqual([conclude([GOOD], [attempt] * count, []) for count in (0, 1, 2)], [0, 0, 1])

    def test_a_part_of_a_larger_run_leaves_second_attempts_to_it(self) -> None:
        attempts = [SecondAttempt("test/a/test_x.py::test_y", "E no")] * 2
        with unittest.mock.patch.dict(os.environ, {"SFUMATO_RUN": "check 1"}):
            self.assertEqual(conclude([GOOD], attempts, []), 0)
            self.assertEqual(conclude([Result("test/a/test_y.py", "", 0, False)], attempts, []), 1)

    def test_a_file_that_did_not_pass_fails_the_run(self) -> None:
        self.assertEqual(conclude([GOOD, Result("test/a/test_y.py", "", 0, False, "no cluster has run it")], [], []), 1)

    def test_a_skipped_test_has_not_passed(self) -> None:
        suite = Suite(["test/a/test_of_the_verdict.py"], [], "run")
        self.addCleanup(suite.report.unlink)
        suite.report.parent.mkdir(parents=True, exist_ok=True)
        suite.report.write_text('<testsuite><testcase name="test_y"><skipped/></testcase></testsuite>')
        self.assertEqual(suite.judged(0, "one", 1), Result("test/a/test_of_the_verdict.py", "one", 1, False, "skipped: test_y"))


if __name__ == "__main__":
    unittest.main()
