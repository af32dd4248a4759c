"""The check of what documents point at finds what is missing, and nothing else."""

import importlib.util
import tempfile
import unittest
from pathlib import Path

SPEC = importlib.util.spec_from_file_location("doc_paths", Path(__file__).parent / "doc-paths.py")
assert SPEC is not None
assert SPEC.loader is not None
doc_paths = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(doc_paths)


class DocPaths(unittest.TestCase):
    """A document in a folder of its own."""

    def missing(self, text: str) -> list[str]:
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            (root / "sfu-node/src/node").mkdir(parents=True)
            (root / "sfu-node/Cargo.toml").touch()
            (root / "sfu-node/src/node/tasks.rs").write_text("fn planning_again() {}\n")
            (root / "test/stories").mkdir(parents=True)
            (root / "test/stories/test_roll.py").write_text("def test_a_roll(live):\n    pass\n")
            (root / "other.md").write_text("# A heading, with `code`\n\n```\n# no heading\n```\n")
            document = root / "README.md"
            document.write_text(text)
            return doc_paths.missing(root, document)

    def test_what_is_there_is_not_missing(self) -> None:
        text = "[a](other.md) [b](other.md#a-heading-with-code) `node/tasks.rs` `sfu-node/src/node/tasks.rs` `NAME/x.rs` `a/*.rs`"
        self.assertEqual(self.missing(text + "\n```sh\ncargo test --workspace planning_again\n```\n"), [])

    def test_a_file_a_link_a_heading_and_a_test_that_are_not_there_are_named(self) -> None:
        text = "[a](gone.md) [b](other.md#no-heading) `node/gone.rs`\n```sh\ncargo test --workspace planning_twice\n```\n"
        self.assertEqual(len(self.missing(text)), 4, self.missing(text))

    def test_a_test_of_pytest_is_looked_up(self) -> None:
        self.assertEqual(self.missing("`stories/test_roll.py::test_a_roll`"), [])
        gone = ("stories/test_roll.py::test_a", "stories/test_gone.py::test_a_roll")
        missing = self.missing(" ".join(f"`{test}`" for test in gone))
        self.assertEqual(missing, [f"`{test}`: there is no such test" for test in gone])


if __name__ == "__main__":
    unittest.main()
