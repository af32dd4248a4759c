//! Secrets that a manifest names: which there are, and what is wrong with what is in them. Pure.

use crate::cluster::remark::Remark;
use crate::controller::build::Wish;
use crate::crd::auth::TokenKeys;
use crate::crd::redis::SecretKeyRef;
use crate::crd::web::{TLS_CERT, TLS_KEY};
use k8s_openapi::api::core::v1::Secret;

/// Shortest secret for tokens, in bytes, as nodes demand it (RFC 7518 section 3.2).
const MIN_TOKEN_SECRET: usize = 32;
/// First line of a certificate in PEM.
const BEGIN_CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----";

/// A key of a Secret that a manifest names.
#[derive(Debug, PartialEq, Eq)]
pub struct Named<'a> {
    /// Path of the field that names it.
    pub field: String,
    /// Name of the Secret.
    pub name: &'a str,
    key: &'a str,
    holds: Holds,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holds {
    RedisUrl,
    RedisCa,
    TokenSecret,
    TokenKeys,
    TurnPassword,
    TurnSecret,
    Certificate,
    PrivateKey,
}

/// All that a manifest names.
#[must_use]
pub fn named(wish: &Wish) -> Vec<Named<'_>> {
    fn named<'a>(field: &str, reference: &'a SecretKeyRef, holds: Holds) -> Named<'a> {
        Named {
            field: field.to_owned(),
            name: &reference.name,
            key: &reference.key,
            holds,
        }
    }
    let mut all = Vec::new();
    if let Some(external) = &wish.spec.redis.external {
        let field = "spec.redis.external.urlSecretRef";
        all.push(named(field, &external.url_secret_ref, Holds::RedisUrl));
        let field = "spec.redis.external.caSecretRef";
        let ca = external.ca_secret_ref.as_ref();
        all.extend(ca.map(|ca| named(field, ca, Holds::RedisCa)));
    }
    all.extend(wish.spec.auth.keys().map(|keys| {
        let holds = match keys {
            TokenKeys::Secret(_) => Holds::TokenSecret,
            TokenKeys::Jwks(_) => Holds::TokenKeys,
        };
        named(keys.field(), keys.reference(), holds)
    }));
    for (index, server) in wish.spec.media.ice_servers.iter().enumerate() {
        let field = format!("spec.media.iceServers[{index}].credentialSecretRef");
        let password = server.credential_secret_ref.as_ref();
        all.extend(password.map(|from| named(&field, from, Holds::TurnPassword)));
        let field = format!("spec.media.iceServers[{index}].sharedSecretRef");
        let shared = server.shared_secret_ref.as_ref();
        all.extend(shared.map(|from| named(&field, from, Holds::TurnSecret)));
    }
    if let Some(tls) = &wish.spec.web.tls {
        let keys = [(TLS_CERT, Holds::Certificate), (TLS_KEY, Holds::PrivateKey)];
        all.extend(keys.map(|(key, holds)| Named {
            field: "spec.web.tls.secretName".to_owned(),
            name: &tls.secret_name,
            key,
            holds,
        }));
    }
    all
}

impl Named<'_> {
    /// What is wrong with it, and what to do; `live` is the Secret, if there is one.
    #[must_use]
    pub fn trouble(&self, live: Option<&Secret>) -> Option<Remark> {
        let Self {
            field,
            name,
            key,
            holds,
        } = self;
        let Some(secret) = live else {
            let keys = match holds {
                Holds::Certificate | Holds::PrivateKey => {
                    format!("keys {TLS_CERT} and {TLS_KEY} (type kubernetes.io/tls)")
                }
                _ => format!("key {key}"),
            };
            let message = format!("{field}: there is no Secret {name} in this namespace: create it with the {keys}");
            return Some(Remark::new("SecretMissing", message));
        };
        let value = secret.data.as_ref().and_then(|data| data.get(*key));
        let value = value.map(|value| value.0.trim_ascii()).unwrap_or_default();
        if value.is_empty() {
            let what = holds.what();
            let message = format!("{field}: the Secret {name} has no key {key}, or it is empty: put {what} into it");
            return Some(Remark::new("SecretMissing", message));
        }
        let problem = holds.problem(value)?;
        Some(Remark::new(
            "SecretUnusable",
            format!("{field}: the key {key} of the Secret {name} {problem}"),
        ))
    }
}

