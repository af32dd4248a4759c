//! Lines of the log about what strangers may do as often as they like: one now and then, which says how often it was.

use parking_lot::Mutex;
use std::time::Duration;
use tokio::time::Instant;

/// Shortest time between two lines about the same.
pub const COMPLAINT_INTERVAL: Duration = Duration::from_secs(60);

/// What is complained of.
#[derive(Debug, Default)]
pub struct Complaints(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    last: Option<Instant>,
    since: u64,
}

impl Complaints {
    /// Counts something to complain of. Answers how many there were since the last line of the log, if another is due.
    pub fn complain(&self) -> Option<u64> {
        let now = Instant::now();
        let mut state = self.0.lock();
        state.since += 1;
        if state.last.is_some_and(|last| now - last < COMPLAINT_INTERVAL) {
            return None;
        }
        state.last = Some(now);
        Some(std::mem::take(&mut state.since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn complaints_come_once_a_minute_and_say_how_many_there_were() {
        let complaints = Complaints::default();
        assert_eq!(complaints.complain(), Some(1));
        for _ in 0..500 {
            assert_eq!(complaints.complain(), None);
        }
        tokio::time::advance(COMPLAINT_INTERVAL).await;
        assert_eq!(complaints.complain(), Some(501));
    }
}
