//! Who owns a stream name: pure rules, the same on every node and in Redis, so that all come to one answer alone.

use sfumato_admin_api::types::PublicationId;
use std::cmp::Ordering;
use std::fmt;
use std::time::{Duration, Instant};

/// A publication without RTP for this time may be replaced by another publisher: the one before has crashed, or lost its
/// network, and its session would end by itself only much later.
pub const RTP_SILENCE: Duration = Duration::from_secs(3);
/// A claim in Redis that is not refreshed ends after this time.
pub const CLAIM_LIFE: Duration = Duration::from_secs(10);
/// A holder without any sign of life for this time has lost its names. As long as a claim in Redis lives without being
/// refreshed, so that both ways of agreeing on names wait for the same time.
pub const UNHEARD_LIMIT: Duration = CLAIM_LIFE;

/// Highest generation of a claim: up to here every reader of JSON holds integers exactly. Take-overs never get there; a
/// greater number was written by something else, and is no claim.
pub const MAX_GENERATION: u64 = 1 << 53;

/// Generation of a take-over from a claim of this generation.
pub fn generation_after(generation: u64) -> u64 {
    generation.saturating_add(1).min(MAX_GENERATION)
}

/// Right of a publication to its name. The greater of two is the better one: the higher generation, and of equal
/// generations the smaller publication id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Right {
    /// Grows by one with each take-over.
    pub generation: u64,
    /// Whose right it is.
    pub publication: PublicationId,
}

impl Right {
    /// Whether this right takes the name from the other one. A right never outranks itself.
    pub fn outranks(&self, other: &Self) -> bool {
        self > other
    }
}

impl Ord for Right {
    fn cmp(&self, other: &Self) -> Ordering {
        self.generation
            .cmp(&other.generation)
            .then_with(|| other.publication.cmp(&self.publication))
    }
}

impl PartialOrd for Right {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The best of several claims on one name, and what comes with it.
pub fn winner<'a, T>(claims: impl IntoIterator<Item = (Right, T)> + 'a) -> Option<(Right, T)> {
    claims.into_iter().max_by(|(a, _), (b, _)| a.cmp(b))
}

/// What is known of the holder of a name that somebody else wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holder {
    /// Its life is over, or it says that it does not hold the name any more.
    Gone,
    /// It says that it publishes, and for how long no RTP has come.
    Publishing {
        /// Time since the last RTP packet, or since the offer was answered while none has come.
        silent: Duration,
    },
    /// It does not answer.
    Unreachable {
        /// Time since the last sign of life that this node had of it: an answer, or a beat.
        unheard: Duration,
    },
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gone => f.write_str("gone"),
            Self::Publishing { silent } => write!(f, "publishing, silent for {} ms", silent.as_millis()),
            Self::Unreachable { unheard } => write!(f, "unreachable, not heard for {} ms", unheard.as_millis()),
        }
    }
}

impl Holder {
    /// A claim that stands in Redis is itself a sign of life: its holder refreshes it, or it runs out.
    pub fn with_claim_alive(self) -> Self {
        match self {
            Self::Unreachable { .. } => Self::Unreachable {
                unheard: Duration::ZERO,
            },
            known => known,
        }
    }
}

/// Whether a name may be taken from its holder. `forced` is a token's right to take names over.
pub fn may_take_over(holder: Holder, forced: bool) -> bool {
    match holder {
        Holder::Gone => true,
        Holder::Publishing { silent } => forced || silent >= RTP_SILENCE,
        Holder::Unreachable { unheard } => forced || unheard >= UNHEARD_LIMIT,
    }
}

/// When RTP last came from a publisher, by the byte counter of its transport.
///
/// A change is dated to the moment at which it is seen, so that a publication is never called silent for longer than it is.
#[derive(Debug)]
pub struct LastRtp {
    bytes: u64,
    at: Instant,
}

impl LastRtp {
    /// A publication whose offer has just been answered.
    pub fn new(now: Instant) -> Self {
        Self { bytes: 0, at: now }
    }

    /// Takes the number of RTP bytes received so far.
    pub fn sample(&mut self, bytes: u64, now: Instant) {
        if bytes != self.bytes {
            self.bytes = bytes;
            self.at = now;
        }
    }

