//! The connection to Redis: made when it is first needed and again whenever it is lost, over TLS where the URL says so.

use parking_lot::Mutex;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Client, IntoConnectionInfo, RedisError, TlsCertificates};
use sfumato_admin_api::files::{FollowedFile, Rules};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Longest wait for Redis in one call.
pub const REDIS_DEADLINE: Duration = Duration::from_millis(500);

/// Where Redis is, with the password, if it has one.
#[derive(Clone)]
pub enum RedisUrl {
    /// By the command line or the environment.
    Given(String),
    /// On the first line of a file, which is followed: who may list processes does not see it.
    InFile(PathBuf),
}

/// A connection that mends itself, and is another one when the file with its URL or its CA has changed.
pub struct RedisLink {
    url: Text,
    /// CAs in a file, PEM; else those of the system.
    ca: Option<FollowedFile<String>>,
    made: Mutex<Made>,
}

/// A text that is given, or that of a file.
enum Text {
    Fixed(Arc<String>),
    Followed(FollowedFile<String>),
}

/// The connection of the moment, and what it was made of.
struct Made {
    url: Arc<String>,
    ca: Option<Arc<String>>,
    connection: ConnectionManager,
}

/// There is no way to Redis.
#[derive(Debug, thiserror::Error)]
pub enum RedisSetupError {
    /// The URL is wrong.
    #[error("--redis-url: {0}; write redis://HOST:PORT, or rediss://HOST:PORT for TLS")]
    Url(#[from] RedisError),
    /// The file with the URL cannot be used.
    #[error("--redis-url-file {path}: {source}")]
    UrlFile {
        /// The file.
        path: String,
        source: std::io::Error,
    },
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
    pub fn new(url: RedisUrl, ca: Option<&Path>) -> Result<Self, RedisSetupError> {
        let url = match url {
            RedisUrl::Given(url) => Text::Fixed(Arc::new(url)),
            RedisUrl::InFile(path) => {
                let followed =
                    FollowedFile::open(&path, Rules::new(usable_url)).map_err(|source| RedisSetupError::UrlFile {
                        path: path.display().to_string(),
                        source,
                    })?;
                Text::Followed(followed)
            }
        };
        let now = Instant::now();
        let current = url.current(now);
        let ca = ca.map(|path| follow_ca(path, &current)).transpose()?;
        let pem = ca.as_ref().map(|ca| ca.versions(now).current);
        let made = Mutex::new(Made {
            connection: connection(&current, pem.as_deref().map(String::as_str))?,
            url: current,
            ca: pem,
        });
        Ok(Self { url, ca, made })
    }

    /// The connection of the moment.
    pub fn connection(&self) -> ConnectionManager {
        let now = Instant::now();
        let url = self.url.current(now);
        let pem = self.ca.as_ref().map(|ca| ca.versions(now).current);
        let mut made = self.made.lock();
        if made.url != url || made.ca != pem {
            match connection(&url, pem.as_deref().map(String::as_str)) {
                Ok(connection) => made.connection = connection,
                // Both files were found usable, each by itself. What was made before stays, and this is said once a change.
                Err(error) => tracing::warn!(%error, "no connection to Redis can be made as its files say now"),
            }
            (made.url, made.ca) = (url, pem);
        }
        made.connection.clone()
    }
}

impl Text {
    fn current(&self, now: Instant) -> Arc<String> {
        match self {
            Self::Fixed(text) => Arc::clone(text),
            Self::Followed(file) => file.versions(now).current,
        }
    }
}

/// The URL that a file holds. What is wrong with it is said without its text, which may hold a password.
fn usable_url(text: &str) -> Result<String, String> {
    let url = text.lines().next().unwrap_or_default().trim();
    match url.into_connection_info() {
        Ok(_) => Ok(url.to_owned()),
        Err(_) => Err("its first line must be redis://HOST:PORT, or rediss://HOST:PORT for TLS".to_owned()),
    }
}

fn follow_ca(path: &Path, url: &str) -> Result<FollowedFile<String>, RedisSetupError> {
    let url = url.to_owned();
    let usable = move |pem: &str| match client(&url, Some(pem)) {
        Ok(_) => Ok(pem.to_owned()),
        Err(error) => Err(error.to_string()),
    };
    FollowedFile::open(path, Rules::new(usable)).map_err(|source| RedisSetupError::Ca {
        path: path.display().to_string(),
        source,
    })
}

fn client(url: &str, ca: Option<&str>) -> Result<Client, RedisError> {
    let Some(ca) = ca else {
        return Client::open(url);
    };
    let certificates = TlsCertificates {
        client_tls: None,
        root_cert: Some(ca.as_bytes().to_vec()),
    };
    Client::build_with_tls(url, certificates)
}

fn connection(url: &str, ca: Option<&str>) -> Result<ConnectionManager, RedisError> {
    let config = ConnectionManagerConfig::new()
        .set_connection_timeout(Some(REDIS_DEADLINE))
        .set_response_timeout(Some(REDIS_DEADLINE))
        .set_number_of_retries(1)
        .set_max_delay(REDIS_DEADLINE);
    ConnectionManager::new_lazy_with_config(client(url, ca)?, config)
}
