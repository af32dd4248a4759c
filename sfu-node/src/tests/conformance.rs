//! The table of rules in `docs/whip-whep.md` names a test for each: this keeps the names true.

use std::path::{Path, PathBuf};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// All sources of tests as one text.
fn tests() -> String {
    let mut text = String::new();
    for directory in [
        "sfu-node/src",
        "sfu-node/src/tests",
        "sfu-node/src/sdp",
        "web/src",
        "web/tests",
        "test/e2e",
    ] {
        for entry in std::fs::read_dir(repository().join(directory)).unwrap() {
            let path = entry.unwrap().path();
            let is_source = path
                .extension()
                .is_some_and(|extension| extension == "rs" || extension == "py");
            if is_source {
                text += &std::fs::read_to_string(path).unwrap();
            }
        }
    }
    text
}

#[test]
fn every_rule_of_the_conformance_tables_names_a_test_that_exists() {
    let document = std::fs::read_to_string(repository().join("docs/whip-whep.md")).unwrap();
    let (_, tables) = document
        .split_once("\n## Conformance")
        .expect("the document has the section");
    let tables = tables.split("\n## ").next().unwrap();
    let tests = tests();
    let (mut rules, mut missing) = (0, Vec::new());
    for row in tables
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| rule"))
    {
        let proof = row.trim_end_matches('|').rsplit('|').next().unwrap();
        let names: Vec<&str> = proof.split('`').skip(1).step_by(2).collect();
        rules += 1;
        if names.is_empty() {
            missing.push(format!("no test in: {row}"));
        }
        for name in names {
            let defined = [format!("fn {name}("), format!("def {name}(")];
            if !defined.iter().any(|definition| tests.contains(definition)) {
                missing.push(format!("no such test: {name}"));
            }
        }
    }
    assert!(rules >= 40, "only {rules} rules were found");
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}
