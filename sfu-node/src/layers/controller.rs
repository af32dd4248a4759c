//! Chooses layers for a viewer without bandwidth estimation, by the loss that its receiver reports (RFC 3550 section 6.4).
//!
//! Pure: loss and time go in, the highest layer that may be sent comes out.

use super::trial::{Trials, lasted};
use std::time::{Duration, Instant};

/// Share of packets lost from which a viewer gets a lower layer.
pub const DOWN_LOSS: f64 = 0.10;
/// How long the loss has to be above [`DOWN_LOSS`] for one step down.
pub const DOWN_AFTER: Duration = Duration::from_secs(2);
/// Share of packets lost under which a viewer may get a higher layer.
pub const UP_LOSS: f64 = 0.02;
/// Samples further apart than this say nothing of the time between them.
pub const MAX_GAP: Duration = Duration::from_secs(4);

/// What the controller knows of one viewer.
#[derive(Debug, Clone)]
pub struct LossController {
    /// Highest layer that may be sent; at most the top one.
    cap: u8,
    sampled: Option<Instant>,
    high_since: Option<Instant>,
    low_since: Option<Instant>,
    /// A step up comes when the loss has been under [`UP_LOSS`] for the wait that these tell.
    trials: Trials,
}

impl LossController {
    /// For a viewer of a video whose highest layer has the index `top`; starts there.
    pub fn new(top: u8) -> Self {
        Self {
            cap: top,
            sampled: None,
            high_since: None,
            low_since: None,
            trials: Trials::default(),
        }
    }

    /// Highest layer that may be sent at present.
    pub fn cap(&self) -> u8 {
        self.cap
    }

    /// Takes the newest report: `loss` from 0 to 1, of a video whose highest layer has the index `top`. Answers the
    /// highest layer that may be sent from now on.
    pub fn sample(&mut self, now: Instant, loss: f64, top: u8) -> u8 {
        self.cap = self.cap.min(top);
        let gap = self
            .sampled
            .is_some_and(|before| now.saturating_duration_since(before) > MAX_GAP);
        self.sampled = Some(now);
        if gap {
            self.high_since = None;
            self.low_since = None;
        }
        since(&mut self.high_since, loss > DOWN_LOSS, now);
        since(&mut self.low_since, loss < UP_LOSS, now);
        self.trials.look(now);
        let lasting = |start: Option<Instant>, wait| start.is_some_and(|start| lasted(start, wait, now));
        if lasting(self.high_since, DOWN_AFTER) && self.cap > 0 {
            self.cap -= 1;
            self.high_since = Some(now);
            self.trials.take_back();
        } else if lasting(self.low_since, self.trials.wait()) && self.cap < top {
            self.cap += 1;
            self.low_since = Some(now);
            self.trials.begin(now);
        }
        self.cap
    }
}

/// Starts a clock when `holds` begins to hold, stops it when it ends.
fn since(start: &mut Option<Instant>, holds: bool, now: Instant) {
    if holds {
        start.get_or_insert(now);
    } else {
        *start = None;
    }
}

#[cfg(test)]
mod tests {
    use super::super::trial::{MAX_UP_AFTER, UP_AFTER};
    use super::*;
    use proptest::prelude::*;

    const TOP: u8 = 2;

    /// Feeds one sample a second and answers the seconds at which the layer changed, with the new one.
    fn run(
        controller: &mut LossController,
        start: Instant,
        seconds: u64,
        loss: impl Fn(u64, u8) -> f64,
    ) -> Vec<(u64, u8)> {
        let mut changes = Vec::new();
        for second in 0..seconds {
            let before = controller.cap();
            let now = controller.sample(start + Duration::from_secs(second), loss(second, before), TOP);
            if now != before {
                changes.push((second, now));
            }
        }
        changes
    }

    #[test]
    fn two_seconds_of_loss_cost_one_layer_and_two_more_another() {
        let mut controller = LossController::new(TOP);
        assert_eq!(run(&mut controller, Instant::now(), 8, |_, _| 0.2), [(2, 1), (4, 0)]);
    }

    #[test]
    fn a_moment_of_loss_costs_nothing() {
        let mut controller = LossController::new(TOP);
        let changes = run(&mut controller, Instant::now(), 60, |second, _| {
            if second % 2 == 0 { 0.5 } else { 0.0 }
        });
        assert_eq!(changes, []);
    }

