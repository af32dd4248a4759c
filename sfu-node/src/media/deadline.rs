//! A deadline around every request to a worker: mediasoup's requests have none of their own.

use std::fmt::Display;
use std::future::Future;
use std::net::IpAddr;
use std::time::Duration;

/// Longest wait for one request to a worker. A worker that is this late is stuck or starved.
pub const WORKER_DEADLINE: Duration = Duration::from_secs(5);

/// Why something inside the node failed.
#[derive(Debug, thiserror::Error)]
pub enum MediaError {
    /// The worker did not answer.
    #[error(
        "{what}: the media worker did not answer within {}",
        humantime::format_duration(WORKER_DEADLINE)
    )]
    Late {
        /// What was attempted.
        what: &'static str,
    },
    /// The worker refused.
    #[error("{what}: {cause}")]
    Refused {
        /// What was attempted.
        what: &'static str,
        /// mediasoup's words.
        cause: String,
    },
    /// Every port for pipes is taken on an address.
    #[error("opening a pipe: each of --pipe-ports is taken on {ip}; ask another node, or give a longer range")]
    NoPort {
        /// Where the pipe was to listen.
        ip: IpAddr,
    },
    /// What a worker or a peer tells cannot be used, or not be written down.
    #[error("{what} failed: {cause}")]
    Unusable {
        /// What was attempted.
        what: &'static str,
        /// What is wrong with it.
        cause: String,
    },
}

/// Waits for a worker, at most [`WORKER_DEADLINE`].
pub async fn within<T, E: Display>(
    what: &'static str,
    request: impl Future<Output = Result<T, E>>,
) -> Result<T, MediaError> {
    match tokio::time::timeout(WORKER_DEADLINE, request).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(MediaError::Refused {
            what,
            cause: error.to_string(),
        }),
        Err(_) => Err(MediaError::Late { what }),
    }
}
