//! What happens to calls on their way, drawn from a seed so that a failing case can be run again.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::time::Duration;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    None,
    /// It never arrives.
    LoseRequest,
    /// It is carried out, and nobody learns of it.
    LoseAnswer,
    /// It is carried out twice; the second answer is the one that counts.
    Twice,
    /// The caller gives up, and it is carried out afterwards.
    Late(Duration),
}

#[derive(Debug, Default)]
pub struct Faults {
    random: Option<StdRng>,
    /// Share of calls that something happens to, 0 to 1.
    share: f64,
    /// Longest one-way latency.
    latency: Duration,
    longest_delay: Duration,
    /// Whether reports suffer as well.
    reports: bool,
}

impl Faults {
    pub fn new(seed: u64, share: f64) -> Self {
        Self {
            random: Some(StdRng::seed_from_u64(seed)),
            share,
            latency: Duration::from_millis(20),
            longest_delay: Duration::from_secs(5),
            reports: true,
        }
    }

    /// For tests in real time: faults on steps only, and a short latency.
    pub fn for_sockets(seed: u64, share: f64) -> Self {
        Self {
            latency: Duration::from_millis(2),
            longest_delay: Duration::from_millis(600),
            reports: false,
            ..Self::new(seed, share)
        }
    }

    pub fn draw(&mut self, is_report: bool) -> (Fault, Duration) {
        let Some(random) = &mut self.random else {
            return (Fault::None, Duration::ZERO);
        };
        let latency = random.random_range(Duration::ZERO..=self.latency);
        if !random.random_bool(self.share) || is_report && !self.reports {
            return (Fault::None, latency);
        }
        let fault = match random.random_range(0..4) {
            0 => Fault::LoseRequest,
            1 => Fault::LoseAnswer,
            2 => Fault::Twice,
            _ => Fault::Late(random.random_range(Duration::ZERO..=self.longest_delay)),
        };
        (fault, latency)
    }
}
