//! Keys of the admin Secret. Pods mount those that they need, by name.

/// Token of the admin API: one a line, the first is current.
pub const TOKEN: &str = "token";
/// Token of the front door: one a line, the first is current.
pub const FRONT_DOOR_TOKEN: &str = "front-door-token";
/// CAs that admin certificates may come from, PEM.
pub const CA_CERT: &str = "ca.crt";
/// Certificate of the nodes' admin listeners, PEM.
pub const TLS_CERT: &str = "tls.crt";
/// Its key, PEM.
pub const TLS_KEY: &str = "tls.key";
/// The CA with its key, and what is needed to rotate it. No pod mounts it.
pub const PKI: &str = "pki.json";
/// Password of managed Redis.
pub const REDIS_PASSWORD: &str = "redis-password";
/// The same as it stands in a URL, percent-encoded: Kubernetes puts it into the one that media nodes of the release before read.
pub const REDIS_PASSWORD_ENCODED: &str = "redis-password-encoded";
/// Configuration of managed Redis.
pub const REDIS_CONF: &str = "redis.conf";
