use super::*;

const OVERLAP: Duration = Duration::from_secs(600);

/// A key a line, as the files of secrets hold them.
fn rules(overlap: Duration) -> Rules<Vec<String>> {
    let parse = |text: &str| {
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        if lines.is_empty() {
            Err("it is empty".to_owned())
        } else if lines.iter().any(|line| line == "panic") {
            panic!("a fault in the parser")
        } else {
            Ok(lines)
        }
    };
    Rules::new(parse).overlapping(overlap, |before, now| before.len() == 1 && now.len() == 1)
}

/// What happens at a moment, in milliseconds after the start.
enum Step {
    /// A look finds this text, or none because the file is gone.
    Look(u64, Option<&'static str>),
    /// These count, the current ones first.
    Counts(u64, &'static [&'static str]),
}
use Step::{Counts, Look as See};

fn run(name: &str, overlap: Duration, first: &str, steps: &[Step]) {
    let rules = rules(overlap);
    let start = Instant::now();
    let at = |ms: u64| start + Duration::from_millis(ms);
    let mut content = Content::new(first, &rules).unwrap();
    for step in steps {
        match step {
            See(ms, text) => {
                let read = text.map(str::to_owned).ok_or_else(|| "no such file".to_owned());
                content.look(read, &rules, at(*ms));
            }
            Counts(ms, expected) => {
                let counts: Vec<String> = content.at(at(*ms)).iter().flatten().cloned().collect();
                assert_eq!(counts, *expected, "{name}, after {ms} ms");
            }
        }
    }
}

const END: u64 = 601_250;

#[test]
fn a_key_that_another_replaced_counts_for_the_overlap_and_then_expires_by_the_clock() {
    run(
        "replaced once",
        OVERLAP,
        "a",
        &[
            See(1000, Some("b")),
            Counts(1000, &["a"]),
            See(1250, Some("b")),
            Counts(1250, &["b", "a"]),
            See(2250, Some("b\n")),
            Counts(END - 1, &["b", "a"]),
            // Nobody has looked since: the clock alone ends it.
            Counts(END, &["b"]),
        ],
    );
    run(
        "an overlap of nothing",
        Duration::ZERO,
        "a",
        &[See(1000, Some("b")), See(1250, Some("b")), Counts(1250, &["b"])],
    );
}

#[test]
fn a_key_that_was_replaced_twice_within_two_and_a_half_seconds_without_a_request_expires() {
    run(
        "both changes were seen: only the version directly before counts",
        OVERLAP,
        "leaked",
        &[
            See(0, Some("b")),
            See(250, Some("b")),
            See(1250, Some("c")),
            See(1500, Some("c")),
            Counts(1500, &["c", "b"]),
            Counts(1500 + 600_000, &["c"]),
        ],
    );
    run(
        "the one in between was seen once, and was never in force",
        OVERLAP,
        "leaked",
        &[
            See(0, Some("b")),
            See(250, Some("c")),
            See(500, Some("c")),
            Counts(500, &["c", "leaked"]),
            Counts(500 + 600_000, &["c"]),
        ],
    );
}

#[test]
fn of_a_file_that_lists_several_keys_exactly_the_listed_ones_count_at_once() {
    let changed = |name, before, after: &'static str, expected| {
        let seen_twice = [See(1000, Some(after)), See(1250, Some(after)), Counts(1250, expected)];
        run(name, OVERLAP, before, &seen_twice);
    };
    changed("a line was removed", "new\nold", "new", &["new"]);
    changed("the first line was removed", "leaked\nold", "old", &["old"]);
    changed("a line was added", "a", "b\na", &["b", "a"]);
    changed("all lines are others", "a\nb", "c\nd", &["c", "d"]);
    changed("two new ones put the only one out", "leaked", "c\nd", &["c", "d"]);
    changed("one put two out", "a\nb", "c", &["c"]);
}

#[test]
fn a_file_that_is_gone_or_broken_keeps_what_counts_and_the_overlap_goes_on() {
    run(
        "gone after a change",
        OVERLAP,
        "a",
        &[
            See(1000, Some("b")),
            See(1250, Some("b")),
            See(2250, None),
            See(3250, None),
            Counts(3250, &["b", "a"]),
            See(4250, Some("")),
            See(5250, Some("")),
            See(6250, Some("panic")),
            See(7250, Some("panic")),
            Counts(END, &["b"]),
            See(END, Some("c")),
            See(END, Some("c")),
            Counts(END, &["c", "b"]),
        ],
    );
}

#[test]
fn a_file_that_is_half_written_is_not_taken_for_a_change() {
    run(
        "half of the new key, then all of it",
        OVERLAP,
        "a",
        &[
            See(1000, Some("ne")),
            Counts(1000, &["a"]),
            See(1250, Some("new")),
            See(1500, Some("new")),
            Counts(1500, &["new", "a"]),
        ],
    );
    run(
        "emptied, then written as it was",
        OVERLAP,
        "b\na",
        &[
            See(1000, Some("")),
            See(1250, Some("b\na")),
            See(2250, Some("")),
            Counts(2250, &["b", "a"]),
        ],
    );
}

#[test]
fn a_reason_to_keep_the_last_good_version_is_told_once() {
    let rules = rules(OVERLAP);
    let mut content = Content::new("a", &rules).unwrap();
    let mut look = |text: &str| content.look(Ok(text.to_owned()), &rules, Instant::now());
    assert_eq!(look("  a\n"), Look::Same);
    assert_eq!(look(""), Look::Unsettled);
    assert_eq!(look(""), Look::Kept("it is empty".to_owned()));
    assert_eq!(look(""), Look::Same);
    assert_eq!(look("b"), Look::Unsettled);
    assert_eq!(look("b"), Look::Changed);
}
