//! A file that is read again when its content changes, so that a secret rotates without a restart.

use super::versions::{Content, Look, Rules, Versions};
use crate::program::task::{self, Ended};
use parking_lot::Mutex;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

/// The file is looked at again after this time, whether anybody asks for its content or not. Its content is compared, not
/// its date: a mounted Secret changes by swapping symbolic links.
pub const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// After a change that may not be complete, it is looked at again after this time.
const SETTLE: Duration = Duration::from_millis(250);
/// Largest file that is read, in bytes.
const MAX_BYTES: u64 = 1024 * 1024;

/// A file that a thread of its own looks at every [`LOOK_AGAIN`], until this is dropped.
pub struct FollowedFile<T>(Arc<Followed<T>>);

struct Followed<T> {
    path: PathBuf,
    rules: Rules<T>,
    content: Mutex<Content<T>>,
}

impl<T: Send + Sync + 'static> FollowedFile<T> {
    /// Reads the file for the first time, and follows it.
    ///
    /// # Errors
    /// When it cannot be read, or the rules do not understand it.
    pub fn open(path: &Path, rules: Rules<T>) -> io::Result<Self> {
        let invalid = |why| io::Error::new(io::ErrorKind::InvalidData, why);
        let content = Content::new(&read(path)?, &rules).map_err(invalid)?;
        let followed = Arc::new(Followed {
            path: path.to_owned(),
            rules,
            content: Mutex::new(content),
        });
        let follower = Arc::downgrade(&followed);
        // A thread, because reading a file may block for as long as its disk likes.
        task::vital_thread(task::process(), "followed-file", move || follow(&follower))?;
        Ok(Self(followed))
    }

    /// What counts at `now`: what was read last, since one that cannot be read or understood leaves that in force, and what
    /// was read before while it overlaps.
    #[must_use]
    pub fn versions(&self, now: Instant) -> Versions<T> {
        self.0.content.lock().at(now)
    }
}

fn follow<T>(file: &Weak<Followed<T>>) -> Ended {
    let mut pause = LOOK_AGAIN;
    loop {
        std::thread::sleep(pause);
        let Some(file) = file.upgrade() else {
            return Ended::AsAsked;
        };
        pause = file.look();
    }
}

impl<T> Followed<T> {
    /// Answers when to look again.
    fn look(&self) -> Duration {
        let text = read(&self.path).map_err(|error| error.to_string());
        let seen = self.content.lock().look(text, &self.rules, Instant::now());
        let path = self.path.display();
        match seen {
            Look::Same => {}
            Look::Unsettled => return SETTLE,
            Look::Changed => tracing::info!(%path, "read again, since it has changed"),
            Look::Kept(error) => tracing::warn!(%path, error, "what was read before stays in force"),
        }
        LOOK_AGAIN
    }
}

fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let mut limited = io::Read::take(std::fs::File::open(path)?, MAX_BYTES + 1);
    io::Read::read_to_string(&mut limited, &mut text)?;
    if text.len() as u64 > MAX_BYTES {
        let why = format!("it is longer than {MAX_BYTES} bytes");
        return Err(io::Error::new(io::ErrorKind::InvalidData, why));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::NamedTempFile;

    fn on_disk(text: &str) -> NamedTempFile {
        let file = NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        file
    }

    fn number(text: &str) -> Result<u32, String> {
        text.trim().parse().map_err(|_| "it is no number".to_owned())
    }

    fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
        let end = Instant::now() + Duration::from_secs(30);
        while !holds() {
            assert!(Instant::now() < end, "not within 30 s: {what}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    #[test]
    fn a_change_is_seen_without_a_request_and_what_was_before_overlaps() {
        let file_on_disk = on_disk("1\n");
        let rules = Rules::new(number).overlapping(Duration::from_secs(600), |_, _| true);
        let file = FollowedFile::open(file_on_disk.path(), rules).unwrap();
        std::fs::write(file_on_disk.path(), "2").unwrap();
        // Reading what counts does not look at the file: only the timer can have seen the change.
        eventually("2 is in force", || {
            file.versions(Instant::now()).iter().copied().eq([2, 1])
        });
        let later = Instant::now() + Duration::from_secs(600);
        assert!(file.versions(later).iter().copied().eq([2]));
    }

    #[test]
    fn nothing_follows_a_file_that_nobody_holds_any_more() {
        let file_on_disk = on_disk("1");
        let file = FollowedFile::open(file_on_disk.path(), Rules::new(number)).unwrap();
        let follower = Arc::downgrade(&file.0);
        drop(file);
        eventually("the last holder is gone", || follower.strong_count() == 0);
    }

    #[test]
    fn a_file_that_is_broken_at_the_start_is_an_error_that_says_why() {
        let open = |file: &NamedTempFile| FollowedFile::open(file.path(), Rules::new(number));
        let error = open(&on_disk("one")).err().unwrap();
        assert_eq!(error.to_string(), "it is no number");
        let long = on_disk(&"1".repeat(MAX_BYTES as usize + 1));
        assert!(open(&long).is_err());
    }
}
