//! How much clients may use: sessions, viewers, requests, bitrate.

pub mod bitrate;
mod capacity;
mod holder;
pub mod media_tcp;
mod options;
pub mod parsing;
mod rate;

pub use capacity::{Full, MAX_EVENT_STREAMS, MAX_REQUESTS, SessionPlace, Shared};
pub use holder::{Holder, Subject};
pub use options::LimitOptions;

use axum::http::{HeaderMap, Method};
use capacity::Room;
use governor::clock::DefaultClock;
use media_tcp::{MAX_STRANGERS, Strangers};
use parking_lot::Mutex;
use rate::RequestRate;
use sfumato_admin_api::program::complaints::Complaints;
use sfumato_admin_api::server::client_address::{ClientKey, Networks, holder};
use sfumato_admin_api::server::places::Place;
use std::net::IpAddr;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

/// A client sends more requests than it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("more than {limit} requests a second come from this address (--max-request-rate): slow down")]
pub struct TooFast {
    /// Requests that one address may send in a second.
    pub limit: u32,
    /// How long it should wait.
    pub wait: Duration,
}

/// The limits of a node, and what they need to remember.
pub struct Limits {
    room: Room,
    max_request_rate: u32,
    proxies: Networks,
    exempt: Networks,
    rate: RequestRate,
    /// TCP connections to the media ports over which no session plays.
    pub strangers: Mutex<Strangers>,
    /// How many of them were ended.
    pub strangers_ended: AtomicU64,
    /// What the log tells of them.
    pub strangers_complaints: Complaints,
}

/// The address that a client's request came from, as far as trusted proxies and front doors say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientAddress(pub IpAddr);

impl Limits {
    /// Limits as the options say.
    pub fn new(options: &LimitOptions) -> Self {
        Self {
            room: Room::new(
                options.max_sessions,
                options.max_half_open,
                options.max_viewers_per_stream,
            ),
            max_request_rate: options.max_request_rate,
            proxies: options.trusted_proxy.clone(),
            exempt: options.trusted_address.clone(),
            rate: RequestRate::new(options.max_request_rate, DefaultClock::default()),
            strangers: Mutex::new(Strangers::new(MAX_STRANGERS, options.trusted_address.clone())),
            strangers_ended: AtomicU64::new(0),
            strangers_complaints: Complaints::default(),
        }
    }

    /// A place for one more session of this client.
    pub fn session(&self, holder: &[Holder]) -> Result<SessionPlace, Full> {
        self.room.session(holder)
    }

    /// A place for one more offer of this server to this client.
    pub fn offer(&self, holder: &[Holder]) -> Result<Place<Holder>, Full> {
        self.room.offer(holder)
    }

    /// A place for one more stream of events to this client.
    pub fn event_stream(&self, holder: &[Holder]) -> Result<Place<Holder>, Full> {
        self.room.event_stream(holder)
    }

    /// A place for one more request of this client, where it has a body: reading that takes memory, and its work takes turns.
    pub fn answering(&self, method: &Method, client: ClientAddress) -> Result<Option<Place<Holder>>, Full> {
        let with_body = matches!(*method, Method::POST | Method::PATCH);
        let place = || self.room.request(&self.holder(Some(client), None));
        with_body.then(place).transpose()
    }

    /// Whether a stream with so many viewers on this node may have one more.
    pub fn viewer(&self, viewers: u32) -> Result<(), Full> {
        self.room.viewer(viewers)
    }

    /// Whose request this is. `front_door` says whether one of our own passed it on.
    pub fn client(&self, peer: IpAddr, front_door: bool, headers: &HeaderMap) -> ClientAddress {
        ClientAddress(self.proxies.client(peer, front_door, headers))
    }

    /// Whom something counts against that this client is given. A client on loopback without a subject counts as nobody.
    pub fn holder(&self, client: Option<ClientAddress>, subject: Option<Subject>) -> Vec<Holder> {
        let address = client.and_then(|client| holder(client.0, &self.exempt));
        let address = address.map(Holder::Address);
        address.into_iter().chain(subject.map(Holder::Subject)).collect()
    }

    /// Counts a request that costs something.
    pub fn request(&self, method: &Method, client: ClientAddress) -> Result<(), TooFast> {
        if !matches!(*method, Method::POST | Method::PATCH | Method::DELETE) {
            return Ok(());
        }
        let limit = self.max_request_rate;
        let counted = self.rate.admit(ClientKey::from(client.0));
        counted.map_err(|wait| TooFast { limit, wait })
    }

    /// Forgets clients that have their whole allowance again.
    pub fn sweep(&self) {
        self.rate.forget();
    }
}
