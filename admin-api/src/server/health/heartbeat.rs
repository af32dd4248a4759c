//! Whether the main runtime of a process still runs tasks.

use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How often it beats.
const INTERVAL: Duration = Duration::from_secs(1);
/// How long it may be silent before `/livez` fails. A machine that is overloaded, or was stopped for a moment, is no reason
/// for a restart, which ends every session.
pub const LIVENESS_LIMIT: Duration = Duration::from_secs(15);

/// When the main runtime last ran a task.
#[derive(Debug, Clone)]
pub struct Heartbeat {
    start: Instant,
    /// Milliseconds after the start.
    last: Arc<AtomicU64>,
}

impl Heartbeat {
    /// Begins to beat on the present runtime, for as long as that lives.
    #[must_use]
    pub fn start() -> Self {
        let heartbeat = Self::at(Instant::now());
        let beating = heartbeat.clone();
        tokio::spawn(async move {
            loop {
                beating.beat(Instant::now());
                tokio::time::sleep(INTERVAL).await;
            }
        });
        heartbeat
    }

    fn at(start: Instant) -> Self {
        Self {
            start,
            last: Arc::default(),
        }
    }

    fn beat(&self, now: Instant) {
        let since = now.saturating_duration_since(self.start).as_millis();
        self.last
            .store(u64::try_from(since).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    fn silent(&self, now: Instant) -> Duration {
        let last = Duration::from_millis(self.last.load(Ordering::Relaxed));
        now.saturating_duration_since(self.start).saturating_sub(last)
    }

    /// For how long the runtime has been silent, if that is longer than it may.
    fn failed(&self, now: Instant) -> Option<Duration> {
        Some(self.silent(now)).filter(|silent| *silent > LIVENESS_LIMIT)
    }
}

/// The answer of `/livez`: 200 while the main runtime runs, else 503.
#[must_use]
pub fn livez(heartbeat: &Heartbeat) -> Response {
    match heartbeat.failed(Instant::now()) {
        None => "ok\n".into_response(),
        Some(silent) => {
            let text = format!("no task of this process has run for {} s\n", silent.as_secs());
            (StatusCode::SERVICE_UNAVAILABLE, text).into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runtime_that_is_silent_for_longer_than_it_may_be_has_failed_and_one_that_comes_back_has_not() {
        let start = Instant::now();
        let heartbeat = Heartbeat::at(start);
        let at = |seconds| start + Duration::from_secs(seconds);
        heartbeat.beat(at(100));
        assert_eq!(heartbeat.failed(at(115)), None);
        assert_eq!(heartbeat.failed(at(117)), Some(Duration::from_secs(17)));
        heartbeat.beat(at(118));
        assert_eq!(heartbeat.failed(at(119)), None);
    }

    #[test]
    fn a_runtime_that_no_longer_runs_is_silent() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let heartbeat = runtime.block_on(async { Heartbeat::start() });
        // Nothing runs a runtime of one thread now.
        let later = Instant::now() + LIVENESS_LIMIT + Duration::from_secs(2);
        assert!(heartbeat.failed(later).is_some());
    }
}
