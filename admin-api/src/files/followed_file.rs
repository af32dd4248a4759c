//! A file that is read again when its content changes, so that a secret rotates without a restart.

use parking_lot::Mutex;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The file is looked at again after this time. Its content is compared, not its date: a mounted Secret changes by
/// swapping symbolic links.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// Largest file that is read, in bytes.
const MAX_BYTES: u64 = 1024 * 1024;

type Parse<T> = Box<dyn Fn(&str) -> Result<T, String> + Send + Sync>;

/// A file, as parsed last, and as parsed before its last change.
pub struct FollowedFile<T> {
    path: PathBuf,
    parse: Parse<T>,
    state: Mutex<State<T>>,
}

struct State<T> {
    looked: Instant,
    text: String,
    broken: Option<String>,
    versions: Versions<T>,
}

/// What a file says now, and what it said before its last change: while a secret rotates, both are in use somewhere.
pub struct Versions<T> {
    /// Now.
    pub current: Arc<T>,
    /// Before its last change, when it has changed since the process started.
    pub previous: Option<Arc<T>>,
}

impl<T> Clone for Versions<T> {
    fn clone(&self) -> Self {
        Self {
            current: Arc::clone(&self.current),
            previous: self.previous.clone(),
        }
    }
}

impl<T> Versions<T> {
    /// The current one first.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        std::iter::once(&*self.current).chain(self.previous.as_deref())
    }
}

impl<T> FollowedFile<T> {
    /// Reads the file for the first time. `parse` answers with a sentence that says what is wrong with it.
    ///
    /// # Errors
    /// When it cannot be read, or `parse` does not understand it.
    pub fn open(path: &Path, parse: impl Fn(&str) -> Result<T, String> + Send + Sync + 'static) -> io::Result<Self> {
        let text = read(path)?;
        let current = parse(&text).map_err(|why| io::Error::new(io::ErrorKind::InvalidData, why))?;
        let state = State {
            looked: Instant::now(),
            text,
            broken: None,
            versions: Versions {
                current: Arc::new(current),
                previous: None,
            },
        };
        Ok(Self {
            path: path.to_owned(),
            parse: Box::new(parse),
            state: Mutex::new(state),
        })
    }

    /// What it says at `now`. One that cannot be read or understood leaves the last good one in force.
    #[must_use]
    pub fn versions(&self, now: Instant) -> Versions<T> {
        let mut state = self.state.lock();
        if now.saturating_duration_since(state.looked) >= LOOK_AGAIN {
            state.looked = now;
            self.look(&mut state);
        }
        state.versions.clone()
    }

    fn look(&self, state: &mut State<T>) {
        let text = match read(&self.path) {
            Ok(text) if text == state.text => {
                state.broken = None;
                return;
            }
            Ok(text) => text,
            Err(error) => return self.keep(state, error.to_string()),
        };
        match (self.parse)(&text) {
            Ok(parsed) => {
                tracing::info!(path = %self.path.display(), "read again, since it has changed");
                let previous = std::mem::replace(&mut state.versions.current, Arc::new(parsed));
                state.versions.previous = Some(previous);
                state.text = text;
                state.broken = None;
            }
            Err(why) => self.keep(state, why),
        }
    }

    fn keep(&self, state: &mut State<T>, why: String) {
        // Once for each reason: this is looked at every second.
        if state.broken.as_ref() != Some(&why) {
            tracing::warn!(path = %self.path.display(), error = why, "what was read before stays in force");
            state.broken = Some(why);
        }
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

    fn rewrite(file: &NamedTempFile, text: &str) {
        std::fs::write(file.path(), text).unwrap();
    }

    fn number(text: &str) -> Result<u32, String> {
        text.trim().parse().map_err(|_| "it is no number".to_owned())
    }

    fn all(file: &FollowedFile<u32>, now: Instant) -> Vec<u32> {
        file.versions(now).iter().copied().collect()
    }

    #[test]
    fn a_change_is_seen_after_a_second_and_what_was_before_is_remembered_once() {
        let file_on_disk = on_disk("1\n");
        let file = FollowedFile::open(file_on_disk.path(), number).unwrap();
        let start = Instant::now();
        assert_eq!(all(&file, start), [1]);
        rewrite(&file_on_disk, "2");
        assert_eq!(all(&file, start), [1]);
        assert_eq!(all(&file, start + LOOK_AGAIN * 2), [2, 1]);
        rewrite(&file_on_disk, "3");
        assert_eq!(all(&file, start + LOOK_AGAIN * 4), [3, 2]);
    }

    #[test]
    fn a_broken_or_missing_file_leaves_the_last_good_one_in_force() {
        let file_on_disk = on_disk("1");
        let file = FollowedFile::open(file_on_disk.path(), number).unwrap();
        let start = Instant::now();
        rewrite(&file_on_disk, "one");
        assert_eq!(all(&file, start + LOOK_AGAIN * 2), [1]);
        std::fs::remove_file(file_on_disk.path()).unwrap();
        assert_eq!(all(&file, start + LOOK_AGAIN * 4), [1]);
        rewrite(&file_on_disk, "2");
        assert_eq!(all(&file, start + LOOK_AGAIN * 6), [2, 1]);
    }

    #[test]
    fn a_file_that_is_broken_at_the_start_is_an_error_that_says_why() {
        let file_on_disk = on_disk("one");
        let error = FollowedFile::open(file_on_disk.path(), number).err().unwrap();
        assert_eq!(error.to_string(), "it is no number");
        let long = on_disk(&"1".repeat(MAX_BYTES as usize + 1));
        assert!(FollowedFile::open(long.path(), number).is_err());
    }
}
