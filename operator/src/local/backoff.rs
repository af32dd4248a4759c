//! How long to wait before a process is started again.

use std::time::Duration;

/// Wait before the first restart: short, since the mesh must be whole within 2 s after the node is ready again.
pub const FIRST: Duration = Duration::from_millis(250);
pub const LONGEST: Duration = Duration::from_secs(10);
/// A process that has lived this long was well: the next restart is quick again.
pub const WELL_AFTER: Duration = Duration::from_secs(10);

/// The waits of one process: 250 ms, doubling to 10 s.
#[derive(Debug, Clone)]
pub struct Backoff {
    next: Duration,
}

impl Backoff {
    /// For a process that has not died yet.
    #[must_use]
    pub fn new() -> Self {
        Self { next: FIRST }
    }

    /// The wait after a life of this length.
    #[must_use]
    pub fn after(&mut self, lived: Duration) -> Duration {
        if lived >= WELL_AFTER {
            self.next = FIRST;
        }
        let wait = self.next;
        self.next = (wait * 2).min(LONGEST);
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT_ONCE: Duration = Duration::from_millis(10);

    fn waits(lives: &[Duration]) -> Vec<u128> {
        let mut backoff = Backoff::new();
        lives.iter().map(|lived| backoff.after(*lived).as_millis()).collect()
    }

    #[test]
    fn waits_double_from_250_ms_to_10_s() {
        assert_eq!(
            waits(&[AT_ONCE; 8]),
            [250, 500, 1_000, 2_000, 4_000, 8_000, 10_000, 10_000]
        );
    }

    #[test]
    fn a_life_of_10_s_makes_the_next_restart_quick_again() {
        assert_eq!(waits(&[AT_ONCE, AT_ONCE, WELL_AFTER, AT_ONCE]), [250, 500, 250, 500]);
        assert_eq!(waits(&[AT_ONCE, AT_ONCE, WELL_AFTER - AT_ONCE]), [250, 500, 1_000]);
    }
}
