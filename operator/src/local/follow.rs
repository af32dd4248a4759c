//! Watches the manifest's file by reading it twice a second. Reading finds every way in which editors save (in place,
//! by renaming, through a symbolic link), which notifications of the system do not, and costs nothing for a file this
//! small.

use std::io;
use std::path::PathBuf;
use std::time::Duration;
use tokio::time::{Interval, MissedTickBehavior, interval};

/// Time between two readings. A change counts once two readings in a row find the same, so that a file that is half
/// written is not taken at its word.
const INTERVAL: Duration = Duration::from_millis(250);

/// What has become of the file.
#[derive(Debug)]
pub enum FileChange {
    /// It says something else now.
    Text(Vec<u8>),
    /// It cannot be read any more; told once.
    Unreadable(io::Error),
}

/// Follows one file, or none.
#[derive(Debug)]
pub struct Follower {
    path: Option<PathBuf>,
    ticks: Interval,
    judge: Judge,
}

impl Follower {
    /// Follows `path` from what it says now.
    #[must_use]
    pub fn new(path: Option<PathBuf>) -> Self {
        let mut ticks = interval(INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let known = path.as_ref().and_then(|path| std::fs::read(path).ok());
        Self {
            path,
            ticks,
            judge: Judge {
                known,
                pending: None,
                unreadable: false,
            },
        }
    }

    /// Waits for the next change; for ever when there is no file. Cancel safe.
    pub async fn changed(&mut self) -> FileChange {
        let Some(path) = self.path.clone() else {
            return std::future::pending().await;
        };
        loop {
            self.ticks.tick().await;
            // On this thread: a file this small is read in microseconds.
            if let Some(change) = self.judge.see(std::fs::read(&path)) {
                return change;
            }
        }
    }
}

/// Decides from one reading after the other what is a change.
#[derive(Debug)]
struct Judge {
    known: Option<Vec<u8>>,
    pending: Option<Vec<u8>>,
    unreadable: bool,
}

impl Judge {
    fn see(&mut self, reading: io::Result<Vec<u8>>) -> Option<FileChange> {
        let text = match reading {
            Ok(text) => text,
            // Some editors remove a file for a moment.
            Err(error) => {
                self.pending = None;
                let told = std::mem::replace(&mut self.unreadable, true);
                return (!told).then_some(FileChange::Unreadable(error));
            }
        };
        self.unreadable = false;
        if self.known.as_ref() == Some(&text) {
            self.pending = None;
            return None;
        }
        if self.pending.as_ref() != Some(&text) {
            self.pending = Some(text);
            return None;
        }
        self.pending = None;
        self.known = Some(text.clone());
        Some(FileChange::Text(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge() -> Judge {
        Judge {
            known: Some(b"a".to_vec()),
            pending: None,
            unreadable: false,
        }
    }

    fn see(judge: &mut Judge, text: &str) -> Option<String> {
        match judge.see(Ok(text.as_bytes().to_vec()))? {
            FileChange::Text(text) => Some(String::from_utf8_lossy(&text).into_owned()),
            FileChange::Unreadable(error) => Some(error.to_string()),
        }
    }

    #[test]
    fn a_change_counts_once_and_only_when_it_is_complete() {
        let mut judge = judge();
        let told: Vec<_> = ["a", "ab", "abc", "abc", "abc", "a", "a"]
            .iter()
            .map(|t| see(&mut judge, t))
            .collect();
        assert_eq!(
            told,
            [None, None, None, Some("abc".into()), None, None, Some("a".into())]
        );
    }

    #[test]
    fn a_flicker_is_no_change() {
        let mut judge = judge();
        assert_eq!(
            ["b", "a", "b", "a"].map(|t| see(&mut judge, t)),
            [None, None, None, None]
        );
    }

    #[test]
    fn a_file_that_is_gone_is_told_once_and_may_come_back() {
        let mut judge = judge();
        let gone = |judge: &mut Judge| judge.see(Err(io::ErrorKind::NotFound.into())).is_some();
        assert_eq!((gone(&mut judge), gone(&mut judge)), (true, false));
        assert_eq!(
            ["a", "b", "b"].map(|t| see(&mut judge, t)),
            [None, None, Some("b".into())]
        );
        assert!(gone(&mut judge));
    }
}
