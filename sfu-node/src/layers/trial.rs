//! Steps up that may fail: one that has to be taken back soon makes the wait for the next longer.

use std::time::{Duration, Instant};

/// Wait for a step up, unless the one before has failed.
pub const UP_AFTER: Duration = Duration::from_secs(10);
/// A step up that has to be taken back within this time has failed, and doubles the wait for the next.
pub const TRIAL: Duration = Duration::from_secs(20);
/// Longest wait for a step up, however many have failed.
pub const MAX_UP_AFTER: Duration = Duration::from_secs(160);

/// The steps up of one viewer.
#[derive(Debug, Clone)]
pub struct Trials {
    running: Option<Instant>,
    wait: Duration,
}

impl Default for Trials {
    fn default() -> Self {
        Self {
            running: None,
            wait: UP_AFTER,
        }
    }
}

impl Trials {
    /// How long it has to look well before the next step up.
    pub fn wait(&self) -> Duration {
        self.wait
    }

    /// A step up is made.
    pub fn begin(&mut self, now: Instant) {
        self.running = Some(now);
    }

    /// Ends the trial of a step that has lasted: the next wait is short again.
    pub fn look(&mut self, now: Instant) {
        if self.running.is_some_and(|start| lasted(start, TRIAL, now)) {
            *self = Self::default();
        }
    }

    /// A step is taken back: if it was on trial, the next wait is longer.
    pub fn take_back(&mut self) {
        if self.running.take().is_some() {
            self.wait = (self.wait * 2).min(MAX_UP_AFTER);
        }
    }
}

/// Whether so much time has passed since `start`.
pub fn lasted(start: Instant, time: Duration, now: Instant) -> bool {
    now.saturating_duration_since(start) >= time
}
