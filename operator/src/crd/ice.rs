//! STUN and TURN servers in a manifest.

use super::duration::GoDuration;
use super::redis::SecretKeyRef;
use super::rules;
use kube::KubeSchema;
use schemars::{Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// A STUN or TURN server that publishers and viewers are told of (RFC 9725 section 4.6).
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.username) == has(self.credentialSecretRef)")
        .message("username and credentialSecretRef come together"),
    validation = Rule::new("has(self.username) || has(self.credentialSecretRef) || has(self.sharedSecretRef) || !self.urls.exists(u, u.startsWith('turn'))")
        .message("a TURN server needs username and credentialSecretRef, or sharedSecretRef"),
    validation = Rule::new("!has(self.sharedSecretRef) || !has(self.username)")
        .message("media nodes make user names and passwords of a sharedSecretRef: leave username and credentialSecretRef out"),
    validation = Rule::new("has(self.sharedSecretRef) || !has(self.credentialTtl)")
        .message("credentialTtl is for passwords of a sharedSecretRef: name it, or leave credentialTtl out")
)]
pub struct IceServerSpec {
    /// Its URLs, such as `stun:stun.example.net:3478` or `turn:turn.example.net:3478?transport=udp`.
    #[schemars(schema_with = "urls_schema")]
    pub urls: Vec<String>,
    /// User name for a TURN server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(max = 256))]
    #[x_kube(validation = rules::text("^[A-Za-z0-9.:@_/+=-]+$", "1 to 256 of letters, digits and `.:@_/+=-`, such as `media`"))]
    pub username: Option<String>,
    /// Key of a Secret with the password for a TURN server: printable ASCII without spaces, quotes, `,`, `;`, `<`, `>` and
    /// `\`. Nodes read it when they start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential_secret_ref: Option<SecretKeyRef>,
    /// Key of a Secret with the secret that media nodes share with a TURN server (coturn: `use-auth-secret`): each client gets a
    /// user name and a password of its own, which are good for `credentialTtl`. The same characters as for a password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared_secret_ref: Option<SecretKeyRef>,
    /// How long a password of the shared secret is good. Choose more than sessions last: some TURN servers end a relay after that
    /// time. Default: 12h.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = rules::duration("1m", "168h", "12h"))]
    pub credential_ttl: Option<GoDuration>,
}

/// The rule is that of each entry, so that a complaint names which.
fn urls_schema(_: &mut SchemaGenerator) -> Schema {
    let rule = rules::text(
        r"^(stun|stuns|turn|turns):[A-Za-z0-9.:?=_\[\]-]+$",
        "a URL of a STUN or TURN server, such as `stun:stun.example.net:3478`",
    );
    json_schema!({
        "type": "array",
        "minItems": 1,
        "maxItems": 8,
        "items": { "type": "string", "maxLength": 256, "x-kubernetes-validations": [rule] },
    })
}
