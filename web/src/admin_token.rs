//! The admin token, kept in memory and read again from its file when that changes (a rotated Secret appears there).

use parking_lot::RwLock;
use sfumato_mesh::TokenSource;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// How often the file is read. Its content is compared, not its time: a Secret's mount swaps symbolic links.
const REREAD_INTERVAL: Duration = Duration::from_secs(2);

/// The token cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The file cannot be read.
    #[error("cannot read the admin token from {path}; check --admin-token-file and the file's mode")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Nothing is in it.
    #[error("the admin token file {path} is empty; put the token that the nodes were given into it")]
    Empty {
        /// The file.
        path: PathBuf,
    },
}

/// Reads the token and begins to follow its file. Must be called within a Tokio runtime.
///
/// # Errors
/// When there is no token to begin with. Later failures keep the last good token and are logged.
pub fn follow(path: PathBuf) -> Result<TokenSource, TokenError> {
    let token = Arc::new(RwLock::new(read(&path)?));
    let source = TokenSource::new({
        let token = Arc::clone(&token);
        move || token.read().clone()
    });
    tokio::spawn(async move {
        let mut failed = false;
        loop {
            tokio::time::sleep(REREAD_INTERVAL).await;
            match read(&path) {
                Ok(now) => {
                    failed = false;
                    if *token.read() != now {
                        tracing::info!(path = %path.display(), "the admin token has changed");
                        *token.write() = now;
                    }
                }
                Err(error) if !failed => {
                    failed = true;
                    tracing::warn!(%error, "the last good admin token stays in use");
                }
                Err(_) => {}
            }
        }
    });
    Ok(source)
}

fn read(path: &Path) -> Result<String, TokenError> {
    let text = std::fs::read_to_string(path).map_err(|source| TokenError::Unreadable {
        path: path.to_owned(),
        source,
    })?;
    match text.trim() {
        "" => Err(TokenError::Empty { path: path.to_owned() }),
        token => Ok(token.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_or_empty_token_file_is_named_in_the_error() {
        let dir = std::env::temp_dir().join(format!("sfu-web-token-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let path = dir.join("token");
        assert!(read(&path).unwrap_err().to_string().contains("token"));
        std::fs::write(&path, " \n").unwrap();
        assert!(matches!(read(&path), Err(TokenError::Empty { .. })));
        std::fs::write(&path, "secret\n").unwrap();
        assert_eq!(read(&path).unwrap(), "secret");
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
