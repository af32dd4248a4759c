"""Tests of module-circles.py, on small crates: `python3 -m unittest discover -s scripts`."""

import contextlib
import importlib
import io
import tempfile
import unittest
from pathlib import Path

from rust_modules import read_workspace, tokens_of

main = importlib.import_module("module-circles").main


class Workspace(unittest.TestCase):
    def setUp(self) -> None:
        self.root = Path(self.enterContext(tempfile.TemporaryDirectory())).resolve()
        self.write({"Cargo.toml": '[workspace]\nmembers = ["small"]\n'})

    def write(self, files: dict[str, str]) -> None:
        for name, text in files.items():
            file = self.root / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")

    def crate(self, files: dict[str, str], name: str = "small") -> None:
        """Writes a crate; files are named from its src/."""
        self.write({f"{name}/Cargo.toml": f'[package]\nname = "{name}"\n'})
        self.write({f"{name}/src/{file}": text for file, text in files.items()})

    def run_main(self, *options: str) -> tuple[int, str]:
        with contextlib.redirect_stdout(io.StringIO()) as output, contextlib.redirect_stderr(output):
            try:
                code = main(["--root", str(self.root), *options])
            except SystemExit as end:
                code = int(end.code or 0)
        return code, output.getvalue()

    def arrows(self, files: dict[str, str]) -> set[str]:
        """The arrows of a crate, each as `from -> to`, seen from its src/."""
        self.crate(files)
        (package,) = read_workspace(self.root)
        src = self.root / "small/src"
        return {f"{arrow.source.relative_to(src)} -> {arrow.target.relative_to(src)}" for arrow in package.arrows}

    def assert_circle(self, files: dict[str, str], *lines: str) -> None:
        self.crate(files)
        code, output = self.run_main()
        self.assertEqual(code, 1, output)
        for line in lines:
            self.assertIn(line + "\n", output)

    def assert_no_circle(self, files: dict[str, str]) -> None:
        self.crate(files)
        code, output = self.run_main()
        self.assertEqual(code, 0, output)
        self.assertRegex(output, r"^module circles: none in \d+ modules of 1 crates\n$")


