//! The fields of every log line of every program that serves are those of `docs/logs.md`, which those rely on who search logs.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Crates whose lines are for users. `sfu-bench` is for developers.
const CRATES: [&str; 5] = ["admin-api", "mesh", "operator", "sfu-node", "web"];
const MACROS: [&str; 6] = ["trace!(", "debug!(", "info!(", "warn!(", "error!(", "error_span!("];

fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
}

/// The arguments of a macro whose text begins here: split at its commas, but not at those within brackets and texts.
fn arguments(text: &str) -> Vec<String> {
    let (mut depth, mut quoted, mut escaped) = (0, false, false);
    let mut found = vec![String::new()];
    for c in text.chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ if quoted => {}
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' if depth == 0 => break,
            ')' | ']' | '}' => depth -= 1,
            ',' if depth == 0 => {
                found.push(String::new());
                continue;
            }
            _ => {}
        }
        found.last_mut().unwrap().push(c);
    }
    found.iter().map(|argument| argument.trim().to_owned()).collect()
}

/// Names of the fields before the message, or behind the name of a span.
fn fields(macro_name: &str, text: &str) -> Vec<String> {
    let arguments = arguments(text);
    let (is_span, is_text) = (macro_name == "error_span!(", |argument: &String| {
        argument.starts_with('"')
    });
    let fields: Box<dyn Iterator<Item = &String>> = if is_span {
        Box::new(arguments.iter().skip(1))
    } else {
        Box::new(arguments.iter().take_while(|argument| !is_text(argument)))
    };
    fields
        .filter(|argument| !argument.is_empty() && !argument.starts_with("target:"))
        .map(|argument| {
            argument
                .split('=')
                .next()
                .unwrap()
                .trim()
                .trim_start_matches(['%', '?'])
                .to_owned()
        })
        .collect()
}

#[test]
fn every_field_of_a_log_line_is_in_the_table_of_fields_and_every_row_of_the_table_is_used() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let table = fs::read_to_string(root.join("docs/logs.md")).unwrap();
    let rows = table
        .lines()
        .skip_while(|line| *line != "## Fields")
        .filter_map(|line| line.strip_prefix("| `"));
    let known: BTreeSet<&str> = rows.map(|row| row.split('`').next().unwrap()).collect();
    let files = all_sources(root);
    let mut used: BTreeSet<String> = ["timestamp", "level", "target", "message", "process"]
        .map(str::to_owned)
        .into();
    let mut strangers = Vec::new();
    for file in files.iter().filter(|file| !file.ends_with("program/log.rs")) {
        let text = fs::read_to_string(file).unwrap();
        for name in MACROS {
            let begins = text.match_indices(name).map(|(at, _)| at);
            for at in begins.filter(|at| !text[..*at].ends_with(|c: char| c.is_alphanumeric() || c == '_')) {
                for field in fields(name, &text[at + name.len()..]) {
                    if !known.contains(field.as_str()) {
                        strangers.push(format!("{}: {field}", file.strip_prefix(root).unwrap().display()));
                    }
                    used.insert(field);
                }
            }
        }
    }
    assert!(strangers.is_empty(), "not in docs/logs.md:\n{}", strangers.join("\n"));
    let unused: Vec<_> = known.iter().filter(|name| !used.contains(**name)).collect();
    assert!(
        unused.is_empty(),
        "in docs/logs.md, and nowhere in the code: {unused:?}"
    );
    assert!(used.len() > 30, "the code was read: {used:?}");
}

fn all_sources(root: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    CRATES
        .iter()
        .for_each(|name| sources(&root.join(name).join("src"), &mut files));
    files
}

/// Sources without their tests.
fn programs() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let files = all_sources(root);
    let named = files
        .iter()
        .map(|file| (file.strip_prefix(root).unwrap().display().to_string(), file));
    named
        .filter(|(name, _)| !name.contains("test") && !name.ends_with("stories.rs"))
        .map(|(name, file)| {
            let text = fs::read_to_string(file).unwrap();
            let tests = text.find("#[cfg(test)]\nmod tests {").or_else(|| {
                let found = text.find("\nmod tests {")?;
                text[..found].rfind("#[cfg(test)]")
            });
            let text = tests.map_or(text.as_str(), |at| &text[..at]).to_owned();
            (name, text)
        })
        .collect()
}

/// The arguments of each macro that writes a line.
fn lines(text: &str) -> Vec<Vec<String>> {
    let whole = |at: usize| !text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
    let begins = MACROS
        .iter()
        .flat_map(|name| text.match_indices(name).map(|(at, name)| (at, at + name.len())));
    begins
        .filter(|(at, _)| whole(*at))
        .map(|(_, after)| arguments(&text[after..]))
        .collect()
}

/// Such as `Some("x")`: what it says is for whoever wrote the code.
#[test]
fn no_text_that_a_program_writes_is_the_debug_form_of_a_value() {
    let mut found = Vec::new();
    for (name, text) in programs() {
        for (number, line) in text.lines().enumerate() {
            // What `Display` writes also comes to the log by `Debug`, in tracing's own interface.
            if (line.contains(":?}") || line.contains(":#?}")) && !name.ends_with("program/log.rs") {
                found.push(format!("{name}:{}: {}", number + 1, line.trim()));
            }
        }
        let of_lines = lines(&text).into_iter().flatten();
        let debug = of_lines.filter(|it| !it.starts_with('"') && (it.starts_with('?') || it.contains("= ?")));
        found.extend(debug.map(|argument| format!("{name}: {argument}")));
    }
    assert!(
        found.is_empty(),
        "write it by Display, or by a method as_str:\n{}",
        found.join("\n")
    );
}

#[test]
fn a_line_about_an_object_says_of_which_cluster_it_is() {
    let about_clusters = ["namespace", "cluster"];
    let mut seen = 0;
    for (name, text) in programs()
        .into_iter()
        .filter(|(name, _)| name.starts_with("operator/src/controller"))
    {
        for line in lines(&text) {
            let fields = fields("info!(", &line.join(", "));
            let has = |field: &str| fields.iter().any(|it| it == field);
            if ["object", "act", "cluster", "node"].into_iter().any(has) {
                assert!(about_clusters.into_iter().all(has), "{name}: {line:?}");
                seen += 1;
            }
        }
    }
    assert!(seen > 8, "the lines were read: {seen}");
}

#[test]
fn fields_are_found_in_every_form_that_the_macros_take() {
    let text = r#"%stream, ?state, node = %f(a, b), lane = l[0], why, "a {}, b", c = 1);"#;
    assert_eq!(fields("info!(", text), ["stream", "state", "node", "lane", "why"]);
    assert_eq!(fields("error_span!(", r#""mesh", cluster = key.name)"#), ["cluster"]);
    assert_eq!(fields("warn!(", r#""only a \" message")"#), [""; 0]);
}
