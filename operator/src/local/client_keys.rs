//! What publishers' and viewers' tokens are checked with.

use crate::cli::LocalArgs;
use std::path::{Path, PathBuf};

/// File that holds the keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientKeys {
    /// A shared secret.
    Secret(PathBuf),
    /// A JSON Web Key Set.
    Jwks(PathBuf),
}

impl ClientKeys {
    /// Those that the options name.
    #[must_use]
    pub fn of(args: &LocalArgs) -> Option<Self> {
        // The nodes are told an absolute path: it is in their command lines, which people copy.
        let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let secret = args
            .auth_secret_file
            .as_deref()
            .map(|path| Self::Secret(absolute(path)));
        secret.or_else(|| args.auth_jwks_file.as_deref().map(|path| Self::Jwks(absolute(path))))
    }
}
