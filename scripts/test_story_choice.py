"""Which stories a change concerns, and whether test/stories/areas.toml names all that there is."""

import unittest
from collections.abc import Iterable

import story_choice
from story_choice import Area, Areas, Choice
from story_durations import Durations
from story_files import StoryFile, story_files

ROLL, REDIS, NAMES = (f"test/stories/test_{name}.py" for name in ("roll", "redis", "names"))
CONFTEST, CRASHES = "test/stories/conftest.py", "test/kubernetes/crashes.py"
ACT, VOLUME, LOCAL, WORK = (f"operator/src/{name}.rs" for name in ("roll/act", "redis/volume", "local/ports", "work"))
MODULES = frozenset({ACT, VOLUME, LOCAL, WORK})
FILES = {
    ROLL: StoryFile(("test_a", "test_b", "test_c"), frozenset({CONFTEST})),
    REDIS: StoryFile(("test_d", "test_e"), frozenset({CONFTEST, CRASHES})),
    NAMES: StoryFile(("test_f",), frozenset({CONFTEST, REDIS, CRASHES})),
}
AREAS = Areas(
    core=(f"{ROLL}::test_a",),
    alone=("operator/src/local", "docs/logs.md"),
    everything=(WORK, "Cargo.lock"),
    of={
        ROLL: Area("test_b", ("operator/src/roll",)),
        REDIS: Area("test_d", ("operator/src/redis", ACT)),
        NAMES: Area("test_f[case]", ("charts",)),
    },
)


class Choosing(unittest.TestCase):
    def choose(self, *changed: str, budget: float = 1e9, seconds: dict[str, float] | None = None) -> Choice:
        return story_choice.choose(changed, AREAS, FILES, MODULES, Durations(seconds or {}), budget)

    def assert_chosen(self, choice: Choice, whole: Iterable[str], single: Iterable[str] = ()) -> None:
        self.assertEqual((choice.whole, choice.single), (sorted(whole), list(single)))

    def test_a_changed_file_of_stories_runs_and_so_does_what_imports_it(self) -> None:
        self.assert_chosen(self.choose(ROLL), [ROLL])
        self.assert_chosen(self.choose(REDIS), [REDIS, NAMES])

    def test_a_changed_helper_runs_what_imports_it(self) -> None:
        self.assert_chosen(self.choose(CRASHES), [REDIS, NAMES])

    def test_a_changed_module_runs_the_stories_of_its_area_and_the_core(self) -> None:
        self.assert_chosen(self.choose(VOLUME), [REDIS], [f"{ROLL}::test_a"])
        self.assert_chosen(self.choose(ACT), [REDIS, ROLL])

    def test_a_module_that_no_story_is_about_runs_the_core_alone(self) -> None:
        self.assert_chosen(self.choose(LOCAL), [], [f"{ROLL}::test_a"])
        self.assert_chosen(self.choose("docs/logs.md"), [], [f"{ROLL}::test_a"])

    def test_a_chart_runs_no_core(self) -> None:
        self.assert_chosen(self.choose("charts/values.yaml"), [NAMES])

    def test_a_document_and_a_file_that_only_unit_tests_have_run_nothing(self) -> None:
        choice = self.choose("README.md", "operator/src/redis/tests.rs", "operator/src/redis/snapshots/a.snap")
        self.assertEqual(choice, Choice([], [], [], 0.0))

    def test_what_everything_goes_through_runs_the_first_story_of_each_file_and_more_as_long_as_there_is_time(self) -> None:
        firsts = [f"{ROLL}::test_a", f"{REDIS}::test_d", f"{ROLL}::test_b"]
        for path in ("Cargo.lock", WORK, CONFTEST):
            self.assert_chosen(self.choose(path, budget=0), [NAMES], firsts)
            self.assert_chosen(self.choose(path), [NAMES, REDIS, ROLL])

    def test_what_the_change_names_has_its_time_before_what_is_around_it(self) -> None:
        # The file of Redis names the module, the other one its folder. Both together take 46 s.
        seconds = {f"test_redis.py::test_{name}[{case}]": 10.0 for name in "de" for case in range(8)}
        seconds |= {"test_roll.py::test_a": 8.0, "test_roll.py::test_b": 8.0}
        seconds |= {f"test_roll.py::test_c[{case}]": 8.0 for case in range(16)}
        self.assert_chosen(self.choose(ACT, budget=45, seconds=seconds), [REDIS], [f"{ROLL}::test_a", f"{ROLL}::test_b"])
        self.assert_chosen(self.choose(ACT, budget=46, seconds=seconds), [REDIS, ROLL])

    def test_a_changed_file_of_stories_is_whole_however_long_it_takes(self) -> None:
        self.assert_chosen(self.choose(ROLL, budget=0), [ROLL])

    def test_the_estimate_is_of_stories_side_by_side_and_at_least_of_the_longest(self) -> None:
        seconds = {"test_roll.py::test_a": 7.0, "test_roll.py::test_b[x]": 9.0, "test_roll.py::test_b[y]": 9.0}
        seconds |= {f"test_roll.py::test_c[{case}]": 9.0 for case in range(8)}
        self.assertAlmostEqual(self.choose(ROLL, seconds=seconds).seconds, story_choice.START + 97 / story_choice.JOBS)
        seconds["test_roll.py::test_a"] = 40.0
        self.assertAlmostEqual(self.choose(ROLL, seconds=seconds).seconds, story_choice.START + 40)

    def test_what_is_left_out_is_told(self) -> None:
        head, whole, short = story_choice.told(self.choose(ACT, budget=0), FILES)
        self.assertIn("1 of 3 files of stories and 2 of the other stories, about ", head)
        self.assertIn("left out: `make stories` runs all", head)
        self.assertTrue(whole.endswith(": redis"), whole)
        self.assertTrue(short.endswith(": roll"), short)


