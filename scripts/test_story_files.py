"""What a file of stories needs is found by reading its imports."""

import tempfile
import unittest
from pathlib import Path

from story_files import story_files


class StoryFiles(unittest.TestCase):
    def setUp(self) -> None:
        self.root = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.write("test/stories/test_life.py", "import json\nimport httpx\nfrom cluster import Cluster\ndef test_a(live): ...\n")
        self.write("test/stories/conftest.py", "from testcluster import outcome\n")
        self.write("test/stories/cluster.py", "def up():\n    from pods import running\n")
        self.write("test/cluster/cluster.py", "import never\n")
        self.write("test/cluster/testcluster/__init__.py", "")
        self.write("test/cluster/testcluster/outcome.py", "from . import traces\nfrom .waiting import eventually\n")
        self.write("test/cluster/testcluster/traces.py", "")
        self.write("test/cluster/testcluster/waiting.py", "import os.path\n")
        self.write("test/kubernetes/pods.py", "import testcluster.traces\n")

    def write(self, name: str, text: str) -> None:
        file = self.root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def needs(self) -> set[str]:
        return set(story_files(self.root)["test/stories/test_life.py"].needs)

    def test_imports_are_followed_from_file_to_file_and_the_first_folder_with_a_name_has_it(self) -> None:
        expected = {"test/stories/conftest.py", "test/stories/cluster.py", "test/kubernetes/pods.py"}
        testcluster = {f"test/cluster/testcluster/{name}.py" for name in ("__init__", "outcome", "traces", "waiting")}
        self.assertEqual(self.needs(), expected | testcluster)

    def test_files_that_import_each_other_end(self) -> None:
        self.write("test/kubernetes/pods.py", "import cluster\n")
        self.assertIn("test/kubernetes/pods.py", self.needs())

    def test_stories_are_the_functions_that_pytest_runs(self) -> None:
        self.write("test/stories/test_roll.py", "def test_a(live): ...\ndef rolled(): ...\n@mark\ndef test_b(live): ...\n")
        self.assertEqual(story_files(self.root)["test/stories/test_roll.py"].stories, ("test_a", "test_b"))


if __name__ == "__main__":
    unittest.main()
