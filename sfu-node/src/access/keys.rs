//! Keys that tokens are checked with, and the check of a signature. The algorithm comes from the key, never from the token.

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use sfumato_admin_api::server::client_token::TokenClaims;

/// Shortest secret, in bytes: as long as what HS256 makes of it (RFC 7518 section 3.2).
pub const MIN_SECRET: usize = 32;

/// Keys of one file.
pub struct Keys(Vec<Key>);

struct Key {
    /// Its name in the set.
    id: Option<String>,
    algorithm: Algorithm,
    key: DecodingKey,
}

impl Keys {
    /// A secret a line.
    pub fn from_secrets(text: &str) -> Result<Self, String> {
        let secrets = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let keys = secrets
            .map(|secret| {
                if secret.len() < MIN_SECRET {
                    return Err(format!(
                        "a secret of {} characters is too short: write at least {MIN_SECRET}, for example by `openssl rand -hex 32`",
                        secret.len()
                    ));
                }
                Ok(Key {
                    id: None,
                    algorithm: Algorithm::HS256,
                    key: DecodingKey::from_secret(secret.as_bytes()),
                })
            })
            .collect::<Result<Vec<Key>, String>>()?;
        if keys.is_empty() {
            return Err("the file holds no secret: write one on its first line".to_owned());
        }
        Ok(Self(keys))
    }

    /// A JSON Web Key Set (RFC 7517). Keys for other uses and of other kinds are passed over (section 5).
    pub fn from_jwks(text: &str) -> Result<Self, String> {
        #[derive(serde::Deserialize)]
        struct Set {
            keys: Vec<serde_json::Value>,
        }
        let set: Set = serde_json::from_str(text).map_err(|error| {
            format!(
                "this is no JSON Web Key Set ({error}): write {{\"keys\": [...]}} with the public keys of whoever signs the tokens"
            )
        })?;
        let mut passed_over = Vec::new();
        let mut keys = Vec::new();
        for (index, value) in set.keys.into_iter().enumerate() {
            match public_key(value) {
                Ok(key) => keys.push(key),
                Err(why) => passed_over.push(format!("keys[{index}]: {why}")),
            }
        }
        if keys.is_empty() {
            let why = if passed_over.is_empty() {
                "`keys` is empty".to_owned()
            } else {
                passed_over.join("; ")
            };
            return Err(format!(
                "the set has no key that tokens can be checked with, so put a public key for RS256, ES256 or EdDSA into it: {why}"
            ));
        }
        for why in passed_over {
            tracing::warn!("passing over a key of the set: {why}");
        }
        Ok(Self(keys))
    }

    /// Whether the file itself says which keys are valid: it lists several, or calls its only one by a name.
    pub fn are_listed(&self) -> bool {
        self.0.len() > 1 || self.0.iter().any(|key| key.id.is_some())
    }

    fn candidates(&self, id: Option<&str>, algorithm: Algorithm) -> impl Iterator<Item = &DecodingKey> {
        let alone = self.0.len() == 1;
        self.0
            .iter()
            .filter(move |key| {
                // Secrets have no names; a set of one key needs none.
                let named = match (&key.id, id) {
                    (None, _) => true,
                    (Some(ours), Some(theirs)) => ours == theirs,
                    (Some(_), None) => alone,
                };
                named && key.algorithm == algorithm
            })
            .map(|key| &key.key)
    }
}

fn public_key(value: serde_json::Value) -> Result<Key, String> {
    let jwk: Jwk = serde_json::from_value(value).map_err(|error| error.to_string())?;
    if jwk
        .common
        .public_key_use
        .as_ref()
        .is_some_and(|of| *of != PublicKeyUse::Signature)
    {
        return Err("it is not for signatures (`use`)".to_owned());
    }
    let (algorithm, named) = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => (Algorithm::RS256, KeyAlgorithm::RS256),
        AlgorithmParameters::EllipticCurve(curve) if curve.curve == EllipticCurve::P256 => {
            (Algorithm::ES256, KeyAlgorithm::ES256)
        }
        AlgorithmParameters::OctetKeyPair(pair) if pair.curve == EllipticCurve::Ed25519 => {
            (Algorithm::EdDSA, KeyAlgorithm::EdDSA)
        }
        AlgorithmParameters::OctetKey(_) => {
            return Err("it is a shared secret: put that into a file of its own (--auth-secret-file)".to_owned());
        }
        _ => return Err("its kind or curve is not supported".to_owned()),
    };
    if jwk.common.key_algorithm.is_some_and(|said| said != named) {
        return Err("its `alg` is not supported".to_owned());
    }
    let key = DecodingKey::from_jwk(&jwk).map_err(|error| error.to_string())?;
    Ok(Key {
        id: jwk.common.key_id,
        algorithm,
        key,
    })
}

/// Claims of a token that one of the keys has signed. Dates and rights are not looked at here. The error is a sentence for
/// the client.
pub fn verify<'a>(token: &str, keys: impl Iterator<Item = &'a Keys>) -> Result<TokenClaims, String> {
    let header = decode_header(token).map_err(|_| "the token is no signed JSON Web Token".to_owned())?;
    // RFC 7515 section 4.1.11: an extension that must be understood, and no extension is understood here.
    if header.crit.is_some() {
        return Err("the token needs an extension that is not supported (`crit`)".to_owned());
    }
    let rules = {
        let mut rules = Validation::new(header.alg);
        // The decision about dates, issuer and audience is `sfumato_admin_api::server::client_token::check`, with a clock of its own.
        rules.required_spec_claims.clear();
        rules.validate_exp = false;
        rules.validate_aud = false;
        rules
    };
    let mut known = false;
    for key in keys.flat_map(|keys| keys.candidates(header.kid.as_deref(), header.alg)) {
        known = true;
        match decode::<TokenClaims>(token, key, &rules) {
            Ok(decoded) => return Ok(decoded.claims),
            Err(error) => match error.kind() {
                ErrorKind::InvalidSignature => {}
                ErrorKind::Json(why) => return Err(format!("the token's claims cannot be read: {why}")),
                _ => return Err("the token is malformed".to_owned()),
            },
        }
    }
    Err(if known {
        "the token's signature is wrong: it was signed with another key".to_owned()
    } else {
        "this node has no key of the token's `kid` and `alg`".to_owned()
    })
}

#[cfg(test)]
#[path = "keys_tests.rs"]
mod tests;
