//! Changes that come as often as a client likes, told at most once in a while.

use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::convert::Infallible;
use std::time::Duration;
use tokio::sync::Notify;

/// What has changed and was not told yet.
pub struct Coalesced<K> {
    changed: Mutex<BTreeSet<K>>,
    news: Notify,
}

impl<K> Default for Coalesced<K> {
    fn default() -> Self {
        Self {
            changed: Mutex::default(),
            news: Notify::new(),
        }
    }
}

impl<K: Ord> Coalesced<K> {
    /// Something changed. To be called after the change, from any thread.
    pub fn add(&self, key: K) {
        self.changed.lock().insert(key);
        self.news.notify_one();
    }

    /// Tells what changed, for ever: the first change at once, what comes within `every` of that together after it. To be
    /// run once.
    pub async fn run(&self, every: Duration, mut tell: impl FnMut(BTreeSet<K>)) -> Infallible {
        loop {
            // One that comes while nobody waits here is kept: no change is the last one without being told.
            self.news.notified().await;
            let changed = std::mem::take(&mut *self.changed.lock());
            if !changed.is_empty() {
                tell(changed);
                tokio::time::sleep(every).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    use tokio::time::Instant;

    const EVERY: Duration = Duration::from_millis(200);

    #[tokio::test(start_paused = true)]
    async fn a_publisher_that_changes_its_sizes_with_each_picture_is_told_of_five_times_a_second_and_its_last_size_arrives()
     {
        let (changes, size) = (Arc::new(Coalesced::default()), Arc::new(AtomicU32::new(0)));
        let told: Arc<Mutex<Vec<(Instant, u32)>>> = Arc::default();
        let began = Instant::now();
        let (tell, there, list) = (Arc::clone(&changes), Arc::clone(&size), Arc::clone(&told));
        tokio::spawn(async move {
            let tell = tell.run(EVERY, |_: BTreeSet<&str>| {
                list.lock().push((Instant::now(), there.load(Ordering::Relaxed)));
            });
            tell.await
        });
        // More than the 836 changes a second that were once measured.
        for next in 1..=3_001 {
            size.store(next, Ordering::Relaxed);
            changes.add("demo");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        // The paused clock goes on at once when nothing else is to do.
        tokio::time::sleep(EVERY).await;
        let told = told.lock();
        assert!(
            told[0].0 - began < Duration::from_millis(1),
            "the first goes out at once"
        );
        assert!(
            told.windows(6).all(|six| six[5].0 - six[0].0 >= Duration::from_secs(1)),
            "at most five a second: {told:?}"
        );
        assert!(told.len() > 10, "but they are told while they go on: {told:?}");
        assert_eq!(told.last().map(|(_, size)| *size), Some(3_001), "the last is not lost");
    }

    #[tokio::test(start_paused = true)]
    async fn what_changes_in_one_while_is_told_together_and_a_change_after_silence_at_once() {
        let changes = Arc::new(Coalesced::default());
        let told = Arc::new(Mutex::new(Vec::new()));
        let began = Instant::now();
        let (tell, list) = (Arc::clone(&changes), Arc::clone(&told));
        tokio::spawn(async move {
            let tell = tell.run(EVERY, |keys: BTreeSet<&str>| {
                let keys: Vec<&str> = keys.into_iter().collect();
                list.lock().push((began.elapsed(), keys));
            });
            tell.await
        });
        let at = |ms| tokio::time::sleep_until(began + Duration::from_millis(ms));
        changes.add("a");
        at(50).await;
        changes.add("b");
        at(60).await;
        changes.add("a");
        changes.add("b");
        at(1_000).await;
        changes.add("c");
        at(2_000).await;
        let ms = Duration::from_millis;
        assert_eq!(
            *told.lock(),
            [(ms(0), vec!["a"]), (ms(200), vec!["a", "b"]), (ms(1_000), vec!["c"])]
        );
    }
}
