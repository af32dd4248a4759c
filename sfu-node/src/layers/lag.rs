//! Gets a viewer's higher layer back where mediasoup's estimate of its bandwidth stays low.
//!
//! After a loss the estimate may not exceed about one and a half times what arrives (mediasoup's
//! `LossBasedController.cpp`). A layer that needs more than that is then never sent, however wide the line has become, and
//! probing changes nothing. So the next layer is tried: for a short time the estimate gets a floor under which that layer
//! is sent. What arrives then carries the estimate, or the layer is taken back and the next attempt comes later.
//!
//! Pure: what is sent and time go in, what to do comes out.

use super::trial::{Trials, lasted};
use std::fmt;
use std::time::{Duration, Instant};

/// How long the floor stays: a change of layer waits for a key frame, and what arrives has to be measured after it.
pub const FLOOR_FOR: Duration = Duration::from_secs(5);

/// What is to be done about a viewer that gets a lower layer than it may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FloorStep {
    /// Put a floor under the estimate at which this layer is sent.
    Try(u8),
    /// Take the floor away.
    Lift,
}

impl fmt::Display for FloorStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Try(layer) => write!(f, "try layer {layer}"),
            Self::Lift => f.write_str("lift"),
        }
    }
}

/// Since when a viewer gets a lower layer than it may have, and what has been tried.
#[derive(Debug, Default)]
pub struct Lag {
    since: Option<Instant>,
    floor_since: Option<Instant>,
    /// The layer that was tried last.
    tried: u8,
    trials: Trials,
}

impl Lag {
    /// `sent` is the layer that is sent, none while no layer is (then mediasoup looks for more by itself); `wanted` the
    /// highest one that may be.
    pub fn step(&mut self, sent: Option<u8>, wanted: u8, now: Instant) -> Option<FloorStep> {
        if let Some(start) = self.floor_since {
            if !lasted(start, FLOOR_FOR, now) {
                return None;
            }
            self.floor_since = None;
            self.since = None;
            return Some(FloorStep::Lift);
        }
        if sent.is_none_or(|sent| sent < self.tried) {
            self.trials.take_back();
        }
        self.trials.look(now);
        let Some(sent) = sent.filter(|sent| *sent < wanted) else {
            self.since = None;
            return None;
        };
        if !lasted(*self.since.get_or_insert(now), self.trials.wait(), now) {
            return None;
        }
        self.floor_since = Some(now);
        self.tried = sent + 1;
        self.trials.begin(now);
        Some(FloorStep::Try(self.tried))
    }
}

#[cfg(test)]
mod tests {
    use super::super::trial::{MAX_UP_AFTER, TRIAL, UP_AFTER};
    use super::*;

    const TOP: u8 = 2;

    /// What is done in so many seconds, with the second, for a line that carries layers up to `fits(second)`. Without a
    /// floor mediasoup never goes up; with one it sends what is asked for.
    fn steps(seconds: u64, fits: impl Fn(u64) -> u8, wanted: u8) -> Vec<(u64, FloorStep)> {
        let (mut lag, start) = (Lag::default(), Instant::now());
        let (mut sent, mut floor, mut done) = (TOP, None, Vec::new());
        for second in 0..seconds {
            sent = floor.unwrap_or_else(|| sent.min(fits(second)));
            let step = lag.step(Some(sent), wanted, start + Duration::from_secs(second));
            match step {
                Some(FloorStep::Try(layer)) => floor = Some(layer),
                Some(FloorStep::Lift) => floor = None,
                None => {}
            }
            done.extend(step.map(|step| (second, step)));
        }
        done
    }

    #[test]
    fn a_viewer_that_gets_what_it_may_is_left_alone() {
        assert!(steps(100, |_| TOP, TOP).is_empty());
        assert!(steps(100, |_| 1, 1).is_empty());
        let mut lag = Lag::default();
        let start = Instant::now();
        assert!((0..100).all(|second| lag.step(None, TOP, start + Duration::from_secs(second)).is_none()));
    }

    #[test]
    fn a_line_that_is_wide_again_gets_one_layer_after_the_other_back() {
        let done = steps(60, |second| if second < 5 { 0 } else { TOP }, TOP);
        assert_eq!(
            done,
            [
                (10, FloorStep::Try(1)),
                (15, FloorStep::Lift),
                (26, FloorStep::Try(2)),
                (31, FloorStep::Lift)
            ]
        );
    }

    #[test]
    fn a_line_that_stays_narrow_is_tried_ever_more_rarely_and_each_floor_is_lifted() {
        let done = steps(1200, |_| 1, TOP);
        let tried: Vec<u64> = done
            .iter()
            .filter(|(_, step)| *step == FloorStep::Try(2))
            .map(|(second, _)| *second)
            .collect();
        assert_eq!(done.len(), 2 * tried.len(), "{done:?}");
        let waits: Vec<u64> = tried.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(waits.windows(2).all(|pair| pair[1] >= pair[0]), "{waits:?}");
        assert!(waits.last().unwrap() >= &MAX_UP_AFTER.as_secs(), "{waits:?}");
    }

    #[test]
    fn a_layer_that_lasted_through_its_trial_makes_the_wait_short_again() {
        let mut lag = Lag::default();
        while lag.trials.wait() < MAX_UP_AFTER {
            lag.trials.begin(Instant::now());
            lag.trials.take_back();
        }
        let start = Instant::now();
        let mut second = 0;
        let mut step = |lag: &mut Lag, sent| {
            second += 1;
            lag.step(Some(sent), TOP, start + Duration::from_secs(second))
        };
        while step(&mut lag, 1) != Some(FloorStep::Try(2)) {}
        for _ in 0..=TRIAL.as_secs() {
            step(&mut lag, TOP);
        }
        assert_eq!(lag.trials.wait(), UP_AFTER);
    }
}
