//! How many inputs the tests take that read what others may have made up, and damage that any input may have. The media node
//! has this file as a module of its tests as well.

use proptest::prelude::*;
use proptest::sample::Index;
use std::time::{Duration, Instant};

/// Longest time for one input. What is read takes microseconds; an input that takes this long would hold a task of a program, and
/// a machine that is merely busy does not.
const ONE_INPUT: Duration = Duration::from_secs(5);

/// Reads one input, which must not take long.
pub fn in_time<T>(read: impl FnOnce() -> T) -> T {
    let begun = Instant::now();
    let result = read();
    let took = begun.elapsed();
    assert!(took < ONE_INPUT, "one input took {took:?}");
    result
}

/// As many as `SFUMATO_FUZZ_CASES` says.
pub fn config() -> ProptestConfig {
    let asked = std::env::var("SFUMATO_FUZZ_CASES").ok();
    let cases = asked.and_then(|cases| cases.parse().ok()).unwrap_or(10_000);
    ProptestConfig {
        failure_persistence: None,
        // Some cases undo what they change.
        max_global_rejects: cases.max(1_024),
        ..ProptestConfig::with_cases(cases)
    }
}

/// A byte that is replaced, added or removed.
#[derive(Debug, Clone)]
pub struct Damage {
    at: Index,
    byte: u8,
    how: u8,
}

/// Damage to fewer than so many bytes.
pub fn damage(bytes: usize) -> impl Strategy<Value = Vec<Damage>> {
    let one = (any::<Index>(), any::<u8>(), 0..3_u8);
    prop::collection::vec(one.prop_map(|(at, byte, how)| Damage { at, byte, how }), 0..bytes)
}

/// An input with this damage, which is longer than that.
pub fn damaged(mut input: Vec<u8>, damage: &[Damage]) -> Vec<u8> {
    for Damage { at, byte, how } in damage {
        let at = at.index(input.len());
        match how {
            0 => input[at] = *byte,
            1 => input.insert(at, *byte),
            _ => drop(input.remove(at)),
        }
    }
    input
}