    #[test]
    fn ten_clean_seconds_win_one_layer_back() {
        let mut controller = LossController::new(TOP);
        let changes = run(
            &mut controller,
            Instant::now(),
            30,
            |second, _| if second < 5 { 0.3 } else { 0.0 },
        );
        assert_eq!(changes, [(2, 1), (4, 0), (15, 1), (25, 2)]);
    }

    #[test]
    fn loss_between_the_two_bounds_changes_nothing() {
        let mut controller = LossController::new(TOP);
        let start = Instant::now();
        run(&mut controller, start, 3, |_, _| 0.3);
        assert_eq!(controller.cap(), 1);
        let later = start + Duration::from_secs(3);
        assert_eq!(run(&mut controller, later, 120, |_, _| 0.05), []);
    }

    #[test]
    fn a_layer_that_never_fits_is_tried_more_and_more_rarely() {
        let mut controller = LossController::new(TOP);
        let changes = run(
            &mut controller,
            Instant::now(),
            600,
            |_, cap| if cap == TOP { 0.3 } else { 0.0 },
        );
        let tried: Vec<u64> = changes
            .iter()
            .filter(|(_, cap)| *cap == TOP)
            .map(|(second, _)| *second)
            .collect();
        let waits: Vec<u64> = tried.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(waits.windows(2).all(|pair| pair[1] >= pair[0]), "{waits:?}");
        assert!(tried.len() <= 7, "tried {} times in 600 s: {tried:?}", tried.len());
        assert!(
            waits.iter().all(|wait| *wait <= MAX_UP_AFTER.as_secs() + 5),
            "{waits:?}"
        );
    }

    #[test]
    fn a_layer_that_lasted_through_its_trial_resets_the_wait() {
        let mut controller = LossController::new(TOP);
        let start = Instant::now();
        // One failed trial doubles the wait; a good one makes it short again.
        run(&mut controller, start, 20, |second, cap| {
            if second < 3 || (second > 12 && cap == TOP) {
                0.3
            } else {
                0.0
            }
        });
        assert!(controller.trials.wait() > UP_AFTER);
        run(&mut controller, start + Duration::from_secs(20), 80, |_, _| 0.0);
        assert_eq!((controller.cap(), controller.trials.wait()), (TOP, UP_AFTER));
    }

    #[test]
    fn a_pause_between_samples_is_no_loss() {
        let mut controller = LossController::new(TOP);
        let start = Instant::now();
        controller.sample(start, 0.5, TOP);
        assert_eq!(controller.sample(start + Duration::from_secs(30), 0.5, TOP), TOP);
    }

    #[test]
    fn a_publisher_that_drops_its_top_layer_lowers_the_cap() {
        let mut controller = LossController::new(TOP);
        assert_eq!(controller.sample(Instant::now(), 0.0, 0), 0);
    }

    proptest! {
        #[test]
        fn steps_are_single_bounded_and_never_close_together(
            losses in proptest::collection::vec(0.0f64..1.0, 1..400),
            gaps in proptest::collection::vec(100u64..6000, 400),
        ) {
            let mut controller = LossController::new(TOP);
            let mut now = Instant::now();
            let (mut last, mut changed) = (TOP, now);
            for (loss, gap) in losses.iter().zip(&gaps) {
                now += Duration::from_millis(*gap);
                let cap = controller.sample(now, *loss, TOP);
                prop_assert!(cap <= TOP);
                prop_assert!(cap.abs_diff(last) <= 1);
                if cap != last {
                    let pause = now - changed;
                    prop_assert!(cap < last || pause >= UP_AFTER, "a step up {pause:?} after the one before");
                    prop_assert!(pause >= DOWN_AFTER, "a step {pause:?} after the one before");
                    changed = now;
                }
                last = cap;
            }
        }

        #[test]
        fn whatever_came_before_a_dead_line_ends_at_the_bottom_and_a_clean_one_at_the_top(
            losses in proptest::collection::vec(0.0f64..1.0, 0..200),
        ) {
            let mut controller = LossController::new(TOP);
            let mut now = Instant::now();
            for loss in losses {
                now += Duration::from_secs(1);
                controller.sample(now, loss, TOP);
            }
            let mut down = controller.clone();
            for second in 1..=10 {
                down.sample(now + Duration::from_secs(second), 0.9, TOP);
            }
            prop_assert_eq!(down.cap(), 0);
            for second in 1..=(2 * MAX_UP_AFTER.as_secs() + 2) {
                controller.sample(now + Duration::from_secs(second), 0.0, TOP);
            }
            prop_assert_eq!(controller.cap(), TOP);
        }
    }
}
