//! Redis for one run: started by us without any persistence and with a password of this run, or somebody's that runs already.

use super::child::Program;
use super::error::LocalError;
use super::probe;
use super::state_dir::{StateDir, TOKEN_LENGTH, random_text};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// How long the Redis of `--redis-url` may take to answer.
const ANSWER_DEADLINE: Duration = Duration::from_secs(3);

#[derive(Clone)]
pub struct Redis {
    /// URL for the nodes, with its password. A secret.
    pub url: String,
    /// Client for this program.
    pub client: redis::Client,
    /// The program to start, unless it runs already.
    pub own: Option<(PathBuf, SocketAddr)>,
    /// The password of the one to start.
    password: String,
}

impl Redis {
    /// A Redis that runs already and answers.
    ///
    /// # Errors
    /// When the URL is wrong, or nobody answers.
    pub async fn running(url: &str) -> Result<Self, LocalError> {
        let client = redis::Client::open(url).map_err(LocalError::RedisUrl)?;
        let redis = Self {
            url: url.to_owned(),
            client,
            own: None,
            password: String::new(),
        };
        let why = match tokio::time::timeout(ANSWER_DEADLINE, probe::ping(&redis.client)).await {
            Ok(Ok(())) => return Ok(redis),
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("nothing within {} s", ANSWER_DEADLINE.as_secs()),
        };
        Err(LocalError::RedisAway {
            address: redis.shown(),
            why,
        })
    }

    /// A Redis to be started.
    ///
    /// # Errors
    /// Never for an address; the client's types allow for it.
    pub fn to_start(bin: PathBuf, address: SocketAddr) -> Result<Self, LocalError> {
        let password = random_text(TOKEN_LENGTH);
        let url = format!("redis://:{password}@{address}");
        let client = redis::Client::open(url.as_str()).map_err(LocalError::RedisUrl)?;
        Ok(Self {
            url,
            client,
            own: Some((bin, address)),
            password,
        })
    }

    /// Where it is, without user and password.
    #[must_use]
    pub fn shown(&self) -> String {
        self.client.get_connection_info().addr().to_string()
    }

    /// What it is started with, if it is. Its password must be in no argument.
    #[must_use]
    pub fn config(&self) -> Option<String> {
        self.own.as_ref().map(|_| format!("requirepass {}\n", self.password))
    }

    /// What to run, if anything.
    #[must_use]
    pub fn program(&self, state: &StateDir) -> Option<Program> {
        let (bin, address) = self.own.as_ref()?;
        let directory = state.redis().display().to_string();
        let (port, ip) = (address.port().to_string(), address.ip().to_string());
        // Nothing is worth keeping over a restart.
        let config = state.redis_config().display().to_string();
        let args = [
            config.as_str(),
            "--port",
            &port,
            "--bind",
            &ip,
            "--save",
            "",
            "--appendonly",
            "no",
            "--dir",
            &directory,
            "--loglevel",
            "warning",
            "--daemonize",
            "no",
        ];
        let args = args.map(str::to_owned).to_vec();
        Some(Program {
            name: "redis".to_owned(),
            bin: bin.clone(),
            args,
            // It greets with warnings about the kernel's settings; what it dies of is told anyway.
            shown: false,
        })
    }
}
