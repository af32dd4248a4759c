//! What transports of sessions tell the node's tasks. Callbacks run on a worker's thread and must not wait.

use crate::ids::SessionId;
use crate::sessions::end_reason::EndReason;
use tokio::sync::mpsc;

/// News of one session's transport.
#[derive(Debug)]
pub enum TransportNews {
    /// The DTLS handshake is done.
    Connected(SessionId),
    /// It has ended.
    Ended(SessionId, EndReason),
}

/// Where transports leave their news; a session has at most two of them.
pub type InboxSender = mpsc::UnboundedSender<TransportNews>;
/// Where a node's task takes them from.
pub type Inbox = mpsc::UnboundedReceiver<TransportNews>;
