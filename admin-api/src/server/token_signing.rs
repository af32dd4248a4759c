//! Makes a client's token with a secret that media nodes share ([`super::client_token`] says what tokens hold).

use super::client_token::TokenClaims;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use std::path::{Path, PathBuf};

/// Shortest secret, in bytes, as media nodes demand it (RFC 7518 section 3.2).
const MIN_SECRET: usize = 32;

/// Why no token could be made.
#[derive(Debug, thiserror::Error)]
pub enum SigningError {
    /// The file cannot be read.
    #[error("cannot read the secret in {path}: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// Media nodes refuse such a secret.
    #[error(
        "the first line of {path} holds {length} characters: a secret has at least {MIN_SECRET}, for example from `openssl rand -hex 32`"
    )]
    Short {
        /// The file.
        path: PathBuf,
        /// Characters on its first line.
        length: usize,
    },
    /// They do not become JSON.
    #[error("the token's claims cannot be written: {0}")]
    Claims(#[from] serde_json::Error),
}

/// A token with these claims, signed by the first line of a file of secrets.
///
/// # Errors
/// When the secret cannot be used.
pub fn sign(claims: &TokenClaims, secret_file: &Path) -> Result<String, SigningError> {
    let path = || secret_file.to_owned();
    let text =
        std::fs::read_to_string(secret_file).map_err(|source| SigningError::Unreadable { path: path(), source })?;
    // Nodes accept a secret a line; the first is the current one.
    let secret = text
        .lines()
        .map(str::trim)
        .find(|line| !line.is_empty())
        .unwrap_or_default();
    if secret.len() < MIN_SECRET {
        return Err(SigningError::Short {
            path: path(),
            length: secret.len(),
        });
    }
    Ok(signed(&serde_json::to_vec(claims)?, secret.as_bytes()))
}

/// A JSON Web Token signed with HS256 (RFC 7515 section 3.1). Written here, because the library that verifies tokens in the nodes would
/// bring a second library of cryptography into the programs that only sign.
fn signed(claims: &[u8], secret: &[u8]) -> String {
    let header = URL_SAFE_NO_PAD.encode(r#"{"typ":"JWT","alg":"HS256"}"#);
    let text = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims));
    let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), text.as_bytes());
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
}