class Circles(Workspace):
    def test_two_modules_that_use_each_other_through_super_are_a_circle(self) -> None:
        self.assert_circle(
            {"lib.rs": "mod a; mod b;", "a.rs": "\nuse super::b::B;\npub struct A;", "b.rs": "use super::a::A;\npub struct B;"},
            "circle of 2 modules in small: small/src/a.rs, small/src/b.rs",
            "  small/src/a.rs:2 -> small/src/b.rs: super::b::B",
            "  small/src/b.rs:1 -> small/src/a.rs: super::a::A",
            "module circles: 1 in 3 modules of 1 crates",
        )

    def test_a_circle_through_a_re_export_goes_to_the_file_that_defines_the_item(self) -> None:
        self.assert_circle(
            {
                "lib.rs": "mod a; mod room;",
                "a.rs": "use crate::room::Inner; pub struct A;",
                "room/mod.rs": "mod inner;\npub use inner::Inner;",
                "room/inner.rs": "use crate::a::A; pub struct Inner(A);",
            },
            "circle of 2 modules in small: small/src/a.rs, small/src/room/inner.rs",
            "  small/src/a.rs:1 -> small/src/room/inner.rs: crate::room::Inner",
        )

    def test_a_circle_through_a_path_within_code_is_found(self) -> None:
        self.assert_circle(
            {
                "lib.rs": "mod a; mod b;",
                "a.rs": "pub fn f() {\n    let x = 'x';\n    crate::b::g::<u8>();\n}",
                "b.rs": "pub fn g<T>() { super::a::f() }",
            },
            "  small/src/a.rs:3 -> small/src/b.rs: crate::b::g",
            "  small/src/b.rs:1 -> small/src/a.rs: super::a::f",
        )

    def test_a_circle_of_three_is_printed_in_order_with_how_often_each_names_the_next(self) -> None:
        self.assert_circle(
            {
                "lib.rs": "mod a; mod b; mod c;",
                "a.rs": "use crate::c::C; pub struct A; fn f() { crate::c::g() }",
                "b.rs": "use crate::a::A; pub struct B;",
                "c.rs": "use crate::b::B; pub struct C; pub fn g() {}",
            },
            "circle of 3 modules in small: small/src/a.rs, small/src/b.rs, small/src/c.rs\n"
            "  small/src/a.rs:1 -> small/src/c.rs: crate::c::C (and 1 more)\n"
            "  small/src/c.rs:1 -> small/src/b.rs: crate::b::B\n"
            "  small/src/b.rs:1 -> small/src/a.rs: crate::a::A",
        )

    def test_of_a_larger_circle_the_shortest_way_around_is_printed(self) -> None:
        self.assert_circle(
            {
                "lib.rs": "mod a; mod b; mod c;",
                "a.rs": "use crate::b::B; pub struct A;",
                "b.rs": "use crate::c::C; pub struct B;",
                "c.rs": "use crate::{a::A, b::B}; pub struct C;",
            },
            "  the shortest way around, of 2:\n"
            "  small/src/b.rs:1 -> small/src/c.rs: crate::c::C\n"
            "  small/src/c.rs:1 -> small/src/b.rs: crate::b::B",
        )

    def test_a_parent_that_uses_its_child_and_is_named_by_it_is_a_circle(self) -> None:
        self.assert_circle(
            {
                "lib.rs": "mod room;",
                "room/mod.rs": "mod child;\npub const LIMIT: u8 = 1;\nfn f() { child::g() }",
                "room/child.rs": "use super::LIMIT;\npub fn g() {}",
            },
            "  small/src/room/child.rs:1 -> small/src/room/mod.rs: super::LIMIT",
            "  small/src/room/mod.rs:3 -> small/src/room/child.rs: child::g",
        )

    def test_a_program_and_a_library_of_one_package_may_share_a_circle_of_files(self) -> None:
        self.assert_circle(
            {"lib.rs": "pub mod a; pub mod b;", "main.rs": "mod b; mod a;", "a.rs": "use crate::b::B;", "b.rs": "use crate::a::A;"},
            "module circles: 1 in 4 modules of 1 crates",
        )

    def test_an_enum_whose_variants_are_used_by_a_glob_counts(self) -> None:
        self.assert_circle(
            {
                "lib.rs": "mod a; mod b;",
                "a.rs": "use crate::b::Kind::*; pub struct A;",
                "b.rs": "use crate::a::A; pub enum Kind { X }",
            },
            "  small/src/a.rs:1 -> small/src/b.rs: crate::b::Kind::*",
        )


