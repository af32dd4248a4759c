//! The admin token: a file that is read again when it changes.

use crate::followed_file::FollowedFile;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

/// Tokens of a file: one a line, the first is current and is sent to peers, the others are accepted as well, and so are
/// those that the file held before its last change.
pub struct TokenFile(FollowedFile<Vec<String>>);

impl TokenFile {
    /// Reads the file; an empty one is an error, since it would let nobody in.
    pub fn open(path: &Path) -> io::Result<Arc<Self>> {
        Ok(Arc::new(Self(FollowedFile::open(path, parse)?)))
    }

    /// Tokens that are accepted now.
    pub fn tokens(&self) -> Vec<String> {
        self.0.versions(Instant::now()).iter().flatten().cloned().collect()
    }

    /// The token to present to peers.
    pub fn current(&self) -> String {
        self.tokens().into_iter().next().unwrap_or_default()
    }
}

fn parse(text: &str) -> Result<Vec<String>, String> {
    let tokens: Vec<String> = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .map(str::to_owned)
        .collect();
    if tokens.is_empty() {
        return Err("the file holds no token: put one on its first line".to_owned());
    }
    Ok(tokens)
}
