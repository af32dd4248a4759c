//! WebRTC peers that speak WHIP and WHEP: a publisher that makes its media up, and a viewer that only counts.
//!
//! Both are one tokio task around a sans-IO [`str0m::Rtc`] and one UDP socket, so many fit in one process. What they say on
//! the wire follows browsers where a media node could tell the difference: Chrome's payload types, audio before video,
//! max-bundle, RTX, a full ICE agent in the controlling role.

mod config;
mod engine;
mod http;
mod publisher;
mod receiver;
mod sender;
mod session;
mod viewer;

pub use config::HeaderExtensions;
pub(crate) use http::client;
pub use http::{Problem, Retry, endpoint};
pub use publisher::{Publisher, PublisherOptions, PublisherReport};
pub use session::{CloseReason, ConnectionState};
pub use viewer::{Viewer, ViewerOptions, ViewerReport};

use std::time::Duration;

/// What can go wrong at a peer.
#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    /// The URL cannot be used.
    #[error("`{url}` is no URL for WHIP or WHEP: {why}; write it like http://127.0.0.1:2020/whip/NAME")]
    Url {
        /// As given.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// The HTTP exchange failed below HTTP.
    #[error("{method} {url} got no answer: {source}; is the server running?")]
    Http {
        /// Method of the request.
        method: &'static str,
        /// Where it went.
        url: String,
        /// Why it failed.
        #[source]
        source: reqwest::Error,
    },
    /// The server answered, but not with what the protocol asks for.
    #[error("{method} {url} was answered with {problem}")]
    Refused {
        /// Method of the request.
        method: &'static str,
        /// Where it went.
        url: String,
        /// Status and text.
        problem: Problem,
    },
    /// An SDP that str0m does not take.
    #[error("the {what} of {url} cannot be used: {source}")]
    Sdp {
        /// Which SDP.
        what: &'static str,
        /// Whose.
        url: String,
        /// Why not.
        #[source]
        source: str0m::RtcError,
    },
    /// The answer leaves out something without which the peer makes no sense.
    #[error("the answer of {url} lacks {what}")]
    Answer {
        /// Whose.
        url: String,
        /// What is missing.
        what: String,
    },
    /// No UDP socket.
    #[error("cannot open a UDP socket on {bind}: {source}")]
    Socket {
        /// Address that was asked for.
        bind: std::net::IpAddr,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// WebRTC itself failed.
    #[error("WebRTC session failed: {0}")]
    Rtc(#[from] str0m::RtcError),
    /// A condition did not come true in time.
    #[error("{url}: no {what} within {within:?} ({state})")]
    Deadline {
        /// Whose.
        url: String,
        /// What was waited for.
        what: String,
        /// How long.
        within: Duration,
        /// What there was instead.
        state: String,
    },
    /// The session ended while something was waited for.
    #[error("{url}: closed ({reason}) while waiting for {what}")]
    Closed {
        /// Whose.
        url: String,
        /// Why it ended.
        reason: CloseReason,
        /// What was waited for.
        what: String,
    },
}
