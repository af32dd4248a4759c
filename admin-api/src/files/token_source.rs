//! Where the admin token of a client comes from.

use std::fmt;
use std::sync::Arc;

/// Where the admin token comes from. Asked on every call, so that a rotated secret is used without a restart.
#[derive(Clone)]
pub struct TokenSource(Arc<dyn Fn() -> String + Send + Sync>);

impl TokenSource {
    /// Asks `read` on every call; it should answer from memory.
    #[must_use]
    pub fn new(read: impl Fn() -> String + Send + Sync + 'static) -> Self {
        Self(Arc::new(read))
    }

    /// The token at present.
    #[must_use]
    pub fn current(&self) -> String {
        (self.0)()
    }

    /// Always the same token.
    #[must_use]
    pub fn fixed(token: impl Into<String>) -> Self {
        let token = token.into();
        Self::new(move || token.clone())
    }
}

impl fmt::Debug for TokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenSource(redacted)")
    }
}
