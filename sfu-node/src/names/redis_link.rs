//! The connection to Redis: made when it is first needed and again after every failure, over TLS where the URL says so.

use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use parking_lot::Mutex;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, ConnectionInfo, IntoConnectionInfo, RedisError, TlsCertificates};
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

/// Files besides that of the URL; all are followed.
#[derive(Debug, Clone, Default)]
pub struct RedisFiles {
    /// CAs, PEM; else those of the system.
    pub ca: Option<PathBuf>,
    /// The password, on the first line, instead of the URL's.
    pub password: Option<PathBuf>,
}

/// The way to Redis. Whatever fails on a connection, the next call gets a new one: a server that has been made a replica, one
/// whose password has changed, and one that is reached by another address now are all left that way.
pub struct RedisLink {
    url: Text,
    password: Option<FollowedFile<String>>,
    ca: Option<FollowedFile<String>>,
    made: Mutex<Made>,
}

/// A connection, and which one it is.
pub struct Connected {
    pub connection: Connecting,
    number: u64,
}

/// A connection that is made when somebody waits for it; all who do wait for the same one.
pub type Connecting = Shared<BoxFuture<'static, Result<MultiplexedConnection, RedisError>>>;

/// A text that is given, or that of a file.
enum Text {
    Fixed(Arc<String>),
    Followed(FollowedFile<String>),
}

/// What a connection is made of.
#[derive(Clone, PartialEq, Eq)]
struct Source {
    url: Arc<String>,
    password: Option<Arc<String>>,
    ca: Option<Arc<String>>,
}

/// The connection of the moment, and what it was made of.
struct Made {
    source: Source,
    client: Client,
    connection: Connecting,
    number: u64,
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
    /// The file with the password cannot be used.
    #[error("--redis-password-file {path}: {source}")]
    PasswordFile {
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
    /// Connects to nothing yet.
    pub fn new(url: RedisUrl, files: &RedisFiles) -> Result<Self, RedisSetupError> {
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
        let ca = files.ca.as_deref().map(|path| follow_ca(path, &current)).transpose()?;
        let password = files.password.as_deref().map(follow_password).transpose()?;
        let source = Source::read(&url, password.as_ref(), ca.as_ref(), now);
        let made = Mutex::new(Made::of(source, 0)?);
        Ok(Self {
            url,
            password,
            ca,
            made,
        })
    }

    /// The connection of the moment: a new one when a file has changed, or the one before has failed.
    pub fn connection(&self) -> Connected {
        let now = Source::read(&self.url, self.password.as_ref(), self.ca.as_ref(), Instant::now());
        let mut made = self.made.lock();
        if made.source != now {
            match Made::of(now.clone(), made.number + 1) {
                Ok(anew) => *made = anew,
                // The files were found usable, each by itself. What was made before stays, and this is said once a change.
                Err(error) => {
                    tracing::warn!(%error, "no connection to Redis can be made as its files say now");
                    made.source = now;
                }
            }
        }
        Connected {
            connection: made.connection.clone(),
            number: made.number,
        }
    }

    /// Gives a connection up, on which something has failed. Another one that was made meanwhile stays.
    pub fn give_up(&self, failed: u64) {
        let mut made = self.made.lock();
        if made.number == failed {
            made.connection = connect(made.client.clone());
            made.number += 1;
        }
    }
}

impl Connected {
    /// Which one it is, for [`RedisLink::give_up`].
    pub fn number(&self) -> u64 {
        self.number
    }
}

impl Source {
    fn read(
        url: &Text,
        password: Option<&FollowedFile<String>>,
        ca: Option<&FollowedFile<String>>,
        now: Instant,
    ) -> Self {
        let current = |file: &FollowedFile<String>| file.versions(now).current;
        Self {
            url: url.current(now),
            password: password.map(current),
            ca: ca.map(current),
        }
    }

    fn client(&self) -> Result<Client, RedisError> {
        let info = self.url.as_str().into_connection_info()?;
        let info = match &self.password {
            Some(password) => with_password(info, password),
            None => info,
        };
        client(info, self.ca.as_deref().map(String::as_str))
    }
}

impl Made {
    fn of(source: Source, number: u64) -> Result<Self, RedisError> {
        let client = source.client()?;
        Ok(Self {
            source,
            connection: connect(client.clone()),
            client,
            number,
        })
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
    let usable = move |pem: &str| match client(url.as_str(), Some(pem)) {
        Ok(_) => Ok(pem.to_owned()),
        Err(error) => Err(error.to_string()),
    };
    FollowedFile::open(path, Rules::new(usable)).map_err(|source| RedisSetupError::Ca {
        path: path.display().to_string(),
        source,
    })
}

fn follow_password(path: &Path) -> Result<FollowedFile<String>, RedisSetupError> {
    let usable = |text: &str| match text.lines().next().unwrap_or_default().trim() {
        "" => Err("its first line must be the password of Redis".to_owned()),
        password => Ok(password.to_owned()),
    };
    FollowedFile::open(path, Rules::new(usable)).map_err(|source| RedisSetupError::PasswordFile {
        path: path.display().to_string(),
        source,
    })
}

fn with_password(info: ConnectionInfo, password: &str) -> ConnectionInfo {
    let settings = info.redis_settings().clone().set_password(password);
    info.set_redis_settings(settings)
}

fn client(at: impl IntoConnectionInfo, ca: Option<&str>) -> Result<Client, RedisError> {
    let Some(ca) = ca else {
        return Client::open(at);
    };
    let certificates = TlsCertificates {
        client_tls: None,
        root_cert: Some(ca.as_bytes().to_vec()),
    };
    Client::build_with_tls(at, certificates)
}

/// Not the client library's `ConnectionManager`: that one never connects again after a refusal, such as of a password.
fn connect(client: Client) -> Connecting {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(REDIS_DEADLINE))
        .set_response_timeout(Some(REDIS_DEADLINE));
    let connecting = async move { client.get_multiplexed_async_connection_with_config(&config).await };
    connecting.boxed().shared()
}
