"""What a bill of materials lists."""

import unittest

from sbom import crates, document, libraries


def node(name: str, *deps: tuple[str, str | None]) -> dict:
    return {"id": name, "deps": [{"pkg": dep, "dep_kinds": [{"kind": kind}]} for dep, kind in deps]}


NAMES = ("app", "inside", "deep", "tester", "maker")
CARGO = {
    "packages": [{"id": name, "name": name, "version": "1.0.0", "license": "MIT/Apache-2.0", "targets": []} for name in NAMES],
    "resolve": {
        "nodes": [
            node("app", ("inside", None), ("tester", "dev"), ("maker", "build")),
            node("inside", ("deep", None), ("app", "dev")),
            *(node(name) for name in ("deep", "tester", "maker")),
        ]
    },
}

CARGO["packages"][0]["targets"] = [
    {"name": "app", "kind": ["lib"]},
    {"name": "smoke", "kind": ["bin"]},
    {"name": "app", "kind": ["bin"]},
]


class Sbom(unittest.TestCase):
    def test_what_is_built_into_a_program_is_listed_and_what_only_tests_or_builds_use_is_not(self) -> None:
        self.assertEqual([package["name"] for package in crates(CARGO, "app")], ["app", "deep", "inside"])

    def test_the_libraries_that_the_program_says_it_is_linked_with_are_listed(self) -> None:
        linked = libraries("sfu-node 0.1.0\nOpenSSL 3.6.3 9 Jun 2026\nlibuv 1.44.2\n")
        self.assertEqual([(library["name"], library["version"]) for library in linked], [("OpenSSL", "3.6.3"), ("libuv", "1.44.2")])
        whole = document(crates(CARGO, "app"), "app", linked)
        self.assertEqual(whole["metadata"]["component"]["type"], "application")
        self.assertEqual(whole["components"][0]["purl"], "pkg:cargo/deep@1.0.0")
        self.assertEqual(whole["components"][0]["licenses"], [{"expression": "MIT OR Apache-2.0"}])
        self.assertEqual(len(whole["components"]), 4)

    def test_the_second_program_of_a_package_goes_by_its_own_name(self) -> None:
        whole = document(crates(CARGO, "smoke"), "smoke", [])
        self.assertEqual(whole["metadata"]["component"]["name"], "smoke")
        self.assertEqual([part["name"] for part in whole["components"]], ["deep", "inside"])


if __name__ == "__main__":
    unittest.main()
