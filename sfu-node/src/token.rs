//! The admin token: a file that is read again when it changes, so that a secret rotates without a restart.

use parking_lot::Mutex;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

/// The file is looked at again after this time.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Tokens of a file: one a line, the first is current and is sent to peers, the second is still accepted.
pub struct TokenFile {
    path: PathBuf,
    state: Mutex<State>,
}

struct State {
    looked: Instant,
    modified: Option<SystemTime>,
    tokens: Vec<String>,
}

impl TokenFile {
    /// Reads the file; an empty one is an error, since it would let nobody in.
    pub fn open(path: &Path) -> io::Result<Arc<Self>> {
        let tokens = read(path)?;
        if tokens.is_empty() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the file holds no token"));
        }
        let modified = fs::metadata(path).and_then(|m| m.modified()).ok();
        let state = Mutex::new(State {
            looked: Instant::now(),
            modified,
            tokens,
        });
        Ok(Arc::new(Self {
            path: path.to_owned(),
            state,
        }))
    }

    /// Tokens that are accepted now. A file that cannot be read leaves the last good ones in force.
    pub fn tokens(&self) -> Vec<String> {
        let mut state = self.state.lock();
        if state.looked.elapsed() >= LOOK_AGAIN {
            state.looked = Instant::now();
            let modified = fs::metadata(&self.path).and_then(|m| m.modified()).ok();
            if modified != state.modified {
                match read(&self.path) {
                    Ok(tokens) if !tokens.is_empty() => {
                        tracing::info!("admin token read again");
                        state.tokens = tokens;
                        state.modified = modified;
                    }
                    Ok(_) => {
                        tracing::warn!(path = %self.path.display(), "the admin token file is empty; the old one stays");
                    }
                    Err(error) => {
                        tracing::warn!(path = %self.path.display(), %error, "the admin token stays as it was");
                    }
                }
            }
        }
        state.tokens.clone()
    }

    /// The token to present to peers.
    pub fn current(&self) -> String {
        self.tokens().into_iter().next().unwrap_or_default()
    }
}

fn read(path: &Path) -> io::Result<Vec<String>> {
    Ok(fs::read_to_string(path)?
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .map(str::to_owned)
        .collect())
}
