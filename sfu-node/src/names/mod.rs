//! Names of streams: who has a right to one, claims in progress on this node, and claims in Redis.

pub mod claiming;
pub mod redis_claims;
pub mod redis_link;
pub mod rights;

use redis_claims::Claims;
use redis_link::RedisSetupError;
use std::path::Path;
use std::sync::Arc;

/// The names of a node's publications.
pub struct Names {
    /// In Redis.
    pub claims: Claims,
    /// Being claimed at the moment.
    pub claiming: Arc<claiming::Claiming>,
}

impl Names {
    /// Prepares a connection to the Redis at an URL, if there is one; see [`Claims::new`].
    pub fn new(url_and_ca: (Option<&str>, Option<&Path>), cluster: &str) -> Result<Self, RedisSetupError> {
        Ok(Self {
            claims: Claims::new(url_and_ca, cluster)?,
            claiming: Arc::default(),
        })
    }
}
