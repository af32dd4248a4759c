"""Which crates the files of a change concern, and which programs cargo has built to test them."""

import importlib.util
import json
import unittest
from pathlib import Path

spec = importlib.util.spec_from_file_location("unit_tests", Path(__file__).with_name("unit-tests.py"))
unit_tests = importlib.util.module_from_spec(spec)
spec.loader.exec_module(unit_tests)


def crate(name: str, *parts: str) -> dict:
    """A crate in a folder of its name, as `cargo metadata` tells it."""
    dependencies = [{"name": part, "path": f"/clone/{part}"} for part in parts] + [{"name": "serde"}]
    return {"name": name, "manifest_path": f"/clone/{name}/Cargo.toml", "dependencies": dependencies}


WORKSPACE = {
    "workspace_root": "/clone",
    "packages": [crate("api"), crate("mesh", "api"), crate("operator", "api", "mesh"), crate("node", "api")],
}


class Concerned(unittest.TestCase):
    def test_a_crate_is_concerned_by_its_own_files_and_by_those_of_its_parts(self) -> None:
        self.assertEqual(unit_tests.concerned(WORKSPACE, ["node/src/main.rs"]), {"node"})
        self.assertEqual(unit_tests.concerned(WORKSPACE, ["mesh/src/lib.rs", "README.md"]), {"mesh", "operator"})
        self.assertEqual(unit_tests.concerned(WORKSPACE, ["api/src/a/b.rs"]), {"api", "mesh", "operator", "node"})

    def test_the_lock_file_concerns_all_and_a_document_none(self) -> None:
        self.assertEqual(unit_tests.concerned(WORKSPACE, ["Cargo.lock"]), {"api", "mesh", "operator", "node"})
        self.assertEqual(unit_tests.concerned(WORKSPACE, ["docs/testing.md", "test/e2e/conftest.py"]), set())


class Programs(unittest.TestCase):
    def test_only_programs_that_test_a_crate_are_found(self) -> None:
        def built(executable: str | None, test: bool) -> str:
            told = {"reason": "compiler-artifact", "manifest_path": "/clone/mesh/Cargo.toml", "target": {"name": "mesh"}}
            return json.dumps(told | {"executable": executable, "profile": {"test": test}})

        messages = "\n".join([built("/t/mesh-1", True), built("/t/mesh", False), built(None, True), '{"reason":"build-finished"}'])
        self.assertEqual(unit_tests.test_programs(messages), {"/clone/mesh": [("/t/mesh-1", "mesh")]})


if __name__ == "__main__":
    unittest.main()
