//! Offers of this server that wait for a player's answer.

use super::ice::etag;
use crate::ids::SessionId;
use crate::limits::Holder;
use crate::sessions::session::Held;
use crate::streams::carried::Fetched;
use crate::streams::local_stream::{LocalStream, Seat};
use mediasoup::consumer::ConsumerType;
use mediasoup::prelude::*;
use parking_lot::Mutex;
use sfumato_admin_api::server::places::Place;
use sfumato_admin_api::types::{StreamName, TrackKind};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long an offer of this server waits for its answer; the draft's default for `valid-until`.
pub const OFFER_LIFE: Duration = Duration::from_secs(30);

/// A session-to-be. Dropping it closes its transport.
pub struct PendingOffer {
    /// Name in its URL.
    pub stream: StreamName,
    pub local: Arc<LocalStream>,
    pub fetched: Option<Fetched>,
    pub seat: Seat,
    /// What the session would hold; what was offered counts as a session that is not connected.
    pub held: Held,
    /// Its place among the offers that wait.
    pub waiting: Place<Holder>,
    pub tracks: Vec<OfferedTrack>,
    /// The offer as it was sent.
    pub sdp: String,
    /// The player wants no picture higher than this many pixels.
    pub max_height: Option<u32>,
    /// When it is withdrawn.
    pub expires: Instant,
}

/// A track on offer.
pub struct OfferedTrack {
    pub mid: String,
    pub kind: TrackKind,
    pub producer: Producer,
    pub consumer: Consumer,
}

impl PendingOffer {
    /// ETag of the ICE session that it would begin.
    pub fn etag(&self) -> String {
        etag(self.held.transport.ice_parameters())
    }
}

/// All offers that wait.
#[derive(Default)]
pub struct Offers(Mutex<HashMap<SessionId, PendingOffer>>);

impl Offers {
    /// Adds an offer.
    pub fn add(&self, id: SessionId, offer: PendingOffer) {
        self.0.lock().insert(id, offer);
    }

    /// Whether this id is one of a stream's offers.
    pub fn has(&self, id: &str, stream: &StreamName) -> bool {
        self.0.lock().get(id).is_some_and(|offer| offer.stream == *stream)
    }

    /// Whether the video on offer has several layers; `None` when there is no such offer.
    pub fn has_layers(&self, id: &str) -> Option<bool> {
        let waiting = self.0.lock();
        let tracks = &waiting.get(id)?.tracks;
        Some(
            tracks
                .iter()
                .any(|track| track.consumer.r#type() == ConsumerType::Simulcast),
        )
    }

    /// What is read of an offer that waits.
    pub fn look<T>(&self, id: &str, read: impl FnOnce(&PendingOffer) -> T) -> Option<T> {
        self.0.lock().get(id).map(read)
    }

    /// Takes an offer out, so that it is answered once.
    pub fn take(&self, id: &str) -> Option<PendingOffer> {
        self.0.lock().remove(id)
    }

    /// Gives an offer back whose answer was malformed; its life goes on.
    pub fn put_back(&self, id: &str, offer: PendingOffer) {
        self.0.lock().insert(id.to_owned(), offer);
    }

    /// Offers that wait.
    pub fn count(&self) -> usize {
        self.0.lock().len()
    }

    /// Drops what was not answered in time.
    pub fn sweep(&self, now: Instant) {
        let mut waiting = self.0.lock();
        let expired: Vec<SessionId> = waiting
            .iter()
            .filter(|(_, offer)| now >= offer.expires)
            .map(|(id, _)| id.clone())
            .collect();
        let dropped: Vec<PendingOffer> = expired.iter().filter_map(|id| waiting.remove(id)).collect();
        drop(waiting);
        drop(dropped);
    }
}
