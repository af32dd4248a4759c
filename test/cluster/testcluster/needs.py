"""What tests need beyond a cluster and our programs, so that a run of a few tests installs nothing that they do without."""

from pathlib import Path

# By the fixture that a test names for it.
NEEDS = {"chromium": "browsers", "coturn": "turn", "firewall": "firewall", "helm": "helm"}


def pytest_addoption(parser):
    parser.addoption("--needs-to", metavar="FILE", type=Path, help="add what the chosen tests need to this file, one word a line")


def pytest_collection_finish(session):
    if file := session.config.getoption("--needs-to"):
        named = {name for item in session.items for name in item.fixturenames}
        with file.open("a") as out:
            out.writelines(f"{NEEDS[name]}\n" for name in sorted(named & NEEDS.keys()))
