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
    /// Before its last change, when it has changed since the node started.
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
            tracing::warn!(path = %self.path.display(), why, "what was read before stays in force");
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
pub mod tests {
    use super::*;

    /// A file that is gone when the test ends.
    pub struct TemporaryFile(pub PathBuf);

    impl TemporaryFile {
        pub fn new(text: &str) -> Self {
            let path = std::env::temp_dir().join(format!("sfu-node-test-{}", uuid::Uuid::new_v4().simple()));
            std::fs::write(&path, text).unwrap();
            Self(path)
        }

        pub fn write(&self, text: &str) {
            std::fs::write(&self.0, text).unwrap();
        }
    }

    impl Drop for TemporaryFile {
        fn drop(&mut self) {
            let _ = std::fs::remove_file(&self.0);
        }
    }

    fn number(text: &str) -> Result<u32, String> {
        text.trim().parse().map_err(|_| "it is no number".to_owned())
    }

    fn all(file: &FollowedFile<u32>, now: Instant) -> Vec<u32> {
        file.versions(now).iter().copied().collect()
    }

    #[test]
    fn a_change_is_seen_after_a_second_and_what_was_before_is_remembered_once() {
        let on_disk = TemporaryFile::new("1\n");
        let file = FollowedFile::open(&on_disk.0, number).unwrap();
        let start = Instant::now();
        assert_eq!(all(&file, start), [1]);
        on_disk.write("2");
        assert_eq!(all(&file, start), [1]);
        assert_eq!(all(&file, start + LOOK_AGAIN * 2), [2, 1]);
        on_disk.write("3");
        assert_eq!(all(&file, start + LOOK_AGAIN * 4), [3, 2]);
    }

    #[test]
    fn a_broken_or_missing_file_leaves_the_last_good_one_in_force() {
        let on_disk = TemporaryFile::new("1");
        let file = FollowedFile::open(&on_disk.0, number).unwrap();
        let start = Instant::now();
        on_disk.write("one");
        assert_eq!(all(&file, start + LOOK_AGAIN * 2), [1]);
        std::fs::remove_file(&on_disk.0).unwrap();
        assert_eq!(all(&file, start + LOOK_AGAIN * 4), [1]);
        on_disk.write("2");
        assert_eq!(all(&file, start + LOOK_AGAIN * 6), [2, 1]);
    }

    #[test]
    fn a_file_that_is_broken_at_the_start_is_an_error_that_says_why() {
        let on_disk = TemporaryFile::new("one");
        let error = FollowedFile::open(&on_disk.0, number).err().unwrap();
        assert_eq!(error.to_string(), "it is no number");
        let long = TemporaryFile::new(&"1".repeat(MAX_BYTES as usize + 1));
        assert!(FollowedFile::open(&long.0, number).is_err());
    }
}
