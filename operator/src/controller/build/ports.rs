//! Ports of a cluster's pods.

/// TCP port of a node's WHIP and WHEP listener.
pub const CLIENT_PORT: i32 = 3001;
/// TCP port of a node's WHIP and WHEP listener for front doors, in HTTPS.
pub const SECURE_CLIENT_PORT: i32 = 3443;
/// TCP port of a node's admin listener.
pub const ADMIN_PORT: i32 = 4001;
/// TCP port of a node's health and metrics listener.
pub const HEALTH_PORT: i32 = 5001;
pub const REDIS_PORT: i32 = 6379;
