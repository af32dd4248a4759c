"""The list of slow tests is of all reports together, slowest first."""

import tempfile
import unittest
from pathlib import Path

import slowest


class Slowest(unittest.TestCase):
    def listed(self, *reports: str, shown: int = 20) -> list[str]:
        with tempfile.TemporaryDirectory() as folder:
            paths = [Path(folder) / f"{number}.xml" for number in range(len(reports))]
            for path, cases in zip(paths, reports, strict=True):
                path.write_text(f"<testsuites><testsuite>{cases}</testsuite></testsuites>")
            return slowest.slowest(paths, shown)

    def test_tests_of_all_reports_are_sorted_by_time(self) -> None:
        first = (
            '<testcase classname="test_a" name="test_fast" time="0.5"/><testcase classname="x.test_a" name="test_slow" time="12"/>'
        )
        second = '<testcase classname="test_b" name="test_middle" time="3.25"><failure/></testcase>'
        head, *lines = self.listed(first, second, shown=2)
        self.assertEqual(head, "the 2 slowest of 3 tests, which took 16 s together")
        self.assertEqual(
            [line.split() for line in lines], [["12.0", "s", "test_a::test_slow"], ["3.2", "s", "test_b::test_middle"]]
        )

    def test_a_report_without_tests_is_no_error(self) -> None:
        self.assertEqual(self.listed(""), ["the 0 slowest of 0 tests, which took 0 s together"])


if __name__ == "__main__":
    unittest.main()
