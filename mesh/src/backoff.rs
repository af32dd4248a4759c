//! When a pair may be driven again: data and a clock that is handed in, no timers.
//!
//! The first attempt of a pair of lives comes at once. Each further one waits 1 to 30 s with jitter, whether the one before failed
//! or did not help: a link that goes silent as often as it is made must not churn, and two operators must not run in step.

use crate::plan::PairId;
use rand::{Rng, RngExt};
use sfumato_admin_api::types::{Lane, LinkId};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Shortest wait after an attempt.
pub const MIN_BACKOFF: Duration = Duration::from_secs(1);
/// Longest wait after an attempt.
pub const MAX_BACKOFF: Duration = Duration::from_secs(30);
/// How long a successful drive waits for reports that show it. They come with the next beat or never.
pub const MAX_HOLD: Duration = Duration::from_secs(10);

/// The attempts on every pair that is not settled.
#[derive(Debug, Clone, Default)]
pub struct Backoff {
    pairs: BTreeMap<PairId, Attempts>,
}

#[derive(Debug, Clone)]
struct Attempts {
    made: u32,
    not_before: Instant,
    hold: Option<Hold>,
}

/// A drive that succeeded, and that the reports may not show yet.
#[derive(Debug, Clone)]
pub struct Hold {
    /// When it ended.
    pub since: Instant,
    /// What it made.
    pub made: Vec<Connected>,
}

/// A lane that was connected by a drive, with the ids of its ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connected {
    pub lane: Lane,
    /// End at the node with the smaller name.
    pub a: LinkId,
    /// End at the other one.
    pub b: LinkId,
}

impl Backoff {
    /// Records a drive that failed.
    pub fn failed(&mut self, pair: PairId, now: Instant, random: &mut impl Rng) {
        self.attempted(pair, now, None, random);
    }

    /// Records a drive that succeeded.
    pub fn succeeded(&mut self, pair: PairId, now: Instant, made: Vec<Connected>, random: &mut impl Rng) {
        self.attempted(pair, now, Some(Hold { since: now, made }), random);
    }

    fn attempted(&mut self, pair: PairId, now: Instant, hold: Option<Hold>, random: &mut impl Rng) {
        let made = self
            .pairs
            .get(&pair)
            .map_or(0, |attempts| attempts.made)
            .saturating_add(1);
        let delay = delay(made, random);
        self.pairs.insert(
            pair,
            Attempts {
                made,
                not_before: now + delay,
                hold,
            },
        );
    }

    /// Whether a pair may be driven now; if not, when to ask again at the latest. `shown` tells whether the reports at
    /// hand were surely written after the drive that is held.
    pub fn check(&self, pair: &PairId, now: Instant, shown: impl FnOnce(&Hold) -> bool) -> Result<(), Instant> {
        let Some(attempts) = self.pairs.get(pair) else {
            return Ok(());
        };
        if now < attempts.not_before {
            return Err(attempts.not_before);
        }
        match &attempts.hold {
            Some(hold) if now < hold.since + MAX_HOLD && !shown(hold) => Err(hold.since + MAX_HOLD),
            _ => Ok(()),
        }
    }

    /// Forgets the attempts of every pair that is as it should be, or whose lives are over.
    pub fn retain(&mut self, mut unsettled: impl FnMut(&PairId) -> bool) {
        self.pairs.retain(|pair, _| unsettled(pair));
    }
}

/// The wait after the n-th attempt: 1 to 2 s, 2 to 4 s, ... 15 to 30 s.
fn delay(attempt: u32, random: &mut impl Rng) -> Duration {
    let longest = MIN_BACKOFF
        .saturating_mul(2u32.saturating_pow(attempt))
        .min(MAX_BACKOFF);
    random.random_range((longest / 2).max(MIN_BACKOFF)..=longest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    fn pair(boot: &str) -> PairId {
        PairId::new(
            ("b".parse().unwrap(), boot.parse().unwrap()),
            ("a".parse().unwrap(), "0.1".parse().unwrap()),
        )
    }

    proptest! {
        #[test]
        fn the_first_attempt_is_free_and_each_further_one_waits_between_1_and_30_s(
            seed: u64, outcomes in prop::collection::vec(any::<bool>(), 1..20),
        ) {
            let (mut backoff, mut random) = (Backoff::default(), StdRng::seed_from_u64(seed));
            let mut now = Instant::now();
            prop_assert_eq!(backoff.check(&pair("0.2"), now, |_| false), Ok(()));
            for success in outcomes {
                if success {
                    backoff.succeeded(pair("0.2"), now, Vec::new(), &mut random);
                } else {
                    backoff.failed(pair("0.2"), now, &mut random);
                }
                let until = backoff.check(&pair("0.2"), now, |_| true).unwrap_err();
                prop_assert!((MIN_BACKOFF..=MAX_BACKOFF).contains(&(until - now)));
                now = until;
                prop_assert_eq!(backoff.check(&pair("0.2"), now, |_| true), Ok(()));
            }
        }

        #[test]
        fn waits_grow_until_they_reach_their_bound(seed: u64) {
            let mut random = StdRng::seed_from_u64(seed);
            for attempt in 1..40 {
                let (shorter, longer) = (delay(attempt, &mut random), delay(attempt + 1, &mut random));
                prop_assert!(longer >= shorter || longer >= MAX_BACKOFF / 2);
            }
        }
    }

    #[test]
    fn a_new_life_does_not_wait_for_what_the_old_one_did() {
        let (mut backoff, mut random) = (Backoff::default(), StdRng::seed_from_u64(1));
        let now = Instant::now();
        backoff.failed(pair("0.2"), now, &mut random);
        assert!(backoff.check(&pair("0.2"), now, |_| true).is_err());
        assert_eq!(backoff.check(&pair("0.3"), now, |_| true), Ok(()));
    }

    #[test]
    fn a_successful_drive_waits_for_reports_that_show_it_but_not_for_ever() {
        let (mut backoff, mut random) = (Backoff::default(), StdRng::seed_from_u64(1));
        let now = Instant::now();
        backoff.succeeded(pair("0.2"), now, Vec::new(), &mut random);
        let later = now + Duration::from_secs(3);
        assert_eq!(backoff.check(&pair("0.2"), later, |_| false), Err(now + MAX_HOLD));
        assert_eq!(backoff.check(&pair("0.2"), later, |_| true), Ok(()));
        assert_eq!(backoff.check(&pair("0.2"), now + MAX_HOLD, |_| false), Ok(()));
    }

    #[test]
    fn a_settled_pair_starts_anew() {
        let (mut backoff, mut random) = (Backoff::default(), StdRng::seed_from_u64(1));
        let now = Instant::now();
        backoff.failed(pair("0.2"), now, &mut random);
        backoff.retain(|_| false);
        assert_eq!(backoff.check(&pair("0.2"), now, |_| true), Ok(()));
    }
}
