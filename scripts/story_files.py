"""Which stories there are (test/stories), and what each file of them imports. They are read and not imported: this runs where
no library of theirs is installed."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

# Where a file of stories looks for what it imports, in this order: `pythonpath` in test/stories/pytest.ini.
FOLDERS = ("test/stories", "test/cluster", "test/kubernetes")
STORIES = FOLDERS[0]
# What every file of stories has without naming it.
CONFTEST = f"{STORIES}/conftest.py"


class StoryFile(NamedTuple):
    stories: tuple[str, ...]
    """Names of its functions. One with parameters is several stories."""
    needs: frozenset[str]
    """Files of ours that it imports, directly or through others."""


def story_files(root: Path) -> dict[str, StoryFile]:
    """By path from the root, as all paths here."""
    reader = Reader(root)
    paths = sorted(path.relative_to(root).as_posix() for path in (root / STORIES).glob("test_*.py"))
    return {path: StoryFile(tuple(reader.stories(path)), frozenset(reader.all_needed(path))) for path in paths}


class Reader:
    def __init__(self, root: Path) -> None:
        self._root = root
        self._trees: dict[str, ast.Module] = {}

    def stories(self, path: str) -> Iterator[str]:
        return (node.name for node in self._tree(path).body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"))

    def all_needed(self, path: str) -> set[str]:
        found = {CONFTEST} if (self._root / CONFTEST).is_file() else set()
        open_paths = [path, *found]
        while open_paths:
            more = set(self._imported(open_paths.pop())) - found
            found |= more
            open_paths += more
        return found

    def _tree(self, path: str) -> ast.Module:
        if path not in self._trees:
            self._trees[path] = ast.parse((self._root / path).read_text(encoding="utf-8"), path)
        return self._trees[path]

    def _imported(self, path: str) -> Iterator[str]:
        """Files of ours that a file imports, wherever it does so. What none of the folders has is of somebody else."""
        for node in ast.walk(self._tree(path)):
            match node:
                case ast.Import():
                    for alias in node.names:
                        yield from self._located(FOLDERS, alias.name.split("."))
                case ast.ImportFrom():
                    parts = node.module.split(".") if node.module else []
                    folders = (Path(path).parents[node.level - 1].as_posix(),) if node.level else FOLDERS
                    for alias in node.names:
                        # It may be a module of the package, or a name in it.
                        yield from self._located(folders, [*parts, alias.name])

    def _located(self, folders: tuple[str, ...], parts: list[str]) -> Iterator[str]:
        """The files of these modules, one within the other, as far as they are files."""
        for end in range(1, len(parts) + 1):
            inner = "/".join(parts[:end])
            candidates = (f"{folder}/{inner}{ending}" for folder in folders for ending in (".py", "/__init__.py"))
            if file := next((it for it in candidates if (self._root / it).is_file()), None):
                yield file
