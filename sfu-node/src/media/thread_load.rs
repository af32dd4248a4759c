//! Processor time of one thread, as the kernel counts it.

use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Instant;

/// The share of a core that a thread uses.
pub struct ThreadLoad {
    /// Id of the thread, 0 until it has started.
    thread: Arc<AtomicI32>,
    clock: Mutex<Clock>,
}

struct Clock {
    at: Instant,
    ticks: u64,
    share: f64,
}

impl Default for ThreadLoad {
    fn default() -> Self {
        Self {
            thread: Arc::default(),
            clock: Mutex::new(Clock {
                at: Instant::now(),
                ticks: 0,
                share: 0.0,
            }),
        }
    }
}

impl ThreadLoad {
    /// To be called by the thread itself when it starts.
    pub fn initializer(&self) -> Arc<dyn Fn() + Send + Sync> {
        let writer = Arc::clone(&self.thread);
        Arc::new(move || writer.store(current_thread_id(), Ordering::Relaxed))
    }

    /// Share of a core, 0 to 1, as of the last [`Self::sample`].
    pub fn share(&self) -> f64 {
        self.clock.lock().share
    }

    /// Reads the thread's processor time and brings [`Self::share`] up to date.
    pub fn sample(&self) {
        let Some(ticks) = thread_ticks(self.thread.load(Ordering::Relaxed)) else {
            return;
        };
        let mut clock = self.clock.lock();
        let now = Instant::now();
        let elapsed = now.saturating_duration_since(clock.at).as_secs_f64();
        if clock.ticks > 0 && elapsed > 0.0 {
            clock.share = (ticks.saturating_sub(clock.ticks) as f64 / TICKS_PER_SECOND / elapsed).clamp(0.0, 1.0);
        }
        clock.ticks = ticks;
        clock.at = now;
    }
}

/// `sysconf(_SC_CLK_TCK)` is 100 on every Linux that Rust supports.
const TICKS_PER_SECOND: f64 = 100.0;

/// Id of the calling thread: `/proc/thread-self` is a link to `PID/task/TID`.
fn current_thread_id() -> i32 {
    std::fs::read_link("/proc/thread-self")
        .ok()
        .and_then(|path| path.file_name()?.to_str()?.parse().ok())
        .unwrap_or(0)
}

/// Processor time of a thread in clock ticks: fields 14 and 15 of its stat file (proc(5)).
fn thread_ticks(thread: i32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/self/task/{thread}/stat")).ok()?;
    let after_name = stat.rsplit_once(')')?.1;
    let mut fields = after_name.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}
