#!/usr/bin/env python3
"""Prints the 20 slowest tests of JUnit reports, slowest first: `scripts/slowest.py REPORT.xml...`.
A report that is missing is named, and the exit code is 1 for it."""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

SHOWN = 20


class Test(NamedTuple):
    seconds: float
    name: str


def tests(report: Path) -> Iterator[Test]:
    for case in ElementTree.parse(report).iter("testcase"):
        file = case.get("classname", "").rpartition(".")[2]
        yield Test(float(case.get("time", 0)), f"{file}::{case.get('name')}")


def slowest(reports: list[Path], shown: int = SHOWN) -> list[str]:
    """A heading, and a line for each; the time includes fixtures."""
    found = sorted((test for report in reports for test in tests(report)), reverse=True)
    total = sum(test.seconds for test in found)
    head = f"the {min(shown, len(found))} slowest of {len(found)} tests, which took {total:.0f} s together"
    return [head, *(f"  {test.seconds:6.1f} s  {test.name}" for test in found[:shown])]


def main() -> int:
    parser = argparse.ArgumentParser("slowest.py", description=__doc__)
    parser.add_argument("reports", nargs="+", type=Path, metavar="REPORT.xml", help="JUnit XML, as pytest --junit-xml writes it")
    reports = parser.parse_args().reports
    missing = [report for report in reports if not report.is_file()]
    for report in missing:
        print(f"slowest.py: there is no {report}: did its suite end early?", file=sys.stderr)
    print("\n".join(slowest([report for report in reports if report not in missing])))
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
