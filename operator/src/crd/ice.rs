//! STUN and TURN servers in a manifest.

use super::redis::SecretKeyRef;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// A STUN or TURN server that publishers and viewers are told of (RFC 9725 section 4.6).
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.username) == has(self.credentialSecretRef)")
        .message("username and credentialSecretRef come together"),
    validation = Rule::new("has(self.username) || self.urls.all(u, u.startsWith('stun'))")
        .message("a TURN server needs username and credentialSecretRef")
)]
pub struct IceServerSpec {
    /// Its URLs, such as `stun:stun.example.net:3478` or `turn:turn.example.net:3478?transport=udp`, 1 to 8.
    #[schemars(
        length(min = 1, max = 8),
        inner(
            length(max = 256),
            regex(pattern = r"^(stun|stuns|turn|turns):[A-Za-z0-9.:?=_\[\]-]+$")
        )
    )]
    pub urls: Vec<String>,
    /// User name for a TURN server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        with = "String",
        length(min = 1, max = 256),
        regex(pattern = r"^[A-Za-z0-9.:@_/+=-]+$")
    )]
    pub username: Option<String>,
    /// Key of a Secret with the password for a TURN server: printable ASCII without spaces, quotes, `,`, `;`, `<`, `>` and
    /// `\`. Nodes read it when they start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential_secret_ref: Option<SecretKeyRef>,
}
