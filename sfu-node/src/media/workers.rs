//! All media workers of a node, and which of them the next client gets.

use super::deadline::MediaError;
use super::inner_addresses::InnerAddresses;
use super::worker::MediaWorker;
use crate::options::Options;
use mediasoup::prelude::WorkerManager;
use mediasoup::router::RouterId;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// A worker whose load is above this share of its core takes no further viewers of a stream while others are free.
pub const BUSY: f64 = 0.7;

/// The workers of a node, at least one.
pub struct Workers {
    all: Vec<Arc<MediaWorker>>,
    inner: InnerAddresses,
}

impl Workers {
    /// Starts as many as the options say; `died` is called when one ends.
    pub async fn start(
        options: &Options,
        died: impl Fn(String) + Clone + Send + Sync + 'static,
    ) -> Result<Self, MediaError> {
        let inner =
            InnerAddresses::of_this_system(options.pipe_ports.clone(), options.worker_count()).map_err(|cause| {
                MediaError::Unusable {
                    what: "choosing addresses for inner pipes",
                    cause,
                }
            })?;
        let manager = WorkerManager::new();
        let mut all = Vec::new();
        for index in 0..options.worker_count() {
            let worker = MediaWorker::start(&manager, index, options, died.clone()).await?;
            all.push(Arc::new(worker));
        }
        Ok(Self { all, inner })
    }

    /// Every worker, by index.
    pub fn all(&self) -> &[Arc<MediaWorker>] {
        &self.all
    }

    /// A worker by index, which is also the lane of its links. Indexes come from workers themselves.
    pub fn get(&self, index: u16) -> &Arc<MediaWorker> {
        &self.all[usize::from(index)]
    }

    /// Where pipes between routers of this process listen.
    pub fn inner_addresses(&self) -> &InnerAddresses {
        &self.inner
    }

    /// The worker for a new publisher: fewest sessions among the least loaded.
    pub fn for_publisher(&self) -> Arc<MediaWorker> {
        least_loaded(&self.all)
    }

    /// The worker for a new viewer: one of those that carry the stream while its load is under [`BUSY`], else the least
    /// loaded of all.
    pub fn for_viewer(&self, carrying: &[u16]) -> Arc<MediaWorker> {
        let free: Vec<Arc<MediaWorker>> = carrying
            .iter()
            .map(|index| Arc::clone(self.get(*index)))
            .filter(|worker| worker.load() < BUSY)
            .collect();
        least_loaded(if free.is_empty() { &self.all } else { &free })
    }

    /// The highest load of a worker, 0 to 1.
    pub fn load(&self) -> f64 {
        self.all.iter().map(|worker| worker.load()).fold(0.0, f64::max)
    }

    /// Brings the loads up to date.
    pub fn sample_loads(&self) {
        for worker in &self.all {
            worker.sample_load();
        }
    }

    /// Drops profile routers and pipes that have had no use for `idle`; answers those routers, whose copies of streams are
    /// to go as well.
    pub async fn sweep(&self, now: Instant, idle: Duration) -> Vec<RouterId> {
        let mut dropped = Vec::new();
        for worker in &self.all {
            dropped.extend(worker.sweep_profiles(now, idle).await);
            worker.sweep_pipes(now, idle).await;
        }
        dropped
    }
}

/// Of workers, at least one.
fn least_loaded(workers: &[Arc<MediaWorker>]) -> Arc<MediaWorker> {
    // Loads within a tenth of a core are alike; then the number of sessions decides.
    let rank = |worker: &MediaWorker| {
        (
            (worker.load() * 10.0) as u32,
            worker.sessions.load(Ordering::Relaxed),
            worker.index,
        )
    };
    let best = workers.iter().min_by_key(|worker| rank(worker));
    Arc::clone(best.unwrap_or(&workers[0]))
}