class NoCircles(Workspace):
    def test_what_only_tests_name_is_no_circle(self) -> None:
        for attribute in (
            "#[cfg(test)] mod tests { use crate::b::B; }",
            '#[cfg(test)]\n#[allow(unused)]\n#[path = "elsewhere.rs"]\nmod tests;',
            "#[cfg(test)] use crate::b::B;",
            "#[cfg(all(test, unix))] fn f() -> [u8; 2] { crate::b::g() }",
            "#[test] fn f() { crate::b::g() }",
            '#[tokio::test(flavor = "multi_thread")] async fn f() { crate::b::g() }',
            "#[cfg(test)] const F: fn() = { crate::b::g };",
            "struct S { #[cfg(test)] x: crate::b::B, y: u8 }",
            "fn f() { #[cfg(test)] crate::b::g(); }",
            "fn f() { #[cfg(test)] if true { crate::b::g() } match x { #[cfg(test)] X => { crate::b::g() } Y => {} } }",
            "#[cfg(test)] name_type! { crate::b::B }",
            "impl A { #[cfg(test)] pub(crate) fn f() -> crate::b::B { crate::b::B } }",
        ):
            with self.subTest(attribute):
                self.assert_no_circle(
                    {
                        "lib.rs": "mod a; mod b;",
                        "a.rs": f"pub struct A;\n{attribute}\npub fn last() {{}}",
                        "b.rs": "use crate::a::{A, last}; pub struct B; pub fn g() {}",
                        "elsewhere.rs": "use crate::b::B;",
                    }
                )

    def test_what_follows_an_item_for_tests_still_counts(self) -> None:
        for before in (
            "#[cfg(test)] mod tests { }",
            "#[cfg(test)] mod tests;",
            "#[cfg(test)] use a::{b, c};",
            "#[cfg(test)] const N: [u8; 1] = { [1] };",
            "#[cfg(test)] const fn n() {}",
            "#[cfg(test)] impl A {}",
            "#[cfg(test)] proptest! { fn p() {} }",
            "#[cfg(test)] macro_rules! m { () => {} }",
            "#[cfg(test)] pub(crate) struct T(u8);",
            "#[cfg(not(test))]",
            "#[cfg(any(test, unix))]",
        ):
            with self.subTest(before):
                arrows = self.arrows(
                    {"lib.rs": "mod a; mod b;", "a.rs": f"{before} fn f() {{ crate::b::g() }}", "b.rs": "pub fn g() {}"}
                )
                self.assertEqual(arrows, {"a.rs -> b.rs"})

    def test_code_after_a_statement_for_tests_still_counts(self) -> None:
        code = "fn f() { #[cfg(test)] for x in y { z } crate::b::g() }"
        self.assertEqual(self.arrows({"lib.rs": "mod a; mod b;", "a.rs": code, "b.rs": "pub fn g() {}"}), {"a.rs -> b.rs"})

    def test_a_file_for_tests_by_its_own_word_names_nothing(self) -> None:
        self.assert_no_circle(
            {"lib.rs": "mod a; mod b;", "a.rs": "//! Of b.\n#![cfg(test)]\nuse crate::b::B;", "b.rs": "use crate::a::A;"}
        )

    def test_comments_strings_and_links_of_documents_are_no_circle(self) -> None:
        for text in (
            "// crate::b::B",
            "/// See [`crate::b::B`] and [b](super::b).\npub fn f() {}",
            "//! [`crate::b::B`]",
            "/* one /* two */ crate::b::B */",
            'const X: &str = "crate::b::B \\" crate::b::B";',
            'const X: &str = r#"a " crate::b::B"#;',
            "const X: &[u8] = br\"crate::b::B\"; const Y: char = '\"'; const Z: char = '\\''; // crate::b::B",
            "#[doc = \"crate::b::B\"] pub fn f<'a>(x: &'a str) {}",
        ):
            with self.subTest(text):
                self.assert_no_circle({"lib.rs": "mod a; mod b;", "a.rs": f"{text}\npub struct A;", "b.rs": "use crate::a::A;"})

    def test_a_child_that_names_the_sibling_of_its_parent_is_no_circle(self) -> None:
        self.assert_no_circle(
            {
                "lib.rs": "mod room; mod other;",
                "room/mod.rs": "mod child; use child::C;",
                "room/child.rs": "use super::super::other::f; pub struct C;",
                "other.rs": "pub fn f() {}",
            }
        )

    def test_a_child_that_reaches_its_sibling_through_a_re_export_of_their_parent_is_no_circle(self) -> None:
        self.assert_no_circle(
            {
                "lib.rs": "mod room;",
                "room/mod.rs": "mod one; mod two;\npub use one::One;\npub use two::*;",
                "room/one.rs": "use super::Two; pub struct One;",
                "room/two.rs": "pub struct Two;",
            }
        )

    def test_declaring_a_module_is_no_arrow_and_neither_is_the_place_of_a_visibility(self) -> None:
        arrows = self.arrows({"lib.rs": "mod room;", "room.rs": "mod child;", "room/child.rs": "pub(in crate::room) fn f() {}"})
        self.assertEqual(arrows, set())

    def test_a_method_with_the_name_of_a_module_is_no_arrow(self) -> None:
        self.assertEqual(self.arrows({"lib.rs": "mod a; fn f() { x.a::<u8>(); T::a::b(); <T as U>::a::b(); }", "a.rs": ""}), set())


