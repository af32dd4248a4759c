#!/usr/bin/env python3
"""Chooses the stories that a change concerns, for scripts/check-fast.sh: `scripts/story_choice.py FILE...`

Prints files of stories and single stories, one a line, as scripts/stories.sh takes them, and on stderr what is left out.
test/stories/areas.toml says what each file of stories exercises. Where something is missing there, that is said, and the exit
code is 1.
"""

import sys
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import IntEnum
from pathlib import Path
from typing import NamedTuple

from rust_modules import read_package, read_toml
from story_durations import Durations
from story_files import STORIES, StoryFile, story_files

ROOT = Path(__file__).resolve().parent.parent
AREAS = f"{STORIES}/areas.toml"
# Those that the operator is built from. Stories run no other program of ours, but for its help.
CRATES = ("admin-api", "mesh", "operator")
# Seconds that the stories of a change may take.
BUDGET = 30.0
# Until the API server and its clients are there.
START = 8.0
# How many run side by side, unless somebody says otherwise to scripts/stories.sh.
JOBS = 8


class Area(NamedTuple):
    """What one file of stories exercises."""

    first: str
    """The story of it that shows most."""
    covers: tuple[str, ...]
    """Files and folders."""


class Areas(NamedTuple):
    core: tuple[str, ...]
    """Stories that every change of a program runs."""
    alone: tuple[str, ...]
    """Files and folders for which they are all that runs."""
    everything: tuple[str, ...]
    """Files and folders that every story goes through."""
    of: dict[str, Area]
    """By file of stories."""


class Near(IntEnum):
    """How near a change is to a file of stories: the nearer, the earlier it gets its time."""

    ITSELF = 0
    NAMED = 1
    """The changed file is named as what the stories exercise."""
    AROUND = 2
    """It is in a folder that is named, or imported."""
    EVERYTHING = 3


class Choice(NamedTuple):
    whole: list[str]
    """Files of stories."""
    single: list[str]
    """Stories of other files, `test/stories/test_life.py::test_name`."""
    concerned: list[str]
    """Files of stories that the change concerns: those that are not whole have one story."""
    seconds: float


def parse(text: str) -> Areas:
    content = tomllib.loads(text)
    core, everything = content.pop("core"), content.pop("everything")
    of = {f"{STORIES}/{name}.py": Area(table["first"], tuple(table["covers"])) for name, table in content.items()}
    stories = tuple(f"{STORIES}/{story}" for story in core["stories"])
    return Areas(stories, tuple(core["alone"]), tuple(everything["paths"]), of)


def within(path: str, places: Iterable[str]) -> bool:
    return any(path == place or path.startswith(f"{place}/") for place in places)


def is_source(path: str) -> bool:
    return within(path, (f"{crate}/src" for crate in CRATES))


def concerned(change: Iterable[str], areas: Areas, files: Mapping[str, StoryFile]) -> dict[str, Near]:
    """Files of stories that a change concerns, and how near it is to each."""
    found: dict[str, Near] = {}
    for path in change:
        for file, story_file in files.items():
            near = nearness(path, file, areas, story_file)
            if near is not None:
                found[file] = min(near, found.get(file, near))
    return found


def nearness(path: str, file: str, areas: Areas, story_file: StoryFile) -> Near | None:
    covers = areas.of[file].covers
    if path == file:
        return Near.ITSELF
    if path in covers:
        return Near.NAMED
    if within(path, areas.alone):
        return None
    if within(path, covers) or path in story_file.needs:
        return Near.AROUND
    return Near.EVERYTHING if within(path, areas.everything) else None


def choose(
    changed: Iterable[str],
    areas: Areas,
    files: Mapping[str, StoryFile],
    modules: frozenset[str],
    durations: Durations,
    budget: float = BUDGET,
) -> Choice:
    """The stories that these changed files concern.

    `modules`: source files that are compiled outside tests. The nearest files of stories are whole as long as the time lasts, the
    shortest first, and at least one is; each other one has its first story.
    """
    change = [path for path in changed if path in modules or not is_source(path)]
    near = concerned(change, areas, files)
    concerns_all = near.keys() == files.keys() or any(within(path, (*areas.alone, *areas.everything)) for path in change)
    core = areas.core if concerns_all or any(map(is_source, change)) else ()

    def single(whole: list[str]) -> list[str]:
        firsts = (f"{file}::{areas.of[file].first}" for file in sorted(near) if file not in whole)
        return list(dict.fromkeys(story for story in (*core, *firsts) if story.partition("::")[0] not in whole))

    whole: list[str] = []
    for file in sorted(near, key=lambda file: (near[file], of_file(file, files, durations), file)):
        more = [*whole, file]
        if not whole or estimated(more, single(more), files, durations) <= budget:
            whole = more
    rest = single(whole)
    return Choice(sorted(whole), rest, sorted(near), estimated(whole, rest, files, durations) if near or rest else 0.0)


