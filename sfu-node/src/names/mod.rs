//! Names of streams: who has a right to one, claims in progress on this node, and claims in Redis.

pub mod claiming;
pub mod redis_claims;
pub mod redis_link;
pub mod rights;

use redis_claims::Claims;
use redis_link::RedisLink;
use std::sync::Arc;

/// The names of a node's publications.
pub struct Names {
    /// In Redis.
    pub claims: Claims,
    /// Being claimed at the moment.
    pub claiming: Arc<claiming::Claiming>,
}

impl Names {
    /// With claims in the Redis at the end of this link, if there is one.
    pub fn new(redis: Option<RedisLink>, cluster: &str) -> Self {
        Self {
            claims: Claims::over(redis, cluster),
            claiming: Arc::default(),
        }
    }
}
