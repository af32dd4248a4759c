"""A hook that leaves at each test whether it has failed, for the fixtures that are taken down after it."""

import pytest

from . import traces


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.when == "call":
        item.failed = report.failed
    if report.failed:
        traces.keep(item, report)
    return report
