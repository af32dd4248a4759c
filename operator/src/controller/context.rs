//! What every reconcile shares.

use super::build::Settings;
use super::mesh::meshes::Meshes;
use super::pace::Pace;
use super::process::events::Events;
use super::process::metrics::Metrics;
use super::rollout::act::Actor;
use super::stages::apply::Applier;
use super::stages::dereference::Dereferencer;
use super::stages::validate::Validator;
use super::stages::write_status::StatusWriter;
use super::watch::caches::Caches;
use super::watch::queue::{Key, Queue};
use crate::cli::ClusterSelector;
use crate::cluster::rollout::Leaving;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// First pause after a failure, doubled with each further one.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// Longest pause after a failure.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// What every reconcile of a scope shares.
pub struct Context {
    pub settings: Settings,
    /// This installation of the operator.
    pub installation: String,
    /// Which clusters it looks after.
    pub selector: ClusterSelector,
    pub events: Events,
    pub pace: Pace,
    pub caches: Caches,
    pub meshes: Arc<Meshes>,
    /// Where reconciles are asked for.
    pub queue: Queue,
    pub metrics: Arc<Metrics>,
    // The stages that reach outside, or remember something. They stand in the order in which they are called.
    pub validator: Validator,
    pub dereferencer: Dereferencer,
    pub applier: Applier,
    pub actor: Actor,
    pub status_writer: StatusWriter,
    /// What is remembered of each cluster. Nothing that matters is lost with it.
    pub memories: Mutex<BTreeMap<Key, Memory>>,
}

/// What is remembered of a cluster between two reconciles, besides what the stages remember themselves.
#[derive(Debug, Default)]
pub struct Memory {
    /// Since when pods have been on their way out.
    pub leaving: Leaving,
    /// The other operator that looks after it, if that has been told.
    pub left_to: Option<String>,
    /// Whether it has been told that the cluster's labels do not match the selector.
    pub left_out: bool,
    /// What went wrong last, if that has not come right since.
    pub failing: Option<Failing>,
}

/// Failures in a row.
#[derive(Debug, Clone, Copy)]
pub struct Failing {
    /// Those that each came after the pause of the one before.
    count: u32,
    /// When the last of these was.
    at: Instant,
}

impl Failing {
    /// One more failure. One that comes before the pause is over was called for by a change and not by the pause: it says
    /// nothing about how long to wait, or a burst of changes would make it a minute.
    fn again(before: Option<Self>, now: Instant) -> Self {
        match before {
            Some(before) if now < before.at + before.pause() => before,
            before => Self {
                count: before.map_or(1, |before| before.count.saturating_add(1)),
                at: now,
            },
        }
    }

    fn pause(self) -> Duration {
        FIRST_PAUSE
            .saturating_mul(1 << self.count.saturating_sub(1).min(16))
            .min(LONGEST_PAUSE)
    }
}

impl Context {
    /// Changes what is remembered of a cluster.
    pub fn remember<T>(&self, key: &Key, change: impl FnOnce(&mut Memory) -> T) -> T {
        change(self.memories.lock().entry(key.clone()).or_default())
    }

    /// Forgets a cluster that is gone.
    pub fn forget(&self, key: &Key) {
        self.queue.begun(key);
        self.validator.forget(key);
        self.dereferencer.forget(key);
        self.applier.forget(key);
        self.status_writer.forget(key);
        self.memories.lock().remove(key);
    }

    /// How long to wait after one more failure of a cluster: each has its own count, so that a broken one delays no other.
    pub fn pause_after_failure(&self, key: &Key) -> Duration {
        let now = Instant::now();
        self.remember(key, |memory| {
            memory.failing.insert(Failing::again(memory.failing, now)).pause()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_minute() {
        let mut now = Instant::now();
        let mut failing = None;
        let seconds = [(); 8].map(|()| {
            let next = failing.insert(Failing::again(failing, now));
            now += next.pause();
            next.pause().as_secs()
        });
        assert_eq!(seconds, [1, 2, 4, 8, 16, 32, 60, 60]);
        let (count, at) = (u32::MAX, now);
        assert_eq!(Failing { count, at }.pause(), LONGEST_PAUSE);
    }

    #[test]
    fn a_burst_of_failures_does_not_lengthen_the_pause() {
        let start = Instant::now();
        let mut failing = Failing::again(None, start);
        for milliseconds in 0..999 {
            failing = Failing::again(Some(failing), start + Duration::from_millis(milliseconds));
        }
        assert_eq!(failing.pause(), FIRST_PAUSE);
        let next = Failing::again(Some(failing), start + FIRST_PAUSE);
        assert_eq!(next.pause(), 2 * FIRST_PAUSE);
    }
}
