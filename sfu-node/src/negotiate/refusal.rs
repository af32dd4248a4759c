//! Why a client gets no session. What HTTP makes of it stands in `http`.

use crate::limits::Full;
use crate::limits::parsing::ParsingBusy;
use crate::media::deadline::MediaError;
use crate::names::claiming::NameTaken;
use crate::node::{NotReady, RelayError};
use crate::sdp::SdpError;
use crate::sessions::ice::PatchRefused;
use sfumato_admin_api::types::{NodeName, StreamName};

/// Why a client gets no session, or not what it asked of the one that it has.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// Its SDP is malformed, or asks for what this server cannot do.
    #[error(transparent)]
    Sdp(#[from] SdpError),
    /// A worker refuses a track of its SDP.
    #[error("{cause}")]
    Track {
        /// The m-section, as in SDP.
        field: String,
        /// mediasoup's words.
        cause: MediaError,
    },
    /// There is no place where its SDP could be read now.
    #[error(transparent)]
    Busy(#[from] ParsingBusy),
    /// The stream has no track of a kind that the offer asks for.
    #[error("{0} has no track of a kind that the offer asks for")]
    NoTrack(StreamName),
    /// A worker failed.
    #[error(transparent)]
    Media(#[from] MediaError),
    /// A limit is reached.
    #[error("{0}: ask another node, or come back later")]
    Full(#[from] Full),
    /// The node takes no sessions at present.
    #[error("{node} {why}: ask another node")]
    NotReady {
        /// This node.
        node: NodeName,
        /// What it is doing instead.
        why: NotReady,
    },
    /// The router of its payload types made room for another one while the session was being made.
    #[error("others needed the router for these payload types, and nobody was connected on it: try again")]
    Evicted,
    /// Somebody else publishes under the name.
    #[error(transparent)]
    Name(#[from] NameTaken),
    /// The stream cannot be had here.
    #[error(transparent)]
    Relay(#[from] RelayError),
    /// There is no offer of this node that the answer could belong to.
    #[error("this session waits for no answer: it began with the player's own offer, or was answered already")]
    NoOffer,
    /// `If-Match` names another offer.
    #[error("this is not the ETag of the offer that waits here: drop what belongs to the old one")]
    OtherOffer,
    /// The ICE session does not change in this way.
    #[error(transparent)]
    Patch(#[from] PatchRefused),
}

impl Refusal {
    /// What a worker says of a track, at its m-section.
    pub(super) fn track(field: impl Into<String>, cause: MediaError) -> Self {
        let field = field.into();
        Self::Track { field, cause }
    }
}
