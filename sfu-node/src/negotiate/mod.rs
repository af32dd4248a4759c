//! From an offer to a session: WHIP (RFC 9725) and WHEP (draft-ietf-wish-whep) on mediasoup.

mod choice;
mod counter;
mod find_stream;
mod play;
mod publish;
mod refusal;
mod restart;
mod transport;

pub use refusal::Refusal;
pub use restart::Patched;

use crate::ids::SessionId;
use crate::limits::{Full, Holder, SessionPlace};
use crate::node::Node;
use crate::sdp::SdpError;
use crate::sdp::offer::Offer;
use crate::stats::tally::Refused;
use sfumato_admin_api::types::TrackKind;

/// What a client is answered with.
pub struct Answered {
    /// The new session.
    pub session: SessionId,
    /// The SDP of this server.
    pub sdp: String,
    /// ETag of the ICE session.
    pub etag: String,
    /// What the SDP is.
    pub given: Given,
}

/// What a client is given for its POST.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Given {
    /// An answer to its offer: 201.
    Answer,
    /// The offer that its empty POST asked for: 201.
    Offer,
    /// An offer of this server in the place of an answer: 406.
    CounterOffer,
}

/// What is known of a client besides its offer.
#[derive(Debug, Clone, Default)]
pub struct Client {
    /// `User-Agent`, empty when absent: OBS and old browser engines need care of their own.
    pub user_agent: String,
    /// A viewer wants no picture higher than this many pixels.
    pub max_height: Option<u32>,
    /// Whom what it is given counts against.
    pub holder: Vec<Holder>,
}

impl Node {
    fn no_room(&self, full: Full) -> Refusal {
        self.tally.refused((&full).into());
        full.into()
    }

    /// Whether a stream with so many viewers on this node may have one more.
    fn check_viewers(&self, viewers: u32) -> Result<(), Refusal> {
        self.limits.viewer(viewers).map_err(|full| self.no_room(full))
    }

    /// A place for a new session of this client, if this node takes any and has room; the session keeps it to its end.
    fn take_place(&self, client: &Client) -> Result<SessionPlace, Refusal> {
        if self.state.is_ready() {
            return self.limits.session(&client.holder).map_err(|full| self.no_room(full));
        }
        self.tally.refused(Refused::NotReady);
        Err(Refusal::NotReady {
            node: self.me.name.clone(),
            why: self.state.why_not_ready(),
        })
    }
}

fn one_of_each(offer: &Offer) -> Result<(), SdpError> {
    for kind in [TrackKind::Audio, TrackKind::Video] {
        if let Some(second) = offer.sections.iter().filter(|section| section.kind == kind).nth(1) {
            return Err(SdpError::unsupported(
                second.field(),
                "at most one audio and one video m-section are supported",
            ));
        }
    }
    Ok(())
}
