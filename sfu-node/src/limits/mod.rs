//! How much clients may use: sessions, viewers, requests, bitrate.

pub mod bitrate;
mod capacity;
mod options;
pub mod parsing;
mod proxy;
mod rate;

pub use capacity::{Full, InUse};
pub use options::LimitOptions;

use axum::http::{HeaderMap, Method};
use capacity::Room;
use governor::clock::DefaultClock;
use proxy::TrustedProxies;
use rate::RequestRate;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, Ordering};
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
    proxies: TrustedProxies,
    rate: RequestRate,
    /// Sessions that are being made, and are in no list yet.
    making: AtomicU32,
}

/// A place for a session that is being made; free again when dropped, by which time the session is in the list.
#[must_use]
pub struct Place<'a>(&'a Limits);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.making.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Limits {
    /// Limits as the options say.
    pub fn new(options: &LimitOptions) -> Self {
        Self {
            room: Room {
                sessions: options.max_sessions,
                half_open: options.max_half_open,
                viewers: options.max_viewers_per_stream,
            },
            max_request_rate: options.max_request_rate,
            proxies: options.trusted_proxy.clone(),
            rate: RequestRate::new(options.max_request_rate, DefaultClock::default()),
            making: AtomicU32::new(0),
        }
    }

    /// A place for one more session beside those that `in_use` counts.
    pub fn place(&self, in_use: impl FnOnce() -> InUse) -> Result<Place<'_>, Full> {
        // Counted before the others are: of two that come for the last place at once, at most one gets it.
        let making = self.making.fetch_add(1, Ordering::AcqRel);
        let place = Place(self);
        let there = in_use();
        self.room.for_session(InUse {
            sessions: there.sessions.saturating_add(making),
            half_open: there.half_open.saturating_add(making),
        })?;
        Ok(place)
    }

    /// Whether a stream with so many viewers on this node may have one more.
    pub fn viewer(&self, viewers: u32) -> Result<(), Full> {
        self.room.for_viewer(viewers)
    }

    /// Counts a request that costs something. `front_door` says whether one of our own passed it on.
    pub fn request(&self, method: &Method, peer: IpAddr, front_door: bool, headers: &HeaderMap) -> Result<(), TooFast> {
        if !matches!(*method, Method::POST | Method::PATCH | Method::DELETE) {
            return Ok(());
        }
        let client = self.proxies.client(peer, front_door, headers);
        let limit = self.max_request_rate;
        self.rate.admit(client.into()).map_err(|wait| TooFast { limit, wait })
    }

    /// Forgets clients that have their whole allowance again.
    pub fn sweep(&self) {
        self.rate.forget();
    }
}
