//! What can be asked of a node's admin listener, and how asking can fail.
//!
//! [`NodeAdmin`] is a trait so that the planner's world can be simulated: everything above it (driver, mesh task, the
//! nodes' own peer sync) runs in tests against fakes that lose, repeat and delay calls. [`crate::client::HttpNodeAdmin`] is the
//! real one.

use crate::types::{
    CloseLinks, DrainReason, DrainRequest, DrainState, Links, NameReport, NodeName, NodeReport, PublicationId,
    Publications, PutLinks, RenewSubscriptions, RenewedSubscriptions, StreamName, Subscribe, Subscribed,
};
use async_trait::async_trait;
use std::fmt;
use std::time::Duration;

/// Deadline of a call that does not wait for news, from the first byte sent to the last byte of the answer.
pub const CALL_DEADLINE: Duration = Duration::from_secs(2);
/// Longest time to connect to a node, TLS included. Long enough for a second attempt of the kernel, which comes after 1 s where
/// the first is lost; shorter than [`CALL_DEADLINE`], which cannot tell a call that was never sent from one without an answer.
pub const CONNECT_DEADLINE: Duration = Duration::from_millis(1500);
/// What a long poll may take beyond the wait that it asked for.
pub const LONG_POLL_SLACK: Duration = Duration::from_secs(2);
/// Largest answer that is read, in bytes; reading ends there. A node's report keeps to half of it, see its `node/report.rs`.
pub const MAX_ANSWER_BYTES: usize = 1024 * 1024;
/// The same for what a node publishes, in bytes. Only its peers read that, and they need all of it: 10,000 publications fit.
pub const MAX_PUBLICATIONS_BYTES: usize = 4 * 1024 * 1024;

/// The admin API of nodes, addressed by the base URL of their admin listener (`http://127.0.0.1:4001`).
///
/// Every call is idempotent, and every call ends: implementations put a deadline around each.
///
/// A long poll (`after` and `wait`) is answered at once when the revision **differs** from `after`, which includes a
/// smaller one (a restarted node counts anew), else as soon as it changes, else when `wait` is over. Without `after` it
/// is answered at once.
#[async_trait]
pub trait NodeAdmin: Send + Sync + 'static {
    /// `GET /admin/v1/node`
    async fn node_report(&self, url: &str, after: Option<u64>, wait: Duration) -> Result<NodeReport, AdminError>;

    /// `PUT /admin/v1/links/{peer}`
    async fn put_links(&self, url: &str, peer: &NodeName, request: &PutLinks) -> Result<Links, AdminError>;

    /// `POST /admin/v1/links/close`
    async fn close_links(&self, url: &str, request: &CloseLinks) -> Result<(), AdminError>;

    /// `GET /admin/v1/publications`. With `after` the answer may tell only what changed since: see
    /// [`Publications::changes_since`].
    async fn publications(&self, url: &str, after: Option<u64>, wait: Duration) -> Result<Publications, AdminError>;

    /// `GET /admin/v1/names/{stream}`
    async fn name(&self, url: &str, stream: &StreamName) -> Result<NameReport, AdminError>;

    /// `PUT /admin/v1/subscriptions/{publication}`
    async fn subscribe(
        &self,
        url: &str,
        publication: &PublicationId,
        request: &Subscribe,
    ) -> Result<Subscribed, AdminError>;

    /// `POST /admin/v1/subscriptions/renew`
    async fn renew(&self, url: &str, request: &RenewSubscriptions) -> Result<RenewedSubscriptions, AdminError>;

    /// `POST /admin/v1/drain`: empty the node for one more reason.
    async fn drain(&self, url: &str, request: &DrainRequest) -> Result<DrainState, AdminError>;

    /// `DELETE /admin/v1/drain?reason=`: lift one reason. Others stay; one that does not hold counts as lifted.
    async fn undrain(&self, url: &str, reason: DrainReason) -> Result<DrainState, AdminError>;
}

/// Why a call failed. `call` is what was attempted and on what: ``PUT http://127.0.0.1:4001/admin/v1/links/sfu-2``.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// 409: the caller's picture is out of date. Read the node's report again before the next attempt.
    #[error("{call}: the node has changed since ({detail}); read its report and plan again")]
    Conflict {
        /// Method and URL.
        call: String,
        /// The node's own words.
        detail: String,
    },
    /// 404.
    #[error("{call}: there is no such thing ({detail})")]
    NotFound {
        /// Method and URL.
        call: String,
        /// The node's own words.
        detail: String,
    },
    /// 401 or 403, or a token that cannot be sent.
    #[error("{call}: the admin token was refused ({detail}); check that caller and node read the same secret")]
    Unauthorized {
        /// Method and URL.
        call: String,
        /// The node's own words.
        detail: String,
    },
    /// Any other status that is not a success.
    #[error("{call}: the node answered {status} ({detail})")]
    Status {
        /// Method and URL.
        call: String,
        /// HTTP status code.
        status: u16,
        /// The node's own words.
        detail: String,
    },
    /// No complete answer within the deadline. The node may have carried the call out all the same.
    #[error("{call}: no answer within {}; the call may have been carried out", humantime::format_duration(*after))]
    Timeout {
        /// Method and URL.
        call: String,
        /// The deadline.
        after: Duration,
    },
    /// The connection could not be made, or broke before the answer was complete.
    #[error("{call}: {reach}; check that the node runs and that its admin port is open")]
    Unreachable {
        /// Method and URL.
        call: String,
        /// How far the call came.
        reach: Reach,
        /// What the transport says.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The answer does not have the shape that the admin API promises.
    #[error("{call}: the answer cannot be used ({detail}); check that this is a node of a supported release")]
    BadAnswer {
        /// Method and URL.
        call: String,
        /// What is wrong with it.
        detail: String,
    },
}

/// How far a call came that has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Nothing listens there: the call was not carried out.
    Refused,
    /// There was no connection for another reason, such as no answer to it in time: the call was not carried out.
    NotConnected,
    /// The connection broke before the answer was complete: the call may have been carried out.
    Broken,
    /// Something between does not reach the node, or lost the answer, and does not say which: the call may have been carried
    /// out.
    Unknown,
}

impl fmt::Display for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Refused => "the node cannot be reached (connection refused), so the call was not carried out",
            Self::NotConnected => "no connection to the node, so the call was not carried out",
            Self::Broken => "the connection broke before the answer was complete; the call may have been carried out",
            Self::Unknown => {
                "the node cannot be reached from there, or its answer was lost; the call may have been carried out"
            }
        })
    }
}

impl AdminError {
    /// Nothing listens at the address: the process is gone or not up yet, and the call was not carried out.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        matches!(
            self,
            Self::Unreachable {
                reach: Reach::Refused,
                ..
            }
        )
    }

    /// The connection broke, or could not be made for another reason than that nothing listens: asking again tells more.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        matches!(
            self,
            Self::Unreachable {
                reach: Reach::NotConnected | Reach::Broken | Reach::Unknown,
                ..
            }
        )
    }

    /// The node answers, and what it says is over a bound or has another shape than is promised: it may lie.
    #[must_use]
    pub fn is_unusable(&self) -> bool {
        matches!(self, Self::BadAnswer { .. })
    }

    /// The node answers, but has changed since the caller looked.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Conflict { .. })
    }
}
