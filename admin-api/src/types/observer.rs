//! Whether somebody may see the cluster: what a front door, which has no keys of its own, asks a node.

use serde::{Deserialize, Serialize};
use std::fmt;
use utoipa::ToSchema;

/// `POST /admin/v1/observer`: what was presented to the front door.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Observer {
    /// The client's token, if it has one. A secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
}

// By hand, so that the token can reach no log.
impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let token = if self.token.is_some() { "redacted" } else { "none" };
        write!(f, "Observer({token})")
    }
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Observing {
    /// Whether the holder may see the cluster.
    pub allowed: bool,
    /// Why not, in the form that the client gets to see.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<ObserverRefusal>,
}

/// What a client is told that may not see the cluster (RFC 6750 section 3).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ObserverRefusal {
    /// HTTP status code: 400, 401 or 403.
    pub status: u16,
    /// The same for every occurrence.
    pub title: String,
    /// What to do.
    pub detail: String,
    /// Value of `WWW-Authenticate`.
    pub challenge: String,
}
