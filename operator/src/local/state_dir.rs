//! The directory of one run: logs, the admin token, Redis' working directory and password. Only its owner may look inside.

use rand::RngExt;
use rand::distr::Alphanumeric;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Letters of the admin token, and of the password of Redis: 62 possibilities each, 256 bits and more together.
pub const TOKEN_LENGTH: usize = 44;

#[derive(Debug)]
pub struct StateDir {
    root: PathBuf,
    token: String,
    temporary: bool,
}

#[derive(Debug, thiserror::Error)]
#[error("cannot prepare {path}: {source}; name another directory with --state-dir")]
pub struct StateDirError {
    path: PathBuf,
    source: io::Error,
}

impl StateDir {
    /// Prepares `wanted`, which then stays, or a new directory that [`Self::remove_if_temporary`] removes.
    ///
    /// # Errors
    /// When the directory or a file in it cannot be written.
    pub fn create(wanted: Option<&Path>) -> Result<Self, StateDirError> {
        let root = match wanted {
            Some(path) => std::path::absolute(path).unwrap_or_else(|_| path.to_owned()),
            None => std::env::temp_dir().join(format!("sfumato-local-{}", random_text(8))),
        };
        let state = Self {
            root,
            token: random_text(TOKEN_LENGTH),
            temporary: wanted.is_none(),
        };
        state.prepare().map_err(|source| StateDirError {
            path: state.root.clone(),
            source,
        })?;
        Ok(state)
    }

    fn prepare(&self) -> io::Result<()> {
        // A temporary directory must be new: somebody else may have made one of that name to read the token.
        DirBuilder::new()
            .recursive(!self.temporary)
            .mode(0o700)
            .create(&self.root)?;
        for directory in [self.logs(), self.redis()] {
            DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        }
        write_secret(&self.token_file(), &self.token)?;
        write_secret(&self.front_door_token_file(), &random_text(TOKEN_LENGTH))
    }

    /// Writes where nodes find Redis, and what a Redis of ours is started with. Neither is an argument: everybody who may
    /// list processes sees those.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn write_redis(&self, url: &str, config: Option<&str>) -> Result<(), StateDirError> {
        let write =
            |path: PathBuf, text: &str| write_secret(&path, text).map_err(|source| StateDirError { path, source });
        write(self.redis_url_file(), url)?;
        match config {
            Some(config) => write(self.redis_config(), config),
            None => Ok(()),
        }
    }

    /// Where the logs are, a file a process.
    #[must_use]
    pub fn logs(&self) -> PathBuf {
        self.root.join("logs")
    }

    /// Redis' working directory.
    #[must_use]
    pub fn redis(&self) -> PathBuf {
        self.root.join("redis")
    }

    /// The URL of Redis, with its password.
    #[must_use]
    pub fn redis_url_file(&self) -> PathBuf {
        self.root.join("redis-url")
    }

    /// What tokens of publishers and viewers are signed with, if nobody names another: that of a run before is used again, so that
    /// its tokens stay good.
    ///
    /// # Errors
    /// When it cannot be written, or what is there cannot be read: it is not replaced then, since tokens would end with it.
    pub fn auth_secret(&self) -> Result<PathBuf, StateDirError> {
        let path = self.root.join("auth-secret");
        let failed = |source| StateDirError {
            path: path.clone(),
            source,
        };
        match std::fs::read_to_string(&path) {
            Ok(text) if !text.trim().is_empty() => {}
            Err(source) if source.kind() != io::ErrorKind::NotFound => return Err(failed(source)),
            _ => write_secret(&path, &format!("{}\n", random_text(TOKEN_LENGTH))).map_err(failed)?,
        }
        Ok(path)
    }

    /// What a Redis of ours is started with.
    #[must_use]
    pub fn redis_config(&self) -> PathBuf {
        self.redis().join("redis.conf")
    }

    #[must_use]
    pub fn token_file(&self) -> PathBuf {
        self.root.join("admin-token")
    }

    /// What the front door presents to nodes, drawn anew for each run: it may look at them, and vouch for clients' addresses.
    #[must_use]
    pub fn front_door_token_file(&self) -> PathBuf {
        self.root.join("front-door-token")
    }

    /// The admin token, drawn anew for each run.
    #[must_use]
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Whether the directory goes away with this run.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        self.temporary
    }

    /// Removes the directory if nobody asked for it by name.
    pub fn remove_if_temporary(&self) {
        if self.temporary {
            // What cannot be removed is litter below /tmp, not a failure of the run.
            let _ = std::fs::remove_dir_all(&self.root);
        }
    }
}

/// A file that only its owner may read, made anew: an older one may have been open to others.
fn write_secret(path: &Path, text: &str) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file: File = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())
}

/// Letters and digits, drawn by chance.
pub fn random_text(length: usize) -> String {
    rand::rng()
        .sample_iter(Alphanumeric)
        .take(length)
        .map(char::from)
        .collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn only_the_owner_may_look_inside_and_tokens_differ() {
        let (a, b) = (StateDir::create(None).unwrap(), StateDir::create(None).unwrap());
        assert_eq!(
            (mode(&a.root), mode(&a.logs()), mode(&a.token_file())),
            (0o700, 0o700, 0o600)
        );
        assert_eq!(mode(&a.front_door_token_file()), 0o600);
        let front_door = std::fs::read_to_string(a.front_door_token_file()).unwrap();
        assert!(front_door.len() == TOKEN_LENGTH && front_door != a.token());
        assert_eq!(std::fs::read_to_string(a.token_file()).unwrap(), a.token());
        assert_ne!(a.token(), b.token());
        for state in [a, b] {
            state.remove_if_temporary();
            assert!(!state.root.exists());
        }
    }

    #[test]
    fn a_named_directory_stays_and_can_be_used_again() {
        let parent = StateDir::create(None).unwrap();
        let wanted = parent.root.join("a/b");
        for _ in 0..2 {
            let state = StateDir::create(Some(&wanted)).unwrap();
            state.remove_if_temporary();
            assert!(wanted.join("admin-token").exists());
        }
        let secret = || {
            let path = StateDir::create(Some(&wanted)).unwrap().auth_secret().unwrap();
            (mode(&path), std::fs::read_to_string(path).unwrap())
        };
        let (mode, first) = secret();
        assert_eq!((mode, first.trim().len()), (0o600, TOKEN_LENGTH));
        assert_eq!(secret().1, first);
        let unreadable = [0xff_u8; TOKEN_LENGTH];
        std::fs::write(wanted.join("auth-secret"), unreadable).unwrap();
        let error = StateDir::create(Some(&wanted)).unwrap().auth_secret().unwrap_err();
        assert!(error.to_string().contains("auth-secret"), "{error}");
        assert_eq!(std::fs::read(wanted.join("auth-secret")).unwrap(), unreadable);
        parent.remove_if_temporary();
    }
}