    /// How long no RTP has come.
    pub fn silent(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Few generations and ids, so that ties are frequent.
    fn right() -> impl Strategy<Value = Right> {
        (0..4_u64, "[a-d]{1,2}").prop_map(|(generation, id)| Right {
            generation,
            publication: id.parse().unwrap(),
        })
    }

    /// Nodes that each publish under one name, and what each has heard of the others.
    struct Cluster {
        own: Vec<Option<Right>>,
        heard: Vec<Vec<Option<Right>>>,
    }

    impl Cluster {
        fn new(rights: &[Right]) -> Self {
            let own: Vec<Option<Right>> = rights.iter().cloned().map(Some).collect();
            let heard = vec![vec![None; own.len()]; own.len()];
            Self { own, heard }
        }

        /// Node `to` hears what node `from` publishes, and gives up its own publication if that has the better right.
        fn exchange(&mut self, from: usize, to: usize) {
            self.heard[to][from] = self.own[from].clone();
            let best = winner(self.heard[to].iter().flatten().map(|right| (right.clone(), ())));
            if let (Some(own), Some((best, ()))) = (&self.own[to], best)
                && best.outranks(own)
            {
                self.own[to] = None;
            }
        }
    }

    proptest! {
        #[test]
        fn of_two_claims_exactly_one_wins_whoever_compares_them(a in right(), b in right()) {
            if a == b {
                prop_assert!(!a.outranks(&b) && !b.outranks(&a));
            } else {
                prop_assert!(a.outranks(&b) != b.outranks(&a));
                let one = winner([(a.clone(), ()), (b.clone(), ())]).map(|(right, ())| right);
                let other = winner([(b.clone(), ()), (a.clone(), ())]).map(|(right, ())| right);
                prop_assert_eq!(&one, &other);
                prop_assert_eq!(one, Some(if a.outranks(&b) { a } else { b }));
            }
        }

        #[test]
        fn the_winner_of_several_claims_outranks_every_other_one(rights in proptest::collection::vec(right(), 1..8)) {
            let (best, ()) = winner(rights.iter().map(|right| (right.clone(), ()))).unwrap();
            prop_assert!(rights.iter().all(|right| *right == best || best.outranks(right)));
        }

        #[test]
        fn a_take_over_always_outranks_what_it_takes_over(holder in right(), id in "[a-d]{1,2}") {
            let taker = Right { generation: holder.generation + 1, publication: id.parse().unwrap() };
            prop_assert!(taker.outranks(&holder));
        }

        #[test]
        fn after_any_exchanges_one_publication_is_left_and_it_is_the_best(
            ids in proptest::collection::btree_map("[a-h]{1,3}", 0..3_u64, 2..6),
            some in proptest::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 0..40),
            order in any::<u64>(),
        ) {
            let rights: Vec<Right> = ids.into_iter()
                .map(|(id, generation)| Right { generation, publication: id.parse().unwrap() }).collect();
            let n = rights.len();
            let mut cluster = Cluster::new(&rights);
            let step = |cluster: &mut Cluster, from: usize, to: usize| if from != to { cluster.exchange(from, to) };
            for (from, to) in &some {
                step(&mut cluster, from.index(n), to.index(n));
                prop_assert!(cluster.own.iter().any(Option::is_some), "the name is never without a holder");
            }
            // Then everybody hears of everybody once, in whatever order.
            let mut pairs: Vec<(usize, usize)> = (0..n).flat_map(|a| (0..n).map(move |b| (a, b))).collect();
            let turn = usize::try_from(order % (n * n) as u64).unwrap();
            pairs.rotate_left(turn);
            if order % 2 == 0 { pairs.reverse(); }
            for (from, to) in pairs { step(&mut cluster, from, to); }
            let left: Vec<Right> = cluster.own.into_iter().flatten().collect();
            prop_assert_eq!(left, vec![rights.iter().max().unwrap().clone()]);
        }
    }

    #[test]
    fn a_name_is_taken_from_a_holder_that_is_gone_silent_or_unheard_for_long_and_from_no_other() {
        let publishing = |silent| Holder::Publishing { silent };
        let unreachable = |unheard| Holder::Unreachable { unheard };
        let moment = Duration::from_millis(1);
        assert!(may_take_over(Holder::Gone, false));
        assert!(!may_take_over(publishing(Duration::ZERO), false));
        assert!(!may_take_over(publishing(RTP_SILENCE - moment), false));
        assert!(may_take_over(publishing(RTP_SILENCE), false));
        assert!(!may_take_over(unreachable(UNHEARD_LIMIT - moment), false));
        assert!(may_take_over(unreachable(UNHEARD_LIMIT), false));
    }

    #[test]
    fn a_take_over_from_the_highest_generation_stays_within_what_can_be_read() {
        assert_eq!(generation_after(1), 2);
        assert_eq!(generation_after(MAX_GENERATION), MAX_GENERATION);
        assert_eq!(generation_after(u64::MAX), MAX_GENERATION);
    }

    #[test]
    fn a_token_that_may_takes_every_name() {
        for holder in [
            Holder::Gone,
            Holder::Publishing { silent: Duration::ZERO },
            Holder::Unreachable {
                unheard: Duration::ZERO,
            },
        ] {
            assert!(may_take_over(holder, true));
        }
    }

    #[test]
    fn silence_counts_from_the_last_change_that_was_seen_and_from_the_answer_before_any() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut last = LastRtp::new(start);
        assert_eq!(last.silent(at(2)), Duration::from_secs(2));
        last.sample(1000, at(3));
        assert_eq!(last.silent(at(4)), Duration::from_secs(1));
        last.sample(1000, at(5));
        assert_eq!(last.silent(at(5)), Duration::from_secs(2));
        last.sample(2000, at(6));
        assert_eq!(last.silent(at(6)), Duration::ZERO);
    }
}