impl Holds {
    fn what(self) -> &'static str {
        match self {
            Self::RedisUrl => "the URL of Redis",
            Self::RedisCa => "the CA of Redis, PEM,",
            Self::TokenSecret => "the secret that tokens are signed with",
            Self::TokenKeys => "a JSON Web Key Set",
            Self::TurnPassword => "the password of the TURN server",
            Self::TurnSecret => "the secret that is shared with the TURN server",
            Self::Certificate => "the certificate chain of the front door, PEM,",
            Self::PrivateKey => "the key of the certificate, PEM,",
        }
    }

    /// What nodes or front doors would not start with.
    fn problem(self, value: &[u8]) -> Option<&'static str> {
        let text = std::str::from_utf8(value).unwrap_or_default();
        let is_password = |c: char| c.is_ascii_graphic() && !"\",;<>\\".contains(c);
        match self {
            Self::RedisUrl if !text.starts_with("redis://") && !text.starts_with("rediss://") => {
                Some("is no URL of Redis: write redis://:PASSWORD@HOST:6379/0, or rediss:// for TLS")
            }
            Self::RedisCa if !text.contains(BEGIN_CERTIFICATE) => Some("holds no certificate: put the CA into it, PEM"),
            Self::Certificate if !text.contains(BEGIN_CERTIFICATE) => {
                Some("holds no certificate: put the chain into it, PEM, that of the front door first")
            }
            Self::PrivateKey if !has_private_key(text) => {
                Some("holds no key that the front door can read: put one into it, PEM, without a passphrase")
            }
            Self::TokenSecret if !are_long_enough(text) => Some(
                "is too short: a secret has at least 32 characters on each line, for example from `openssl rand -hex 32`",
            ),
            Self::TokenKeys if !has_public_key(text) => Some(
                "is no JSON Web Key Set with a key for RS256, ES256 or EdDSA: write {\"keys\": [...]} with the public keys of whoever signs the tokens",
            ),
            Self::TurnPassword | Self::TurnSecret if !text.chars().all(is_password) => Some(
                "has a character that clients would misread: use printable ASCII without spaces, quotes, `,`, `;`, `<`, `>` and `\\`",
            ),
            _ => None,
        }
    }
}

/// Whether there is a secret a line, and each is long enough.
fn are_long_enough(text: &str) -> bool {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty()).peekable();
    lines.peek().is_some() && lines.all(|line| line.len() >= MIN_TOKEN_SECRET)
}

/// Whether there is a private key in PEM, of a kind that front doors read.
fn has_private_key(text: &str) -> bool {
    let kinds = ["PRIVATE KEY", "EC PRIVATE KEY", "RSA PRIVATE KEY"];
    let begins = kinds.map(|kind| format!("-----BEGIN {kind}-----"));
    begins.iter().any(|begin| text.contains(begin))
}