class Arrows(Workspace):
    def test_a_use_with_groups_names_self_and_as_is_read_whole(self) -> None:
        arrows = self.arrows(
            {
                "lib.rs": "mod a; mod b; mod c; mod d;",
                "a.rs": "pub use crate::{self as root, b::{self, B as X, Y}, c::{C as _}, d::*, d::D};",
                "b.rs": "pub struct B; pub struct Y;",
                "c.rs": "pub trait C {}",
                "d.rs": "pub struct D;",
            }
        )
        self.assertEqual(arrows, {"a.rs -> lib.rs", "a.rs -> b.rs", "a.rs -> c.rs", "a.rs -> d.rs"})

    def test_a_module_brought_in_by_use_stands_for_the_paths_that_begin_with_it(self) -> None:
        arrows = self.arrows(
            {
                "lib.rs": "mod a; mod room;",
                "a.rs": "use crate::room; fn f() { room::deep::g() }",
                "room/mod.rs": "pub mod deep;",
                "room/deep.rs": "pub fn g() {}",
            }
        )
        self.assertEqual(arrows, {"a.rs -> room/deep.rs"})

    def test_a_use_within_a_function_gives_names_to_the_code_and_to_no_other_file(self) -> None:
        arrows = self.arrows(
            {
                "lib.rs": "mod a; mod b; mod room;",
                "a.rs": "fn f() { use crate::room; room::deep::g() }",
                "b.rs": "use crate::a::room::deep::g;",
                "room.rs": "pub mod deep;",
                "room/deep.rs": "pub fn g() {}",
            }
        )
        self.assertEqual(arrows, {"a.rs -> room/deep.rs", "b.rs -> a.rs"})

    def test_a_module_and_a_function_of_one_name_are_told_apart(self) -> None:
        arrows = self.arrows(
            {
                "lib.rs": "mod a; pub mod plan; pub use plan::plan; mod tick; pub fn tick() {}",
                "a.rs": "fn f() { crate::plan(); crate::plan::plan(); crate::tick(); crate::tick::now() }",
                "plan.rs": "pub fn plan() {}",
                "tick.rs": "pub fn now() {}",
            }
        )
        self.assertEqual(arrows, {"lib.rs -> plan.rs", "a.rs -> plan.rs", "a.rs -> lib.rs", "a.rs -> tick.rs"})

    def test_a_name_that_comes_through_a_glob_goes_to_where_it_is_defined(self) -> None:
        arrows = self.arrows(
            {"lib.rs": "mod a; mod b; mod c;", "a.rs": "use crate::b::C;", "b.rs": "pub use super::c::*;", "c.rs": "pub struct C;"}
        )
        self.assertEqual(arrows, {"a.rs -> c.rs", "b.rs -> c.rs"})

    def test_an_item_that_a_macro_defines_belongs_to_the_file_of_its_path(self) -> None:
        arrows = self.arrows({"lib.rs": "mod a; mod b;", "a.rs": "use crate::b::Made;", "b.rs": "name_type! { Made }"})
        self.assertEqual(arrows, {"a.rs -> b.rs"})

    def test_an_item_that_a_macro_defines_is_found_through_a_glob_by_the_words_of_the_macro(self) -> None:
        arrows = self.arrows(
            {
                "lib.rs": "mod a; mod room;",
                "a.rs": "use crate::room::{Made, Derived};",
                "room/mod.rs": "mod one; mod two; pub use one::*; pub use two::*;",
                "room/one.rs": "name_type! {\n/// Made in two.\nOther } pub struct One;",
                "room/two.rs": "serde::name_type!(Made, 1); pub struct Two;",
            }
        )
        self.assertEqual(
            arrows,
            {"a.rs -> room/two.rs", "a.rs -> room/mod.rs", "room/mod.rs -> room/one.rs", "room/mod.rs -> room/two.rs"},
        )

    def test_siblings_that_their_parent_brings_in_by_globs_name_each_other_and_not_the_parent(self) -> None:
        arrows = self.arrows(
            {
                "lib.rs": "mod room;",
                "room/mod.rs": "mod one; mod two; pub use one::*; pub use two::*;",
                "room/one.rs": "pub use crate::room::Two;",
                "room/two.rs": "pub struct Two;",
            }
        )
        self.assertEqual(arrows, {"room/one.rs -> room/two.rs", "room/mod.rs -> room/one.rs", "room/mod.rs -> room/two.rs"})

    def test_an_inline_module_belongs_to_its_file_and_has_a_parent_of_its_own(self) -> None:
        arrows = self.arrows(
            {
                "lib.rs": "mod a; mod b;",
                "a.rs": "mod inline { mod deep; use super::super::b::B; use super::own; }\npub fn own() { inline::deep::g() }",
                "a/inline/deep.rs": "pub fn g() {}",
                "b.rs": "use crate::a::inline::x; pub struct B;",
            }
        )
        self.assertEqual(arrows, {"a.rs -> b.rs", "a.rs -> a/inline/deep.rs", "b.rs -> a.rs"})

    def test_what_other_packages_define_is_no_arrow_whoever_re_exports_it(self) -> None:
        arrows = self.arrows(
            {
                "lib.rs": "mod a; mod kube; mod serde; pub use ::kube::Client; use std::fmt; pub use tokio;",
                "a.rs": "use crate::{Client, fmt}; use super::tokio::spawn; use std::a; use serde::x;",
                "kube.rs": "pub struct Client;",
                "serde.rs": "",
            }
        )
        self.assertEqual(arrows, set())

    def test_a_program_names_the_library_of_its_package(self) -> None:
        arrows = self.arrows(
            {"lib.rs": "pub mod a;", "main.rs": "use small::a::A; fn main() { small::run() }", "a.rs": "pub struct A;"}
        )
        self.assertEqual(arrows, {"main.rs -> a.rs", "main.rs -> lib.rs"})

    def test_names_that_refer_to_themselves_come_to_an_end(self) -> None:
        arrows = self.arrows(
            {
                "lib.rs": "mod a; mod b; use foo::foo;",
                "a.rs": "pub use crate::b::*; use crate::b::X;",
                "b.rs": "pub use crate::a::*;",
            }
        )
        self.assertEqual(arrows, {"a.rs -> b.rs", "b.rs -> a.rs"})

    def test_tokens_know_characters_from_lifetimes_and_ranges_from_numbers(self) -> None:
        code = "f::<'a, 'b>('\\u{1F600}', b'x', 0..n, 1.5e3, 'r: loop {}, r#type"
        words = [token.text for token in tokens_of(code)]
        self.assertEqual(words, [*'f :: < , > ( " , " , 0 .. n , 1.5e3 , : loop { } , type'.split()])


