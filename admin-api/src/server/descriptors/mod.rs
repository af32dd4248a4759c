//! File descriptors: how many this process may have, and how many connections of clients that leaves room for.

pub mod reserve;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Left for what is neither a client's nor media: files, the runtime, Redis, calls to peers, health.
pub const RESERVE: u32 = 128;
/// Most that the limit is raised to: what is beyond that is never used, and makes some programs slow.
const ENOUGH: u64 = 1 << 20;

/// Raises the limit of open files as far as this process may. Answers what it is then.
#[must_use]
pub fn raise_limit() -> u32 {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else {
        return u32::MAX;
    };
    let wanted = hard.min(ENOUGH);
    let now = if soft < wanted && setrlimit(Resource::RLIMIT_NOFILE, wanted, hard).is_ok() {
        wanted
    } else {
        soft
    };
    u32::try_from(now).unwrap_or(u32::MAX)
}

/// How many connections of clients fit: as many as are wanted, where the limit has room for them and for `others`; else half
/// of what the reserve leaves, so that some descriptors are always there. Pure.
#[must_use]
pub fn connections(limit: u32, wanted: u32, others: u32) -> u32 {
    let left = limit.saturating_sub(RESERVE);
    if left >= wanted.saturating_add(others) {
        return wanted;
    }
    (left / 2).clamp(1, wanted.max(1))
}

/// The same, and a line in the log if fewer fit. `option` is the one that says how many are wanted.
#[must_use]
pub fn connections_within(limit: u32, option: &str, wanted: u32, others: u32) -> u32 {
    let fit = connections(limit, wanted, others);
    if fit < wanted {
        let needed = u64::from(wanted) + u64::from(others) + u64::from(RESERVE);
        tracing::warn!(
            limit,
            needed,
            "{option} is {wanted}, and the limit of open files has room for {fit} connections: raise it (ulimit -Hn, LimitNOFILE) or lower {option}"
        );
    }
    fit
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_limit_of_300_descriptors_leaves_most_of_them_for_everything_else() {
        assert_eq!(connections(300, 4096, 3_000), 86);
        assert_eq!(connections(20_000, 4096, 3_000), 4096);
    }

    proptest! {
        #[test]
        fn connections_always_leave_descriptors_and_there_is_always_one(
            limit in 2_u32..100_000, wanted in 1_u32..20_000, others in 0_u32..20_000,
        ) {
            let fit = connections(limit, wanted, others);
            prop_assert!((1..=wanted).contains(&fit));
            prop_assert!(fit < limit);
            if limit > RESERVE + 1 {
                prop_assert!(fit + RESERVE <= limit);
            }
        }
    }
}
