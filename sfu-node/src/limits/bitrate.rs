//! Publishers that send more than they may. A node tells them its limit by REMB or transport-cc feedback; this judges those
//! who do not listen. Pure.

use std::time::{Duration, Instant};

/// How much more than the limit is borne: key frames and probes go above it by nature.
const TOLERANCE: u64 = 2;
/// How long more than that is borne.
const PATIENCE: Duration = Duration::from_secs(10);

/// What one publisher has sent, as looked at now and then.
#[derive(Debug, Default)]
pub struct Sending {
    last: Option<(Instant, u64)>,
    over_since: Option<Instant>,
}

impl Sending {
    /// Notes the bytes received so far; true when the publisher has sent too much for too long.
    pub fn too_much(&mut self, bytes: u64, limit_kbps: u32, now: Instant) -> bool {
        let Some((then, before)) = self.last.replace((now, bytes)) else {
            return false;
        };
        let allowed = u128::from(limit_kbps) * 1_000 * u128::from(TOLERANCE);
        let bits = u128::from(bytes.saturating_sub(before)) * 8;
        // bits / elapsed > allowed, without dividing by an elapsed time of nothing
        if bits * 1_000_000 <= allowed * now.saturating_duration_since(then).as_micros() {
            self.over_since = None;
            return false;
        }
        let since = *self.over_since.get_or_insert(then);
        now.saturating_duration_since(since) >= PATIENCE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends at these rates in kbit/s, for three seconds each, with a limit of 1,000; answers when it was too much.
    fn judged(rates: &[u64]) -> Option<usize> {
        let start = Instant::now();
        let mut sending = Sending::default();
        let mut bytes = 0;
        sending.too_much(bytes, 1_000, start);
        rates.iter().enumerate().position(|(i, rate)| {
            bytes += rate * 1_000 / 8 * 3;
            sending.too_much(
                bytes,
                1_000,
                start + Duration::from_secs(3) * (u32::try_from(i).unwrap() + 1),
            )
        })
    }

    #[test]
    fn who_keeps_to_twice_the_limit_is_never_cut_off() {
        assert_eq!(judged(&[2_000; 100]), None);
    }

    #[test]
    fn who_sends_more_for_ten_seconds_is_cut_off() {
        assert_eq!(judged(&[2_100; 100]), Some(3));
    }

    #[test]
    fn a_burst_that_ends_is_borne() {
        assert_eq!(judged(&[9_000, 9_000, 9_000, 1_000, 9_000, 9_000, 9_000, 1_000]), None);
    }

    #[test]
    fn two_looks_at_the_same_moment_say_nothing() {
        let now = Instant::now();
        let mut sending = Sending::default();
        assert!(!sending.too_much(0, 1_000, now));
        assert!(!sending.too_much(1_000_000, 1_000, now));
    }
}
