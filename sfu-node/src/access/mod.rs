//! Who may publish and play: tokens of clients, checked at the endpoints. A session's own URL is unguessable and needs no
//! token (RFC 9725 section 5 leaves the choice); a CORS preflight needs none either, since it cannot carry one.

mod keys;
mod options;
mod presented;

pub use options::AccessOptions;

use crate::problem::Problem;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use keys::Keys;
use presented::{Fault, MAX_TOKEN, QUERY, presented};
use sfumato_admin_api::files::FollowedFile;
use sfumato_admin_api::server::client_token::{Access, Action, Denied, TokenRules, check};
use sfumato_admin_api::types::StreamName;
use std::path::Path;
use std::time::{Instant, SystemTime};

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
            FollowedFile::open(path, parse).map_err(|error| format!("{flag} {}: {error}", path.display()))
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

    /// The rights of a request, or the answer that refuses it (RFC 6750 section 3).
    pub fn admit(
        &self,
        action: Action,
        stream: &StreamName,
        headers: &HeaderMap,
        query: Option<&str>,
    ) -> Result<Access, Problem> {
        let Self::Tokens { keys, rules } = self else {
            return Ok(Access::default());
        };
        let token = presented(headers, query).map_err(bad_request)?;
        let Some(token) = token else {
            return Err(missing(action));
        };
        let claims = keys::verify(token, keys.versions(Instant::now()).iter()).map_err(invalid)?;
        check(&claims, rules, action, stream, SystemTime::now()).map_err(|denied| match denied {
            Denied::Invalid(why) => invalid(why),
            insufficient @ Denied::Insufficient { .. } => refuse(
                StatusCode::FORBIDDEN,
                "Forbidden",
                Some("insufficient_scope"),
                format!("{insufficient}: ask for a token that does"),
            ),
        })
    }
}

fn bad_request(fault: Fault) -> Problem {
    let detail = match fault {
        Fault::Twice => format!("send the token once: in the Authorization header or as `{QUERY}` in the query"),
        Fault::Unreadable => format!("a token is text of at most {MAX_TOKEN} bytes"),
    };
    refuse(StatusCode::BAD_REQUEST, "Bad request", Some("invalid_request"), detail)
}

/// RFC 6750 section 3.1: a request without any token gets no error code.
fn missing(action: Action) -> Problem {
    let detail = format!(
        "a token that allows to {} is needed: send `Authorization: Bearer TOKEN`, or `?{QUERY}=TOKEN` in the URL",
        action.claim()
    );
    refuse(StatusCode::UNAUTHORIZED, "Unauthorized", None, detail)
}

fn invalid(why: String) -> Problem {
    refuse(StatusCode::UNAUTHORIZED, "Unauthorized", Some("invalid_token"), why)
}

fn refuse(status: StatusCode, title: &'static str, error: Option<&str>, detail: String) -> Problem {
    let mut challenge = "Bearer realm=\"sfumato\"".to_owned();
    if let Some(error) = error {
        // RFC 6750 section 3: neither quotes nor backslashes, nor anything beyond ASCII.
        let plain: String = detail
            .chars()
            .map(|c| match c {
                '"' | '\\' => '\'',
                ' '..='~' => c,
                _ => '?',
            })
            .collect();
        challenge.push_str(&format!(", error=\"{error}\", error_description=\"{plain}\""));
    }
    let challenge = HeaderValue::from_str(&challenge).unwrap_or(HeaderValue::from_static("Bearer realm=\"sfumato\""));
    Problem::new(status, title, detail)
        .field("Authorization")
        .header(header::WWW_AUTHENTICATE, challenge)
}

#[cfg(test)]
#[path = "gate_tests.rs"]
mod tests;
