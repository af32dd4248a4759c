"""Tests of layers.py, on a small workspace: `python3 -m unittest discover -s scripts`."""

import contextlib
import io
import tempfile
import unittest
from pathlib import Path

import layers

MESH = "[dependencies]\nsfumato-mesh.workspace = true\n"


class Layers(unittest.TestCase):
    def setUp(self) -> None:
        self.root = Path(self.enterContext(tempfile.TemporaryDirectory())).resolve()
        self.write(
            "Cargo.toml",
            '[workspace]\nmembers = ["admin-api", "mesh", "sfu-node", "web"]\n'
            '[workspace.dependencies]\nplanner = { path = "mesh", package = "sfumato-mesh" }\nsfumato-mesh = { path = "mesh" }\n',
        )
        for folder, name in (
            ("admin-api", "sfumato-admin-api"),
            ("mesh", "sfumato-mesh"),
            ("sfu-node", "sfu-node"),
            ("web", "sfu-web"),
        ):
            self.package(folder, name)
        rooms = [*layers.UPPER, *layers.BELOW_NODE]
        self.write("sfu-node/src/main.rs", "".join(f"mod {room}; " for room in rooms))
        for room in rooms:
            self.write(f"sfu-node/src/{room}/mod.rs", "")
        self.write("sfu-node/src/node/mod.rs", "use crate::links::Link; pub struct Node(Link); pub mod objects { pub fn f() {} }")
        self.write("sfu-node/src/links/mod.rs", "pub struct Link;")

    def write(self, name: str, text: str) -> None:
        file = self.root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")

    def package(self, folder: str, name: str, rest: str = "") -> None:
        self.write(f"{folder}/Cargo.toml", f'[package]\nname = "{name}"\n{rest}')

    def assert_breach(self, *lines: str) -> None:
        with contextlib.redirect_stdout(io.StringIO()) as output:
            code = layers.main(["--root", str(self.root)])
        end = f"layers: breaches of {len(layers.BELOW_NODE) + len(layers.WITHOUT)} rules: {len(lines) or 'none'}"
        self.assertEqual(output.getvalue().splitlines(), [*lines, end])
        self.assertEqual(code, 1 if lines else 0)

    def test_node_may_know_the_rooms_below_it(self) -> None:
        self.assert_breach()

    def test_a_room_below_node_must_name_nothing_of_it(self) -> None:
        for text, path in (
            ("use crate::node::Node;", "crate::node::Node"),
            ("use crate::{media, node::{self, Node}};", "crate::node::Node"),
            ("fn f() { super::node::objects::f() }", "super::node::objects::f"),
            ("#[cfg(test)] mod tests { use crate::node::Node; }", "node::Node"),
            ("//! Used by [`crate::node::Node`].", "node::Node"),
        ):
            with self.subTest(text):
                self.write("sfu-node/src/links/mod.rs", f"pub struct Link;\n{text}")
                place = "sfu-node/src/links/mod.rs:2"
                self.assert_breach(f"{place} names {path}: links/ stands below node/ and must not know it; pass in what it needs")

    def test_a_room_below_node_must_name_nothing_of_the_rooms_above_node(self) -> None:
        self.write("sfu-node/src/http/mod.rs", "pub mod problem;")
        self.write("sfu-node/src/http/problem.rs", "pub struct Problem;")
        self.write("sfu-node/src/negotiate/mod.rs", "pub struct Refusal;")
        for room, text, path, upper in (
            ("sessions", "use crate::http::problem::Problem;", "crate::http::problem::Problem", "http"),
            ("streams", "fn f() -> super::negotiate::Refusal { loop {} }", "super::negotiate::Refusal", "negotiate"),
            ("options", "use crate::negotiate::Refusal;", "crate::negotiate::Refusal", "negotiate"),
        ):
            with self.subTest(text):
                file = f"sfu-node/src/{room}/mod.rs"
                self.write(file, f"// A room.\n{text}")
                self.assert_breach(
                    f"{file}:2 names {path}: {room}/ stands below {upper}/ and must not know it; pass in what it needs"
                )
                self.write(file, "")

    def test_tests_of_a_room_below_node_may_name_the_rooms_above_node(self) -> None:
        self.write("sfu-node/src/http/mod.rs", "pub struct Problem;")
        self.write("sfu-node/src/access/mod.rs", "#[cfg(test)] mod tests { use crate::http::Problem; }")
        self.assert_breach()

    def test_a_rule_about_a_room_that_is_gone_is_a_breach(self) -> None:
        self.write("sfu-node/src/main.rs", (self.root / "sfu-node/src/main.rs").read_text().replace("mod sdp;", ""))
        self.assert_breach(
            "sfu-node/src/sdp is not there, so the rule about it checks nothing: name the rooms of today in layers.py"
        )

    def test_the_node_and_the_front_door_must_not_depend_on_the_planner_however_they_do(self) -> None:
        for rest in (
            MESH,
            "[dependencies]\nplanner.workspace = true\n",
            MESH.replace("dependencies", "target.'cfg(unix)'.dependencies"),
        ):
            with self.subTest(rest):
                self.package("sfu-node", "sfu-node", rest)
                self.assert_breach(
                    "sfu-node must not depend on sfumato-mesh, which plans for the operator, but does: sfu-node -> sfumato-mesh"
                )

    def test_a_dependency_through_another_package_counts_and_the_way_is_shown(self) -> None:
        self.package("admin-api", "sfumato-admin-api", MESH)
        self.package("web", "sfu-web", '[dependencies]\nserde = "1"\nsfumato-admin-api = { path = "../admin-api" }\n')
        way = "sfu-web -> sfumato-admin-api -> sfumato-mesh"
        self.assert_breach(f"sfu-web must not depend on sfumato-mesh, which plans for the operator, but does: {way}")

    def test_tests_may_depend_on_the_planner(self) -> None:
        self.package("sfu-node", "sfu-node", MESH.replace("dependencies", "dev-dependencies"))
        self.assert_breach()

    def test_a_rule_about_a_package_that_is_gone_is_a_breach(self) -> None:
        self.package("web", "front-door")
        self.assert_breach(
            "no package is called sfu-web, so the rule about it checks nothing: name the packages of today in layers.py"
        )


if __name__ == "__main__":
    unittest.main()
