//! The admin token: a file that is read again when it changes.

use crate::files::FollowedFile;
use crate::files::Rules;
use crate::files::TokenSource;
use crate::server::admin_token::FRONT_DOOR_PREFIX;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Tokens of a file: one a line, the first is current and is sent to peers, the others are accepted as well.
///
/// When the only token is replaced by another one, it is accepted for the overlap. A file with several lines says itself
/// which tokens are valid: one that is not listed any more is out at once.
pub struct TokenFile(FollowedFile<Vec<String>>);

impl TokenFile {
    /// Reads the file; an empty one is an error, since it would let nobody in.
    ///
    /// # Errors
    /// When it cannot be read, or holds no token.
    pub fn open(path: &Path, overlap: Duration) -> io::Result<Arc<Self>> {
        let rules = Rules::new(parse).overlapping(overlap, |before, now| is_single(before) && is_single(now));
        Ok(Arc::new(Self(FollowedFile::open(path, rules)?)))
    }

    /// Tokens that are accepted now.
    #[must_use]
    pub fn tokens(&self) -> Vec<String> {
        self.0.versions(Instant::now()).iter().flatten().cloned().collect()
    }

    /// The current token, for a client of the admin API.
    #[must_use]
    pub fn source(self: &Arc<Self>) -> TokenSource {
        let file = Arc::clone(self);
        TokenSource::new(move || file.current())
    }

    /// The token to present to peers.
    #[must_use]
    pub fn current(&self) -> String {
        self.tokens().into_iter().next().unwrap_or_default()
    }
}

/// Whether it names one admin token. That of the front door may stand beside it, for nodes of the release before.
fn is_single(tokens: &[String]) -> bool {
    let admin = tokens.iter().filter(|token| !token.starts_with(FRONT_DOOR_PREFIX));
    tokens.len() == 1 || admin.count() == 1
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_is_presented_and_the_others_are_accepted() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "new\n\n old \n").unwrap();
        let tokens = TokenFile::open(file.path(), Duration::ZERO).unwrap();
        assert_eq!(tokens.current(), "new");
        assert_eq!(tokens.tokens(), ["new", "old"]);
    }

    #[test]
    fn one_admin_token_beside_that_of_the_front_door_is_one() {
        let single = |lines: &[&str]| is_single(&lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>());
        assert!(single(&["a"]) && single(&["a", "front-door-x"]) && single(&["front-door-x"]));
        assert!(!single(&["a", "b"]) && !single(&["a", "b", "front-door-x"]));
    }

    #[test]
    fn a_file_without_a_token_is_refused_with_what_to_do() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), " \n").unwrap();
        let error = TokenFile::open(file.path(), Duration::ZERO).err().unwrap();
        assert_eq!(error.to_string(), "the file holds no token: put one on its first line");
    }
}
