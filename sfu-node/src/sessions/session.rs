//! WHIP and WHEP sessions of this node: what they hold, and how they end.
//!
//! Dropping a session closes its transport, which sends a DTLS alert, so that players notice at once and retry.

use crate::events::streams::EventStreams;
use crate::ids::SessionId;
use crate::layers::viewer::ViewerLayers;
use crate::limits::SessionPlace;
use crate::limits::bitrate::Sending;
use crate::media::counts::Counts;
use crate::media::first_picture::FirstPicture;
use crate::media::worker::MediaWorker;
use crate::sdp::fragment::BundleTag;
use crate::sessions::end_reason::EndReason;
use crate::sessions::ice::IceSession;
use crate::sessions::ice_report;
use crate::streams::local_stream::{LocalStream, Seat};
use mediasoup::consumer::ConsumerLayers;
use mediasoup::prelude::*;
use mediasoup::router::RouterId;
use parking_lot::Mutex;
use sfumato_admin_api::types::{PublicationId, SessionHandle, StreamName};
use sfumato_admin_api::types::{SessionCandidate, SessionIce, SessionRole};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A session that is not connected after this time ends.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// A connected session from which nothing was received for this time ends: no RTP, no RTCP, no STUN.
pub const SILENCE_TIMEOUT: Duration = Duration::from_secs(15);
/// How long a DELETE of an ended session still answers 200: OBS closes its connection before it sends one.
pub const TOMBSTONE_LIFE: Duration = Duration::from_secs(60);
/// Most tombstones kept.
const MAX_TOMBSTONES: usize = 10_000;

/// What a session does.
pub enum Role {
    /// Sends a publication.
    Publisher {
        publication: PublicationId,
        producers: Vec<Producer>,
    },
    /// Watches a publication.
    Viewer {
        /// Its place on a router.
        seat: Seat,
        /// What it is sent, one consumer a track; held, since dropping one ends it.
        consumers: Vec<Consumer>,
        /// Whether the first picture was sent.
        first: FirstPicture,
        /// The layers of its video, where there are several.
        layers: Option<Box<ViewerLayers>>,
    },
}

impl Role {
    /// Publisher or viewer.
    pub fn kind(&self) -> SessionRole {
        match self {
            Self::Publisher { .. } => SessionRole::Publisher,
            Self::Viewer { .. } => SessionRole::Viewer,
        }
    }
}

/// What a session holds of the node.
pub struct Held {
    pub transport: WebRtcTransport,
    pub worker: Arc<MediaWorker>,
    /// Its place among those that may be.
    pub place: SessionPlace,
}

/// A WHIP or WHEP session.
pub struct Session {
    /// Last part of its URL.
    pub id: SessionId,
    /// Name in its URL.
    pub stream: StreamName,
    /// Publisher or viewer.
    pub role: Role,
    /// ICE credentials of both sides; held while one PATCH changes them.
    pub ice: tokio::sync::Mutex<IceSession>,
    /// What a fragment of ours repeats of the first answer.
    pub bundle: BundleTag,
    pub transport: WebRtcTransport,
    given: Mutex<Vec<SessionCandidate>>,
    worker: Arc<MediaWorker>,
    place: SessionPlace,
    created: Instant,
    connected: AtomicBool,
    bytes: AtomicU64,
    heard: Mutex<Instant>,
    sending: Mutex<Sending>,
    /// Server-sent events of a viewer.
    pub events: EventStreams,
    counted: Mutex<Counts>,
}

impl Session {
    /// A session that has just been answered.
    pub fn new(id: SessionId, stream: StreamName, role: Role, ice: IceSession, bundle: BundleTag, held: Held) -> Self {
        let Held {
            transport,
            worker,
            place,
        } = held;
        worker.sessions.fetch_add(1, Ordering::Relaxed);
        let now = Instant::now();
        Self {
            id,
            stream,
            role,
            ice: tokio::sync::Mutex::new(ice),
            bundle,
            transport,
            given: Mutex::default(),
            worker,
            place,
            created: now,
            connected: AtomicBool::new(false),
            bytes: AtomicU64::new(0),
            heard: Mutex::new(now),
            sending: Mutex::default(),
            events: EventStreams::default(),
            counted: Mutex::default(),
        }
    }

