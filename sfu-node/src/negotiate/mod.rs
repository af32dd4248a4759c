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
use crate::limits::{Full, InUse, Place};
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
}

impl Node {
    /// Sessions, those that begin with an offer of this server included: each holds a transport.
    fn in_use(&self) -> InUse {
        let (sessions, half_open) = self.sessions.in_use();
        let offered = u32::try_from(self.offers.count()).unwrap_or(u32::MAX);
        InUse {
            sessions: sessions.saturating_add(offered),
            half_open: half_open.saturating_add(offered),
        }
    }

    fn no_room(&self, full: Full) -> Refusal {
        self.tally.refused(match full {
            Full::Sessions(_) => Refused::Sessions,
            Full::HalfOpen(_) => Refused::HalfOpen,
            Full::Viewers(_) => Refused::Viewers,
        });
        full.into()
    }

    /// Whether a stream with so many viewers on this node may have one more.
    fn check_viewers(&self, viewers: u32) -> Result<(), Refusal> {
        self.limits.viewer(viewers).map_err(|full| self.no_room(full))
    }

    /// A place for a new session, if this node takes any and has room; held until the session is in the list.
    fn take_place(&self) -> Result<Place<'_>, Refusal> {
        if self.state.is_ready() {
            return self.limits.place(|| self.in_use()).map_err(|full| self.no_room(full));
        }
        self.tally.refused(Refused::NotReady);
        Err(Refusal::NotReady {
            node: self.me.name.clone(),
            draining: self.state.is_draining(),
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
