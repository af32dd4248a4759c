"""How long stories took is kept from run to run."""

import tempfile
import unittest
from pathlib import Path

from story_durations import UNKNOWN, Durations, reported


class Kept(unittest.TestCase):
    def test_a_report_says_how_long_each_story_took_that_passed(self) -> None:
        cases = (
            '<testcase classname="test_life" name="test_a[x]" time="1.5"/>'
            '<testcase classname="x.test_roll" name="test_b" time="12"/>'
            '<testcase classname="test_roll" name="test_late" time="60"><failure/></testcase>'
        )
        with tempfile.TemporaryDirectory() as folder:
            report = Path(folder, "stories.xml")
            report.write_text(f"<testsuites><testsuite>{cases}</testsuite></testsuites>")
            self.assertEqual(reported(report), {"test_life.py::test_a[x]": 1.5, "test_roll.py::test_b": 12.0})

    def test_a_function_with_parameters_takes_as_long_as_all_its_stories(self) -> None:
        durations = Durations({"test_life.py::test_a[x]": 1.5, "test_life.py::test_a[y]": 2.0, "test_life.py::test_b": 3.0})
        self.assertEqual(durations.of("test_life.py::test_a"), 3.5)
        self.assertEqual(durations.of("test_life.py::test_a[y]"), 2.0)
        self.assertEqual(durations.of_all(["test_life.py::test_b", "test_life.py::test_new"]), 3.0 + UNKNOWN)

    def test_the_longest_of_some_stories_is_known(self) -> None:
        durations = Durations({"test_life.py::test_a[x]": 1.5, "test_life.py::test_a[y]": 2.0, "test_life.py::test_b": 3.0})
        self.assertEqual(durations.longest(["test_life.py::test_a"]), 2.0)
        self.assertEqual(durations.longest(["test_life.py::test_a[x]", "test_life.py::test_new"]), 1.5)
        self.assertEqual(durations.longest([]), 0.0)

    def test_a_file_that_is_missing_or_damaged_is_none(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            self.assertEqual(Durations.read(Path(folder, "gone.json")).seconds, {})
            Path(folder, "damaged.json").write_text("{")
            self.assertEqual(Durations.read(Path(folder, "damaged.json")).seconds, {})


if __name__ == "__main__":
    unittest.main()
