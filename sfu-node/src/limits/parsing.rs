//! Places for work on what clients send. It runs apart from the runtime's threads, which serve everybody else, on a few
//! threads of its own, and nobody waits for it for long.

use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Duration;
use tokio::sync::{Semaphore, TryAcquireError};

/// Longest wait for a description to be parsed, the wait for a place included. The worst description takes a few
/// milliseconds.
pub const PARSE_DEADLINE: Duration = Duration::from_secs(2);
/// Most descriptions that are parsed or wait for it at a time: as many as there may be requests, of which each client has its
/// share. So only work that goes on without anybody to wait for it can make them too few.
pub const MAX_PARSING: usize = super::MAX_REQUESTS as usize;

/// Why a description was not parsed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParsingBusy {
    /// Too many wait.
    #[error("as many descriptions as may wait to be read here already: ask another node, or come back later")]
    Full,
    /// It took too long.
    #[error(
        "the description was not read within {}: ask another node, or come back later",
        humantime::format_duration(PARSE_DEADLINE)
    )]
    Late,
}

/// Where descriptions are parsed.
#[derive(Debug)]
pub struct Parsing {
    /// One for each core: more at once would only take time from each other, and from media.
    threads: Arc<Semaphore>,
    /// Those that are parsed and those that wait.
    places: Arc<Semaphore>,
    deadline: Duration,
}

impl Default for Parsing {
    fn default() -> Self {
        let threads = available_parallelism().map_or(1, std::num::NonZeroUsize::get);
        Self::new(threads, MAX_PARSING, PARSE_DEADLINE)
    }
}

impl Parsing {
    fn new(threads: usize, places: usize, deadline: Duration) -> Self {
        Self {
            threads: Arc::new(Semaphore::new(threads)),
            places: Arc::new(Semaphore::new(places)),
            deadline,
        }
    }

    /// Runs `work` on a thread that may block, and answers what it answers. Work that is late goes on alone, and keeps its
    /// place until it ends.
    pub async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, ParsingBusy> {
        let place = match Arc::clone(&self.places).try_acquire_owned() {
            Ok(place) => place,
            Err(TryAcquireError::NoPermits | TryAcquireError::Closed) => return Err(ParsingBusy::Full),
        };
        let threads = Arc::clone(&self.threads);
        let done = async {
            let thread = threads.acquire_owned().await.map_err(|_| ParsingBusy::Full)?;
            let work = tokio::task::spawn_blocking(move || {
                let done = work();
                drop((thread, place));
                done
            });
            match work.await {
                Ok(done) => Ok(done),
                // Whoever asked for the work answers for its panic, as if it had done it itself.
                Err(error) => match error.try_into_panic() {
                    Ok(panic) => std::panic::resume_unwind(panic),
                    // The runtime ends.
                    Err(_) => Err(ParsingBusy::Late),
                },
            }
        };
        tokio::time::timeout(self.deadline, done)
            .await
            .unwrap_or(Err(ParsingBusy::Late))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    const SOON: Duration = Duration::from_millis(50);
    const NEVER: Duration = Duration::from_secs(60);

    /// Work that lasts until the sender is dropped.
    fn held() -> (mpsc::Sender<()>, impl FnOnce() + Send + 'static) {
        let (end, wait) = mpsc::channel::<()>();
        (end, move || {
            let _ = wait.recv();
        })
    }

    #[tokio::test]
    async fn the_runtime_goes_on_while_a_description_is_parsed() {
        let parsing = Parsing::new(1, 1, NEVER);
        let (end, work) = held();
        // The runtime has this one thread: if it parsed, it would wait for itself for ever.
        let (done, ()) = tokio::join!(parsing.run(work), async { drop(end) });
        assert_eq!(done, Ok(()));
    }

    #[tokio::test]
    async fn a_description_that_gets_no_thread_in_time_is_refused() {
        let parsing = Parsing::new(1, 8, SOON);
        let (end, work) = held();
        assert_eq!(
            parsing.run(work).await,
            Err(ParsingBusy::Late),
            "it never ends by itself"
        );
        assert_eq!(
            parsing.run(|| 1).await,
            Err(ParsingBusy::Late),
            "the only thread is taken"
        );
        drop(end);
        let deadline = tokio::time::Instant::now() + NEVER;
        while parsing.run(|| 1).await != Ok(1) {
            assert!(tokio::time::Instant::now() < deadline, "the thread is not free again");
        }
    }

    #[tokio::test]
    async fn when_all_places_are_taken_the_next_is_refused_at_once() {
        let parsing = Arc::new(Parsing::new(1, 2, NEVER));
        let (end, work) = held();
        let first = tokio::spawn({
            let parsing = Arc::clone(&parsing);
            async move { parsing.run(work).await }
        });
        let second = tokio::spawn({
            let parsing = Arc::clone(&parsing);
            async move { parsing.run(|| ()).await }
        });
        while parsing.places.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(parsing.run(|| ()).await, Err(ParsingBusy::Full));
        drop(end);
        assert_eq!(first.await.unwrap(), Ok(()));
        assert_eq!(second.await.unwrap(), Ok(()));
    }
}
