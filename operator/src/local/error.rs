//! Why `sfu-operator local` ended other than by Ctrl-C.

use super::ports::PortError;
use super::programs::MissingProgram;
use super::reach::NoAddress;
use super::state_dir::StateDirError;
use super::wish::WishError;

/// One clear sentence each.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    /// The manifest, or what the options make of it.
    #[error(transparent)]
    Wish(#[from] WishError),
    #[error(transparent)]
    Program(#[from] MissingProgram),
    #[error(transparent)]
    Port(#[from] PortError),
    #[error(transparent)]
    Address(#[from] NoAddress),
    #[error(transparent)]
    StateDir(#[from] StateDirError),
    /// `--redis-url` is no URL of a Redis.
    #[error("--redis-url: {0}; use a URL such as redis://127.0.0.1:6379")]
    RedisUrl(redis::RedisError),
    /// The Redis of `--redis-url` does not answer.
    #[error("Redis at {address} does not answer ({why}): start it, correct --redis-url, or leave that option out")]
    RedisAway {
        /// Its address, without user and password.
        address: String,
        why: String,
    },
    /// The Redis that was started died, or never answered.
    #[error("redis-server did not come up on {address}: {why}")]
    RedisNotUp {
        /// Where it should listen.
        address: String,
        why: String,
    },
    /// The system refuses what a supervisor needs.
    #[error("cannot {what}: {source}")]
    System { what: &'static str, source: std::io::Error },
    /// A fault of this program.
    #[error("{0}; please report it")]
    Task(String),
    /// Never seen.
    #[error("the mesh task has ended by itself, which is a fault of this program: please report it")]
    MeshEnded,
}

impl LocalError {
    /// 2 for a wrong command line or manifest, 1 for everything else.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Wish(_) | Self::RedisUrl(_) | Self::Port(PortError::Twice { .. }) => 2,
            Self::Program(_)
            | Self::Port(_)
            | Self::Address(_)
            | Self::StateDir(_)
            | Self::RedisAway { .. }
            | Self::RedisNotUp { .. }
            | Self::System { .. }
            | Self::Task(_)
            | Self::MeshEnded => 1,
        }
    }
}
