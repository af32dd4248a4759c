//! Work that many ask for, done once for all of them.

use std::future::Future;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::Instant;

/// Work whose result is good enough for a while.
#[derive(Debug)]
pub struct Merged {
    every: Duration,
    last: Mutex<Option<Instant>>,
}

impl Merged {
    /// Work that is begun at most once in this time.
    pub fn every(every: Duration) -> Self {
        Self {
            every,
            last: Mutex::new(None),
        }
    }

    /// Does the work, unless it was begun a short while ago. Who comes while it is done waits for its end.
    pub async fn run<F: Future<Output = ()>>(&self, work: impl FnOnce() -> F) {
        let mut last = self.last.lock().await;
        let now = Instant::now();
        if last.is_some_and(|last| now - last < self.every) {
            return;
        }
        work().await;
        *last = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[tokio::test(start_paused = true)]
    async fn many_that_ask_together_or_within_a_while_cost_one_round() {
        let rounds = AtomicU32::new(0);
        let merged = Merged::every(Duration::from_secs(2));
        let ask = || {
            merged.run(async || {
                rounds.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(100)).await;
            })
        };
        futures::future::join_all((0..50).map(|_| ask())).await;
        assert_eq!(rounds.load(Ordering::Relaxed), 1);
        tokio::time::sleep(Duration::from_millis(1_800)).await;
        ask().await;
        assert_eq!(rounds.load(Ordering::Relaxed), 1);
        tokio::time::sleep(Duration::from_millis(200)).await;
        ask().await;
        assert_eq!(rounds.load(Ordering::Relaxed), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn who_comes_while_it_is_done_waits_for_its_end() {
        let done = AtomicU32::new(0);
        let merged = Merged::every(Duration::from_secs(2));
        let first = merged.run(async || {
            tokio::time::sleep(Duration::from_secs(1)).await;
            done.store(1, Ordering::Relaxed);
        });
        let second = async {
            merged.run(async || {}).await;
            done.load(Ordering::Relaxed)
        };
        let ((), seen) = tokio::join!(first, second);
        assert_eq!(seen, 1);
    }
}
