//! What a connection does at present, and by when it must have done something else. Pure.

use super::Deadlines;
use std::fmt;
use tokio::time::Instant;

/// Why a connection is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// The header of a request did not come, or not all of it.
    Header,
    /// Nothing was asked for a long time.
    Idle,
    /// The client does not read.
    Write,
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Header => "the header of a request took too long",
            Self::Idle => "it was idle for too long",
            Self::Write => "the client does not read",
        })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Nothing was asked yet.
    New,
    /// All that was asked is answered.
    Waiting,
    /// A part of a header has come.
    Header,
    /// A request is being answered.
    Busy,
}

/// The state of one connection.
#[derive(Debug)]
pub(super) struct Pulse {
    phase: Phase,
    since: Instant,
    /// Bytes wait for the client since then.
    stalled: Option<Instant>,
}

impl Pulse {
    pub fn new(now: Instant) -> Self {
        Self {
            phase: Phase::New,
            since: now,
            stalled: None,
        }
    }

    /// Bytes came.
    pub fn read(&mut self, now: Instant) {
        if self.phase == Phase::Waiting {
            (self.phase, self.since) = (Phase::Header, now);
        }
    }

    /// The client took bytes.
    pub fn written(&mut self, now: Instant) {
        self.stalled = None;
        // The end of an answer is on its way after it is complete.
        if self.phase == Phase::Waiting {
            self.since = now;
        }
    }

    /// Bytes could not be sent.
    pub fn stalled(&mut self, now: Instant) {
        self.stalled.get_or_insert(now);
    }

    /// A request is there.
    pub fn asked(&mut self) {
        self.phase = Phase::Busy;
    }

    /// It is answered.
    pub fn answered(&mut self, now: Instant) {
        (self.phase, self.since) = (Phase::Waiting, now);
    }

    /// Whether nothing was begun that should be ended.
    pub fn is_new(&self) -> bool {
        self.phase == Phase::New
    }

    /// Whether a request is being answered.
    pub fn is_busy(&self) -> bool {
        self.phase == Phase::Busy
    }

    /// When the connection is to be closed if nothing happens until then, and why.
    pub fn deadline(&self, longest: &Deadlines) -> Option<(Instant, Cut)> {
        let asked = match self.phase {
            Phase::New | Phase::Header => Some((self.since + longest.header, Cut::Header)),
            Phase::Waiting => Some((self.since + longest.idle, Cut::Idle)),
            Phase::Busy => None,
        };
        let sent = self.stalled.map(|since| (since + longest.write, Cut::Write));
        [asked, sent].into_iter().flatten().min_by_key(|(at, _)| *at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    fn idle() -> Duration {
        Deadlines::default().idle
    }

    fn deadline(pulse: &Pulse, start: Instant) -> Option<(Duration, Cut)> {
        let deadline = pulse.deadline(&Deadlines::default());
        deadline.map(|(at, cut)| (at - start, cut))
    }

    #[test]
    fn bytes_that_trickle_do_not_move_the_deadline_of_a_header() {
        let start = Instant::now();
        let mut pulse = Pulse::new(start);
        for second in 1..10 {
            pulse.read(start + seconds(second));
        }
        assert_eq!(deadline(&pulse, start), Some((seconds(10), Cut::Header)));
        pulse.asked();
        pulse.answered(start + seconds(20));
        assert_eq!(deadline(&pulse, start), Some((seconds(20) + idle(), Cut::Idle)));
        for second in 50..60 {
            pulse.read(start + seconds(second));
        }
        assert_eq!(deadline(&pulse, start), Some((seconds(60), Cut::Header)));
    }

    #[test]
    fn a_request_that_is_being_answered_has_no_deadline_while_its_client_reads() {
        let start = Instant::now();
        let mut pulse = Pulse::new(start);
        pulse.asked();
        assert_eq!(deadline(&pulse, start), None);
        pulse.written(start + seconds(500));
        assert_eq!(deadline(&pulse, start), None);
        pulse.stalled(start + seconds(600));
        pulse.stalled(start + seconds(620));
        assert_eq!(deadline(&pulse, start), Some((seconds(630), Cut::Write)));
        pulse.written(start + seconds(621));
        assert_eq!(deadline(&pulse, start), None);
    }

    #[test]
    fn a_connection_is_not_idle_while_the_end_of_an_answer_is_on_its_way() {
        let start = Instant::now();
        let mut pulse = Pulse::new(start);
        pulse.asked();
        pulse.answered(start);
        pulse.written(start + seconds(60));
        assert_eq!(deadline(&pulse, start), Some((seconds(60) + idle(), Cut::Idle)));
    }
}
