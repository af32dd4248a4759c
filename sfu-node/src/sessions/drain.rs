//! When a node that is drained closes what: a pure function of its reasons, its sessions and the time.
//!
//! Viewers are moved as soon as another node can take them, spread over a while so that they do not all join there at the
//! same moment. Publishers stay until the deadline, since every viewer of theirs, on whatever node, would notice.

use sfumato_admin_api::types::{DrainReason, DrainState};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Longest time over which viewers are moved.
pub const MOVE_WINDOW: Duration = Duration::from_secs(30);
/// Viewers are moved no slower than one in this time, however long the window: a few need no half minute.
pub const MOVE_PACE: Duration = Duration::from_millis(100);

/// Why a node is drained, and how far that has come.
#[derive(Debug, Default)]
pub struct Drain {
    /// The deadline of each reason.
    reasons: BTreeMap<DrainReason, Instant>,
    /// Since viewers are being moved.
    moving: Option<Moving>,
}

#[derive(Debug, Clone, Copy)]
struct Moving {
    since: Instant,
    /// Viewers that there were then.
    viewers: usize,
}

/// Sessions that are left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Left {
    /// WHIP sessions.
    pub publishers: usize,
    /// WHEP sessions.
    pub viewers: usize,
}

impl Left {
    /// Whether nobody would notice the end of the node.
    pub fn is_empty(self) -> bool {
        self.publishers == 0 && self.viewers == 0
    }
}

/// What to close now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Due {
    /// So many viewers, whichever.
    pub viewers: usize,
    /// Every publisher.
    pub publishers: bool,
}

impl Drain {
    /// Takes one more reason. A reason that holds already keeps its deadline, unless the new one is earlier.
    /// Answers whether the set of reasons has changed.
    pub fn add(&mut self, reason: DrainReason, deadline: Duration, now: Instant) -> bool {
        let deadline = now + deadline;
        let mut new = false;
        let held = self.reasons.entry(reason).or_insert_with(|| {
            new = true;
            deadline
        });
        *held = deadline.min(*held);
        new
    }

    /// Lifts one reason and no other. Answers whether it held.
    pub fn lift(&mut self, reason: DrainReason) -> bool {
        let held = self.reasons.remove(&reason).is_some();
        if self.reasons.is_empty() {
            self.moving = None;
        }
        held
    }

    /// Whether the node is being emptied.
    pub fn is_on(&self) -> bool {
        !self.reasons.is_empty()
    }

    /// Whether the process ends once the node is empty. With the other reasons whoever gave them ends it: a process that
    /// ended by itself would be started again, as a node that is not drained.
    pub fn ends_process(&self) -> bool {
        self.reasons.contains_key(&DrainReason::Sigterm)
    }

    /// As the admin API tells it.
    pub fn state(&self, now: Instant) -> DrainState {
        DrainState {
            reasons: self.reasons.keys().copied().collect(),
            remaining_ms: self
                .deadline()
                .map(|deadline| u64::try_from(deadline.saturating_duration_since(now).as_millis()).unwrap_or(u64::MAX)),
        }
    }

    /// When publishers are ended: the earliest deadline of all reasons.
    fn deadline(&self) -> Option<Instant> {
        self.reasons.values().min().copied()
    }

    /// What to close at `now`. `elsewhere` is whether another node can take viewers.
    pub fn due(&mut self, left: Left, elsewhere: bool, now: Instant) -> Due {
        let Some(deadline) = self.deadline() else {
            return Due::default();
        };
        if now >= deadline {
            return Due {
                viewers: left.viewers,
                publishers: left.publishers > 0,
            };
        }
        if !elsewhere || left.viewers == 0 {
            // What is left to move is counted anew when it can go on.
            self.moving = None;
            return Due::default();
        }
        let moving = *self.moving.get_or_insert(Moving {
            since: now,
            viewers: left.viewers,
        });
        let window = move_window(moving.viewers, deadline.saturating_duration_since(moving.since));
        let gone = now.saturating_duration_since(moving.since).as_secs_f64() / window.as_secs_f64();
        let may_stay = (moving.viewers as f64 * (1.0 - gone.min(1.0))).floor() as usize;
        Due {
            // The first goes at once.
            viewers: left.viewers.saturating_sub(may_stay.min(moving.viewers - 1)),
            publishers: false,
        }
    }
}

/// Over what time so many viewers are moved when the deadline is so far away.
fn move_window(viewers: usize, to_deadline: Duration) -> Duration {
    let by_pace = MOVE_PACE.saturating_mul(u32::try_from(viewers).unwrap_or(u32::MAX));
    MOVE_WINDOW
        .min(to_deadline / 2)
        .min(by_pace)
        .max(Duration::from_millis(1))
}

#[cfg(test)]
#[path = "drain_tests.rs"]
mod tests;
