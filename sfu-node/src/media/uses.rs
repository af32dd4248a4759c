//! Counting who uses a thing that is dropped once nobody has used it for a while.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// The uses of one thing.
#[derive(Debug, Default)]
pub struct Uses(Arc<AtomicU32>);

/// One use, until it is dropped.
#[derive(Debug)]
pub struct UseGuard(Arc<AtomicU32>);

impl Uses {
    /// One more.
    pub fn begin(&self) -> UseGuard {
        self.0.fetch_add(1, Ordering::Relaxed);
        UseGuard(Arc::clone(&self.0))
    }

    /// Whether there is any.
    pub fn any(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 0
    }
}

impl Drop for UseGuard {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