    /// The layers of a viewer's video, where there are several.
    pub fn layers(&self) -> Option<&ViewerLayers> {
        match &self.role {
            Role::Viewer { layers, .. } => layers.as_deref(),
            Role::Publisher { .. } => None,
        }
    }

    /// What a viewer watches.
    pub fn watched(&self) -> Option<&Arc<LocalStream>> {
        match &self.role {
            Role::Viewer { seat, .. } => Some(seat.local()),
            Role::Publisher { .. } => None,
        }
    }

    /// The simulcast layer that a viewer is sent at present; none for a video of one layer, and before the first picture.
    pub fn current_layer(&self) -> Option<ConsumerLayers> {
        self.layers().and_then(ViewerLayers::current)
    }

    /// Asks a viewer that listens to events to open a new session: at `url`, or at the endpoint where it opened this one.
    /// To be called before the session is ended; it is told even if that follows at once.
    pub fn announce_reconnect(&self, url: Option<&str>) {
        self.events.announce_reconnect(url);
    }

    /// The DTLS handshake is done. Answers whether the session may go on: the router of one that took long may have made room
    /// for another one.
    #[must_use]
    pub fn set_connected(&self) -> bool {
        if let Role::Viewer { seat, .. } = &self.role
            && !seat.connect()
        {
            return false;
        }
        self.connected.store(true, Ordering::Relaxed);
        self.place.connected();
        *self.heard.lock() = Instant::now();
        true
    }

    /// Whether it is a viewer on this router.
    pub fn is_on(&self, router: RouterId) -> bool {
        matches!(&self.role, Role::Viewer { seat, .. } if seat.router() == router)
    }

    /// Whether the DTLS handshake is done.
    pub fn is_connected(&self) -> bool {
        self.connected.load(Ordering::Relaxed)
    }

    /// Whether it is looked at for pictures: publishers always are, viewers until the first was sent.
    pub fn waits_for_pictures(&self) -> bool {
        match &self.role {
            Role::Publisher { .. } => true,
            Role::Viewer { first, .. } => !first.was_sent(),
        }
    }

    /// Whether it is a viewer of video to whom no picture was sent yet.
    pub fn awaits_picture(&self) -> bool {
        match &self.role {
            Role::Publisher { .. } => false,
            Role::Viewer { consumers, first, .. } => first.is_awaited(consumers),
        }
    }

    /// What is published or watched.
    pub fn publication(&self) -> &PublicationId {
        match &self.role {
            Role::Publisher { publication, .. } => publication,
            Role::Viewer { seat, .. } => &seat.local().publication,
        }
    }

    /// Notes which candidates the client was given by what this server wrote: a description, or the answer to an ICE restart.
    pub fn note_given(&self, description: &str) {
        *self.given.lock() = ice_report::given(description);
    }

    /// The candidates that the client was given, and what has come of them.
    pub fn ice_report(&self) -> SessionIce {
        let given = self.given.lock().clone();
        ice_report::report(given, self.transport.ice_state(), self.transport.ice_selected_tuple())
    }

