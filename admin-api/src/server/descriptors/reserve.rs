//! Descriptors that are kept for the health listener: when the process has no other, one of them is given up for a
//! connection.

use parking_lot::Mutex;
use std::fs::File;
use std::io;
use std::sync::Arc;

/// How many probes are answered at a time by a process without descriptors.
const KEPT: usize = 4;

/// Whether this is an error of a process, or of a machine, without descriptors.
#[must_use]
pub fn is_shortage(error: &io::Error) -> bool {
    const ENFILE: i32 = 23;
    const EMFILE: i32 = 24;
    matches!(error.raw_os_error(), Some(ENFILE | EMFILE))
}

/// Descriptors that are open for nothing.
#[derive(Debug, Clone)]
pub struct Reserve(Arc<Mutex<Vec<File>>>);

impl Reserve {
    /// Opens them.
    #[must_use]
    pub fn filled() -> Self {
        let reserve = Self(Arc::default());
        reserve.refill();
        reserve
    }

    /// Gives one up, if one is left.
    #[must_use]
    pub fn give_up_one(&self) -> bool {
        self.0.lock().pop().is_some()
    }

    /// Opens again what was given up, as far as that is possible.
    pub fn refill(&self) {
        let mut kept = self.0.lock();
        while kept.len() < KEPT {
            let Ok(file) = File::open("/dev/null") else { return };
            kept.push(file);
        }
    }
}
