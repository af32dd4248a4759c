//! Who may publish and watch, in a manifest.

use super::redis::SecretKeyRef;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Who may publish and watch: everybody, or whoever has a token.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.mode != 'Jwt' || has(self.secretRef) != has(self.jwksSecretRef)")
        .message("mode Jwt needs exactly one of secretRef (a shared secret) and jwksSecretRef (public keys)"),
    validation = Rule::new("self.mode == 'Jwt' || !(has(self.secretRef) || has(self.jwksSecretRef) || has(self.issuer) || has(self.audience))")
        .message("secretRef, jwksSecretRef, issuer and audience check tokens, and mode None asks for none: set mode to Jwt")
)]
pub struct AuthSpec {
    /// `None` lets everybody publish and watch; `Jwt` asks for a JSON Web Token that names the stream.
    #[serde(default)]
    pub mode: AuthMode,
    /// Key of a Secret with the secret that tokens are signed with (HS256): at least 32 characters on a line. The first
    /// line is current, further ones are accepted too. It may change without a restart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretKeyRef>,
    /// Key of a Secret with a JSON Web Key Set, for tokens signed by RS256, ES256 or EdDSA. It may change without a restart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks_secret_ref: Option<SecretKeyRef>,
    /// Issuer that every token must name (`iss`). By default any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(min = 1, max = 512))]
    pub issuer: Option<String>,
    /// Audience that every token must be for (`aud`). By default tokens must name none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(min = 1, max = 512))]
    pub audience: Option<String>,
}

/// Whether tokens are asked for.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AuthMode {
    #[default]
    None,
    Jwt,
}

/// What tokens are checked with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKeys<'a> {
    /// A shared secret.
    Secret(&'a SecretKeyRef),
    /// A JSON Web Key Set.
    Jwks(&'a SecretKeyRef),
}

impl<'a> TokenKeys<'a> {
    /// Where the keys are.
    #[must_use]
    pub fn reference(self) -> &'a SecretKeyRef {
        match self {
            Self::Secret(reference) | Self::Jwks(reference) => reference,
        }
    }

    /// Path of the field that names them.
    #[must_use]
    pub fn field(self) -> &'static str {
        match self {
            Self::Secret(_) => "spec.auth.secretRef",
            Self::Jwks(_) => "spec.auth.jwksSecretRef",
        }
    }
}

impl AuthSpec {
    /// What tokens are checked with; `None` lets everybody in. The rules have seen to it that `Jwt` has keys.
    #[must_use]
    pub fn keys(&self) -> Option<TokenKeys<'_>> {
        let secret = self.secret_ref.as_ref().map(TokenKeys::Secret);
        secret.or_else(|| self.jwks_secret_ref.as_ref().map(TokenKeys::Jwks))
    }
}