/// Whether a JSON Web Key Set has a key of a kind that nodes check tokens with. Nodes look closer.
fn has_public_key(text: &str) -> bool {
    let set: serde_json::Value = serde_json::from_str(text).unwrap_or_default();
    let keys = set.get("keys").and_then(serde_json::Value::as_array);
    keys.into_iter().flatten().any(|key| {
        let kind = key.get("kty").and_then(serde_json::Value::as_str);
        matches!(kind, Some("RSA" | "EC" | "OKP"))
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::validate::validate;
    use super::*;
    use crate::manifest::defaults::Defaults;
    use serde_json::{Value, json};

    fn wish() -> Wish {
        let from = |key: &str| json!({ "name": "mine", "key": key });
        let object = json!({
            "apiVersion": "sfumato.dev/v1alpha1", "kind": "SfuCluster",
            "metadata": { "name": "live", "namespace": "media", "uid": "u" },
            "spec": {
                "redis": { "external": { "urlSecretRef": from("url"), "caSecretRef": from("ca") } },
                "auth": { "mode": "Jwt", "jwksSecretRef": from("keys") },
                "media": { "iceServers": [
                    { "urls": ["stun:a"] },
                    { "urls": ["turn:b"], "username": "u", "credentialSecretRef": from("password") },
                    { "urls": ["turn:c"], "sharedSecretRef": from("secret") },
                ] },
                "web": { "tls": { "secretName": "mine" } },
            },
        });
        validate(&serde_json::from_value(object).unwrap(), &Defaults::default()).unwrap()
    }

    #[allow(clippy::needless_pass_by_value, reason = "a test reads better without the ampersand")]
    fn secret(data: Value) -> Secret {
        serde_json::from_value(json!({ "stringData": {}, "data": data })).unwrap()
    }

    #[test]
    fn every_secret_of_a_manifest_is_looked_at() {
        let wish = wish();
        let fields: Vec<String> = named(&wish).into_iter().map(|named| named.field).collect();
        assert_eq!(
            fields,
            [
                "spec.redis.external.urlSecretRef",
                "spec.redis.external.caSecretRef",
                "spec.auth.jwksSecretRef",
                "spec.media.iceServers[1].credentialSecretRef",
                "spec.media.iceServers[2].sharedSecretRef",
                "spec.web.tls.secretName",
                "spec.web.tls.secretName"
            ]
        );
    }

    #[test]
    fn a_missing_secret_a_missing_key_and_an_unusable_one_are_told_apart() {
        let wish = wish();
        let url = &named(&wish)[0];
        let told = |live: Option<&Secret>| url.trouble(live).unwrap();
        assert!(told(None).message.contains("there is no Secret mine"));
        // Base64 of a space, of `http://a` and of `redis://a`.
        assert_eq!(told(Some(&secret(json!({ "url": "IA==" })))).reason, "SecretMissing");
        let Remark { reason, message } = told(Some(&secret(json!({ "url": "aHR0cDovL2E=" }))));
        assert_eq!(reason, "SecretUnusable");
        assert!(
            message.starts_with("spec.redis.external.urlSecretRef: the key url of the Secret mine"),
            "{message}"
        );
        assert_eq!(url.trouble(Some(&secret(json!({ "url": "cmVkaXM6Ly9h" })))), None);
    }

    #[test]
    fn a_secret_for_https_is_asked_for_with_both_of_its_keys() {
        let wish = wish();
        let told = |live: Option<&Secret>| {
            let all = named(&wish);
            let mut found = all.iter().filter(|named| named.field == "spec.web.tls.secretName");
            found.find_map(|named| named.trouble(live))
        };
        assert_eq!(
            told(None).unwrap().message,
            "spec.web.tls.secretName: there is no Secret mine in this namespace: create it with the keys tls.crt and tls.key \
             (type kubernetes.io/tls)"
        );
        let certificate = "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0t";
        let half = secret(json!({ "tls.crt": certificate }));
        assert!(told(Some(&half)).unwrap().message.contains("mine has no key tls.key"));
        // `-----BEGIN CERTIFICATE-----` and `-----BEGIN PRIVATE KEY-----`.
        let key = "LS0tLS1CRUdJTiBQUklWQVRFIEtFWS0tLS0t";
        assert_eq!(
            told(Some(&secret(json!({ "tls.crt": certificate, "tls.key": key })))),
            None
        );
        let swapped = told(Some(&secret(json!({ "tls.crt": key, "tls.key": certificate })))).unwrap();
        assert_eq!(swapped.reason, "SecretUnusable");
        assert!(
            swapped.message.contains("the key tls.crt of the Secret mine"),
            "{}",
            swapped.message
        );
    }

    #[test]
    fn what_nodes_would_not_start_with_is_named() {
        let long = "0123456789abcdef0123456789abcdef";
        for (holds, bad, good) in [
            (Holds::RedisCa, "MII", "-----BEGIN CERTIFICATE-----"),
            (Holds::TokenSecret, "short", long),
            (
                Holds::TokenSecret,
                &format!("{long}\nshort"),
                &format!("{long}\n\n{long}\n"),
            ),
            (Holds::TokenKeys, "keys", "{\"keys\": [{\"kty\": \"OKP\"}]}"),
            (
                Holds::TokenKeys,
                "{}",
                "{\"keys\": [{\"kty\": \"oct\"}, {\"kty\": \"RSA\"}]}",
            ),
            (Holds::TokenKeys, "{\"keys\": []}", "{\"keys\": [1, {\"kty\": \"EC\"}]}"),
            (Holds::TurnPassword, "a b", "a.b/c+d="),
            (Holds::TurnSecret, "a,b", "a.b/c+d="),
            (Holds::RedisUrl, "localhost", "rediss://localhost"),
            (Holds::Certificate, "MII", "-----BEGIN CERTIFICATE-----"),
            (
                Holds::PrivateKey,
                "-----BEGIN ENCRYPTED PRIVATE KEY-----",
                "-----BEGIN EC PARAMETERS-----\n-----BEGIN EC PRIVATE KEY-----",
            ),
        ] {
            assert!(holds.problem(bad.as_bytes()).is_some(), "{holds:?}");
            assert_eq!(holds.problem(good.as_bytes()), None, "{holds:?}");
        }
    }
}