class Program(Workspace):
    def test_one_crate_alone_can_be_asked_for(self) -> None:
        self.write({"Cargo.toml": '[workspace]\nmembers = ["small", "other"]\n'})
        self.crate({"lib.rs": "mod a; fn f() { a::g() }", "a.rs": "use crate::f; pub fn g() {}"})
        self.crate({"main.rs": ""}, name="other")
        self.assertEqual(self.run_main("--crate", "other"), (0, "module circles: none in 1 modules of 1 crates\n"))
        self.assertEqual(self.run_main("--crate", "small")[0], 1)
        self.assertEqual(self.run_main()[0], 1)
        code, output = self.run_main("--crate", "none")
        self.assertEqual(code, 2)
        self.assertIn("no crate is called 'none': other, small", output)

    def test_the_list_shows_every_arrow(self) -> None:
        self.crate({"lib.rs": "mod a;\nfn f() {\n a::g();\n a::g();\n}", "a.rs": "pub fn g() {}"})
        code, output = self.run_main("--list")
        self.assertEqual(code, 0)
        self.assertEqual(output, "small/src/lib.rs:3 -> small/src/a.rs: a::g\nsmall/src/lib.rs:4 -> small/src/a.rs: a::g\n")

    def test_what_cannot_be_read_is_named_and_is_no_success(self) -> None:
        for files, message in (
            ({"lib.rs": "mod gone;"}, "`mod gone;` has no file: looked for"),
            ({"lib.rs": "fn f() {"}, "small/src/lib.rs:1: `{` is never closed"),
            ({"lib.rs": "\n)"}, "small/src/lib.rs:2: `)` closes nothing"),
            ({"lib.rs": '\n"'}, "small/src/lib.rs:2: a literal that does not end"),
            ({"lib.rs": "use a::b"}, "small/src/lib.rs:1: a `use` that does not end"),
            ({"lib.rs": "/* /* */"}, "small/src/lib.rs:1: a comment that does not end"),
        ):
            with self.subTest(message):
                self.crate(files)
                code, output = self.run_main()
                self.assertEqual(code, 2)
                self.assertIn(message, output)


if __name__ == "__main__":
    unittest.main()
