//! What every reconcile shares.

use super::build::Settings;
use super::build::Wish;
use super::mesh::meshes::Meshes;
use super::process::events::Events;
use super::process::metrics::Metrics;
use super::remark::Remark;
use super::rollout::observe::Leaving;
use super::secret::Secrets;
use super::stages::apply::Applier;
use super::stages::validate::Invalid;
use super::watch::caches::Caches;
use super::watch::queue::{Key, Queue};
use kube::Client;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// First pause after a failure, doubled with each further one.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// Longest pause after a failure.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// What every reconcile shares.
pub struct Context {
    /// The API server.
    pub client: Client,
    /// The command line.
    pub settings: Settings,
    /// What there is.
    pub caches: Caches,
    /// The meshes.
    pub meshes: Arc<Meshes>,
    /// Where reconciles are asked for.
    pub queue: Queue,
    /// The admin Secrets.
    pub secrets: Secrets,
    /// What was applied.
    pub applier: Applier,
    /// Where events go.
    pub events: Events,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Held while an object is checked: one after the other.
    pub validating: tokio::sync::Mutex<()>,
    /// What is remembered of each cluster. Nothing that matters is lost with it.
    pub memories: Mutex<BTreeMap<Key, Memory>>,
}

/// What is remembered of a cluster between two reconciles.
#[derive(Debug, Default)]
pub struct Memory {
    /// Whether the object of this UID and generation was in order.
    pub validated: Option<(String, i64, Result<Wish, Invalid>)>,
    /// When counts were last written into the status.
    pub written: Option<Instant>,
    /// Since when pods have been on their way out.
    pub leaving: Leaving,
    /// When the Secrets that the manifest names were looked at, and what was wrong with them.
    pub named_secrets: Option<(Instant, Option<Remark>)>,
    /// Failures in a row.
    pub failures: u32,
}

impl Context {
    /// Changes what is remembered of a cluster.
    pub fn remember<T>(&self, key: &Key, change: impl FnOnce(&mut Memory) -> T) -> T {
        change(self.memories.lock().entry(key.clone()).or_default())
    }

    /// Forgets clusters that are gone.
    pub fn forget(&self, key: &Key) {
        self.queue.begun(key);
        self.memories.lock().remove(key);
        self.secrets.keep_only(|other| other != key);
        self.applier.forget(key);
    }

    /// How long to wait after one more failure of a cluster: each has its own count, so that a broken one delays no other.
    pub fn pause_after_failure(&self, key: &Key) -> Duration {
        let failures = self.remember(key, |memory| {
            memory.failures = memory.failures.saturating_add(1);
            memory.failures
        });
        pause(failures)
    }
}

fn pause(failures: u32) -> Duration {
    FIRST_PAUSE
        .saturating_mul(1 << failures.saturating_sub(1).min(16))
        .min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_minute() {
        let seconds: Vec<u64> = (1..=8).map(|failures| pause(failures).as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(pause(u32::MAX), LONGEST_PAUSE);
    }
}
