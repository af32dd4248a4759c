//! Why a call of the admin API got no answer.

use super::node_admin::Reach;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// The token has characters that a header cannot carry.
    #[error("our token has characters that a header cannot carry")]
    Token,
    /// The answer is longer than what was asked for may be.
    #[error("it is longer than {0} bytes")]
    TooLong(usize),
    /// There is no connection, or it broke.
    #[error("{source}")]
    Unreachable {
        /// How far the call came.
        reach: Reach,
        /// What the transport says.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}