class Complaining(unittest.TestCase):
    def complaints(self, areas: Areas = AREAS, modules: frozenset[str] = MODULES, gone: str = "") -> list[str]:
        return list(story_choice.complaints(areas, FILES, modules, lambda path: path != gone))

    def test_nothing_is_wrong_where_all_is_named(self) -> None:
        self.assertEqual(self.complaints(), [])

    def test_a_new_module_must_be_named(self) -> None:
        [complaint] = self.complaints(modules=MODULES | {"operator/src/new.rs"})
        self.assertIn("no table names operator/src/new.rs", complaint)

    def test_what_is_named_must_be_there(self) -> None:
        self.assertEqual(self.complaints(gone="docs/logs.md"), ["there is no docs/logs.md"])

    def test_a_new_file_of_stories_needs_a_table(self) -> None:
        of = {file: area for file, area in AREAS.of.items() if file != NAMES}
        [complaint] = self.complaints(AREAS._replace(of=of))
        self.assertIn(f"{NAMES} has no table: write [test_names]", complaint)

    def test_a_table_without_its_file_and_stories_that_are_gone_are_told(self) -> None:
        core = (f"{ROLL}::test_gone",)
        of = AREAS.of | {"test/stories/test_gone.py": Area("test_x", ()), REDIS: AREAS.of[REDIS]._replace(first="test_f")}
        self.assertEqual(
            self.complaints(AREAS._replace(core=core, of=of)),
            [
                "[test_gone]: there is no test/stories/test_gone.py",
                f"there is no story {ROLL}::test_gone",
                f"there is no story {REDIS}::test_f",
            ],
        )


class OfTheRepository(unittest.TestCase):
    def test_every_module_and_every_file_of_stories_is_named_and_all_that_is_named_is_there(self) -> None:
        root = story_choice.ROOT
        areas = story_choice.parse((root / story_choice.AREAS).read_text())
        modules = story_choice.compiled_modules(root)
        self.assertGreater(len(modules), 150)
        found = list(story_choice.complaints(areas, story_files(root), modules, lambda path: (root / path).exists()))
        self.assertEqual(found, [], "see test/stories/areas.toml")


if __name__ == "__main__":
    unittest.main()
