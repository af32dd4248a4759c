"""What tests need beyond our own programs, so that a run of a few tests installs nothing that they do without."""

from collections.abc import Iterable


def needs(items: Iterable) -> set[str]:
    """`browsers` and `proxy` where a test has one as a fixture, `peers` where it is marked `foreign`."""
    found = set()
    for item in items:
        if "_browsers" in item.fixturenames:
            found.add("browsers")
        if "nginx" in item.fixturenames:
            found.add("proxy")
        if item.get_closest_marker("foreign"):
            found.add("peers")
    return found
