//! The connection to Redis: made when it is first needed and again whenever it is lost, over TLS where the URL says so.

use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Client, RedisError, TlsCertificates};
use sfumato_admin_api::files::{FollowedFile, Rules};
use std::path::Path;
use std::time::{Duration, Instant};

/// Longest wait for Redis in one call.
pub const REDIS_DEADLINE: Duration = Duration::from_millis(500);

/// A connection that mends itself.
pub enum RedisLink {
    /// Plain, or over TLS by the CAs of the system.
    Plain(ConnectionManager),
    /// Over TLS by the CA in a file: another connection when the file has changed.
    OwnCa(FollowedFile<ConnectionManager>),
}

/// There is no way to Redis.
#[derive(Debug, thiserror::Error)]
pub enum RedisSetupError {
    /// The URL is wrong.
    #[error("--redis-url: {0}; write redis://HOST:PORT, or rediss://HOST:PORT for TLS")]
    Url(#[from] RedisError),
    /// The file with the CA cannot be used.
    #[error("--redis-ca {path}: {source}")]
    Ca {
        /// The file.
        path: String,
        source: std::io::Error,
    },
}

impl RedisLink {
    /// Connects to nothing yet. Must be called within a Tokio runtime.
    pub fn new(url: &str, ca: Option<&Path>) -> Result<Self, RedisSetupError> {
        let Some(path) = ca else {
            return Ok(Self::Plain(lazy(Client::open(url)?)?));
        };
        let url = url.to_owned();
        let with_ca = move |pem: &str| connection(&url, pem).map_err(|error| error.to_string());
        let followed = FollowedFile::open(path, Rules::new(with_ca)).map_err(|source| RedisSetupError::Ca {
            path: path.display().to_string(),
            source,
        })?;
        Ok(Self::OwnCa(followed))
    }

    /// The connection of the moment.
    pub fn connection(&self) -> ConnectionManager {
        match self {
            Self::Plain(connection) => connection.clone(),
            Self::OwnCa(followed) => ConnectionManager::clone(&followed.versions(Instant::now()).current),
        }
    }
}

fn connection(url: &str, ca: &str) -> Result<ConnectionManager, RedisError> {
    let certificates = TlsCertificates {
        client_tls: None,
        root_cert: Some(ca.as_bytes().to_vec()),
    };
    lazy(Client::build_with_tls(url, certificates)?)
}

fn lazy(client: Client) -> Result<ConnectionManager, RedisError> {
    let config = ConnectionManagerConfig::new()
        .set_connection_timeout(Some(REDIS_DEADLINE))
        .set_response_timeout(Some(REDIS_DEADLINE))
        .set_number_of_retries(1)
        .set_max_delay(REDIS_DEADLINE);
    ConnectionManager::new_lazy_with_config(client, config)
}