    /// Time since the answer.
    pub fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.created)
    }

    /// The worker that serves it.
    pub fn worker(&self) -> u16 {
        self.worker.index
    }

    /// Notes what has been counted so far; answers what is new.
    pub fn count(&self, now: Counts) -> Counts {
        let mut counted = self.counted.lock();
        let more = now.since(*counted);
        *counted = counted.highest(now);
        more
    }

    /// Whether a publisher has sent more than it may for too long, given the bytes received so far.
    pub fn sends_too_much(&self, bytes: u64, limit_kbps: u32, now: Instant) -> bool {
        matches!(self.role, Role::Publisher { .. }) && self.sending.lock().too_much(bytes, limit_kbps, now)
    }

    /// Why the session should end now, if it should, given the bytes received so far.
    pub fn overdue(&self, bytes: Option<u64>, now: Instant) -> Option<EndReason> {
        if !self.is_connected() {
            return (now.saturating_duration_since(self.created) > CONNECT_TIMEOUT)
                .then_some(EndReason::NeverConnected);
        }
        let mut heard = self.heard.lock();
        match bytes {
            Some(bytes) if self.bytes.swap(bytes, Ordering::Relaxed) != bytes => {
                *heard = now;
                None
            }
            Some(_) => (now.saturating_duration_since(*heard) > SILENCE_TIMEOUT).then_some(EndReason::Silent),
            // A worker that does not answer says nothing about the client.
            None => None,
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.worker.sessions.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What is kept of a session that has ended.
struct Tombstone {
    id: SessionId,
    at: Instant,
    why: EndReason,
}

/// All sessions of a node.
#[derive(Default)]
pub struct Sessions {
    open: Mutex<HashMap<SessionId, Arc<Session>>>,
    ended: Mutex<VecDeque<Tombstone>>,
}

impl Sessions {
    pub fn add(&self, session: Arc<Session>) {
        self.open.lock().insert(session.id.clone(), session);
    }

    /// Finds an open session.
    pub fn get(&self, id: &str) -> Option<Arc<Session>> {
        self.open.lock().get(id).cloned()
    }

    /// Finds an open session by the public part of its id.
    pub fn by_handle(&self, wanted: &SessionHandle) -> Option<Arc<Session>> {
        let open = self.open.lock();
        let found = open.values().find(|s| s.id.starts_with(wanted.as_str()));
        found.cloned()
    }

    /// Takes a session out; dropping what is returned ends it. `why` is told to whoever asks for it later.
    pub fn remove(&self, id: &str, why: EndReason) -> Option<Arc<Session>> {
        let session = self.open.lock().remove(id)?;
        // Not left to the last holder of the session: players hear of the end at once.
        session.events.close_all();
        self.bury(id, why);
        Some(session)
    }

    /// Remembers that there was a session of this id, and why there is none any more.
    pub fn bury(&self, id: &str, why: EndReason) {
        let mut ended = self.ended.lock();
        if ended.len() >= MAX_TOMBSTONES {
            ended.pop_front();
        }
        ended.push_back(Tombstone {
            id: id.to_owned(),
            at: Instant::now(),
            why,
        });
    }

    /// Why a session of this id ended a short while ago, if it did.
    pub fn ended_recently(&self, id: &str) -> Option<EndReason> {
        let mut ended = self.ended.lock();
        while ended.front().is_some_and(|stone| stone.at.elapsed() > TOMBSTONE_LIFE) {
            ended.pop_front();
        }
        ended.iter().find(|stone| stone.id == id).map(|stone| stone.why)
    }

    /// Every open session.
    pub fn all(&self) -> Vec<Arc<Session>> {
        self.open.lock().values().cloned().collect()
    }

    /// Ids of the viewers of a publication.
    pub fn viewers_of(&self, publication: &PublicationId) -> Vec<SessionId> {
        self.open
            .lock()
            .values()
            .filter(|s| matches!(&s.role, Role::Viewer { seat, .. } if seat.local().publication == *publication))
            .map(|s| s.id.clone())
            .collect()
    }

    /// Publishers and viewers.
    pub fn count(&self) -> (u32, u32) {
        let open = self.open.lock();
        let publishers = open
            .values()
            .filter(|s| matches!(s.role, Role::Publisher { .. }))
            .count();
        let of = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        (of(publishers), of(open.len() - publishers))
    }
}