def of_file(file: str, files: Mapping[str, StoryFile], durations: Durations) -> float:
    return durations.of_all(stories_of(file, files))


def stories_of(file: str, files: Mapping[str, StoryFile]) -> list[str]:
    return [f"{Path(file).name}::{story}" for story in files[file].stories]


def estimated(whole: list[str], single: list[str], files: Mapping[str, StoryFile], durations: Durations) -> float:
    """How long they take side by side."""
    stories = [story for file in whole for story in stories_of(file, files)]
    stories += [story.removeprefix(f"{STORIES}/") for story in single]
    return START + max(durations.of_all(stories) / JOBS, durations.longest(stories))


def complaints(
    areas: Areas, files: Mapping[str, StoryFile], modules: frozenset[str], is_there: Callable[[str], bool]
) -> Iterator[str]:
    """What is missing in the areas, or is there no more."""
    for file in sorted(files.keys() - areas.of.keys()):
        yield f"{file} has no table: write [{Path(file).stem}] with what it exercises"
    for file in sorted(areas.of.keys() - files.keys()):
        yield f"[{Path(file).stem}]: there is no {file}"
    firsts = [f"{file}::{area.first}" for file, area in areas.of.items() if file in files]
    for story in (*areas.core, *firsts):
        file, _, name = story.partition("::")
        if file not in files or name.partition("[")[0] not in files[file].stories:
            yield f"there is no story {story}"
    places = [*areas.alone, *areas.everything, *(place for area in areas.of.values() for place in area.covers)]
    for place in sorted(set(places)):
        if not is_there(place):
            yield f"there is no {place}"
    for module in sorted(modules):
        if not within(module, places):
            yield f"no table names {module}: add it to those whose stories exercise it, or to `alone`"


def compiled_modules(root: Path) -> frozenset[str]:
    """Source files of the programs, without those that only tests have."""
    packages = (read_package(root / crate, read_toml(root / crate / "Cargo.toml")) for crate in CRATES)
    return frozenset(file.relative_to(root).as_posix() for package in packages for file in package.files)


def told(choice: Choice, files: Mapping[str, StoryFile]) -> Iterator[str]:
    """What runs, and what does not."""

    def names(paths: list[str]) -> str:
        return ", ".join(Path(path).stem.removeprefix("test_") for path in paths)

    chosen = f"{len(choice.whole)} of {len(files)} files of stories and {len(choice.single)} of the other stories"
    yield f"{chosen}, about {choice.seconds:.0f} s. The rest is left out: `make stories` runs all"
    if choice.whole:
        yield f"  whole: {names(choice.whole)}"
    if short := [file for file in choice.concerned if file not in choice.whole]:
        yield f"  one story each, since all of them would take more than {BUDGET:.0f} s: {names(short)}"


def main() -> int:
    changed = sys.argv[1:]
    files = story_files(ROOT)
    areas = parse((ROOT / AREAS).read_text(encoding="utf-8"))
    # Reading them takes a second.
    modules = compiled_modules(ROOT) if AREAS in changed or any(map(is_source, changed)) else frozenset()
    wrong = [f"{AREAS}: {line}" for line in complaints(areas, files, modules, lambda path: (ROOT / path).exists())]
    print("\n".join(wrong), end="\n" * bool(wrong), file=sys.stderr)
    named = {file: story_file for file, story_file in files.items() if file in areas.of}
    choice = choose(changed, areas, named, modules, Durations.read())
    if choice.whole or choice.single:
        print("\n".join(told(choice, files)), file=sys.stderr)
        print("\n".join([*choice.whole, *choice.single]))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
