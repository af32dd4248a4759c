//! Who may publish and play: tokens of clients, checked at the endpoints. A session's own URL is unguessable and needs no
//! token (RFC 9725 section 5 leaves the choice); a CORS preflight needs none either, since it cannot carry one.

mod keys;
mod options;

pub use options::AccessOptions;

use crate::limits::Subject;
use axum::http::HeaderMap;
use keys::Keys;
use sfumato_admin_api::files::{FollowedFile, Rules};
use sfumato_admin_api::server::client_token::{Access, Action, Denied, TokenClaims, TokenRules, check, check_observer};
use sfumato_admin_api::server::presented::presented;
pub use sfumato_admin_api::server::presented::{Fault, MAX_TOKEN, QUERY};
use sfumato_admin_api::types::StreamName;
use std::path::Path;
use std::time::{Instant, SystemTime};

/// Why a request was not let in (RFC 6750 section 3.1).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAdmitted {
    /// The request presents its token in a way that cannot be used.
    #[error("{0}")]
    Unusable(Fault),
    /// There is no token, and one is needed.
    #[error("a token that allows to {} is needed: send `Authorization: Bearer TOKEN`, or `?{QUERY}=TOKEN` in the URL", .0)]
    Missing(&'static str),
    /// The token is not valid: signature, dates, issuer or audience.
    #[error("{0}")]
    Invalid(String),
    /// The token is valid, and does not allow this.
    #[error("{0}: ask for a token that does")]
    Insufficient(String),
}

/// Lets clients in, or not.
pub enum Gate {
    /// No keys were given: everybody may publish and play, and nobody may take over.
    Open,
    /// A token is needed.
    Tokens {
        /// Keys that it may be signed with.
        keys: FollowedFile<Keys>,
        /// What else it must say.
        rules: TokenRules,
    },
}

impl Gate {
    /// Reads the keys that the options name; the error names the flag.
    pub fn open(options: &AccessOptions) -> Result<Self, String> {
        let follow = |flag: &str, path: &Path, parse: fn(&str) -> Result<Keys, String>| {
            let rules = Rules::new(parse).overlapping(options.key_overlap, |before: &Keys, now| {
                !before.are_listed() && !now.are_listed()
            });
            FollowedFile::open(path, rules).map_err(|error| format!("{flag} {}: {error}", path.display()))
        };
        let keys = match (&options.auth_secret_file, &options.auth_jwks_file) {
            (Some(path), _) => follow("--auth-secret-file", path, Keys::from_secrets)?,
            (None, Some(path)) => follow("--auth-jwks-file", path, Keys::from_jwks)?,
            (None, None) => return Ok(Self::Open),
        };
        let rules = TokenRules {
            issuer: options.auth_issuer.clone(),
            audience: options.auth_audience.clone(),
        };
        Ok(Self::Tokens { keys, rules })
    }

    /// The rights of a request, and the subject of its token if that names one.
    pub fn admit(
        &self,
        action: Action,
        stream: &StreamName,
        headers: &HeaderMap,
        query: Option<&str>,
    ) -> Result<(Access, Option<Subject>), NotAdmitted> {
        let Self::Tokens { keys, rules } = self else {
            return Ok((Access::default(), None));
        };
        let token = presented(headers, query).map_err(NotAdmitted::Unusable)?;
        let Some(token) = token else {
            return Err(NotAdmitted::Missing(action.claim()));
        };
        let claims = signed(token, keys)?;
        let access = check(&claims, rules, action, stream, SystemTime::now())?;
        Ok((access, claims.sub.as_deref().map(Subject::from)))
    }

    /// Whether tokens are asked for.
    pub fn is_closed(&self) -> bool {
        matches!(self, Self::Tokens { .. })
    }

    /// Whether the holder of a token, or somebody without one, may see the whole cluster.
    pub fn admit_observer(&self, token: Option<&str>) -> Result<(), NotAdmitted> {
        let Self::Tokens { keys, rules } = self else {
            return Ok(());
        };
        let Some(token) = token else {
            return Err(NotAdmitted::Missing("observe"));
        };
        if token.len() > MAX_TOKEN {
            return Err(NotAdmitted::Unusable(Fault::Unreadable));
        }
        check_observer(&signed(token, keys)?, rules, SystemTime::now()).map_err(NotAdmitted::from)
    }
}

fn signed(token: &str, keys: &FollowedFile<Keys>) -> Result<TokenClaims, NotAdmitted> {
    keys::verify(token, keys.versions(Instant::now()).iter()).map_err(NotAdmitted::Invalid)
}

impl From<Denied> for NotAdmitted {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::Invalid(why) => Self::Invalid(why),
            insufficient @ (Denied::Insufficient { .. } | Denied::MayNotObserve) => {
                Self::Insufficient(insufficient.to_string())
            }
        }
    }
}

#[cfg(test)]
#[path = "gate_tests.rs"]
mod tests;
