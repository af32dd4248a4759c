//! What can go wrong at a peer, and how sessions end.

use serde::Serialize;
use std::fmt;
use std::time::Duration;

/// What can go wrong at a peer.
#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    /// The URL cannot be used.
    #[error("`{url}` is no URL for WHIP or WHEP: {why}; write it like http://127.0.0.1:2020/whip/NAME")]
    Url { url: String, why: String },
    /// The HTTP exchange failed below HTTP.
    #[error("{method} {url} got no answer: {source}; is the server running?")]
    Http {
        method: &'static str,
        url: String,
        #[source]
        source: reqwest::Error,
    },
    /// The server answered, but not with what the protocol asks for.
    #[error("{method} {url} was answered with {problem}")]
    Refused {
        method: &'static str,
        url: String,
        /// Status and text.
        problem: ErrorAnswer,
    },
    /// An SDP that str0m does not take.
    #[error("the {what} of {url} cannot be used: {source}")]
    Sdp {
        what: &'static str,
        url: String,
        #[source]
        source: str0m::RtcError,
    },
    /// The answer leaves out something without which the peer makes no sense.
    #[error("the answer of {url} lacks {what}")]
    Answer { url: String, what: String },
    /// No UDP socket.
    #[error("cannot open a UDP socket on {bind}: {source}")]
    Socket {
        /// Address that was asked for.
        bind: std::net::IpAddr,
        #[source]
        source: std::io::Error,
    },
    /// WebRTC itself failed.
    #[error("WebRTC session failed: {0}")]
    Rtc(#[from] str0m::RtcError),
    /// A condition did not come true in time.
    #[error("{url}: no {what} within {within:?} ({state})")]
    Deadline {
        url: String,
        /// What was waited for.
        what: String,
        within: Duration,
        /// What there was instead.
        state: String,
    },
    /// The session ended while something was waited for.
    #[error("{url}: closed ({reason}) while waiting for {what}")]
    Closed {
        url: String,
        /// Why it ended.
        reason: CloseReason,
        /// What was waited for.
        what: String,
    },
}

/// An error answer, as short as it can be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorAnswer {
    /// HTTP status.
    pub status: u16,
    /// Body, cut.
    pub body: String,
}

impl fmt::Display for ErrorAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.status, self.body)
    }
}

/// Why a session ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", tag = "reason", content = "detail")]
pub enum CloseReason {
    /// This side closed it.
    Local,
    /// The server closed DTLS.
    Remote,
    /// ICE checks went unanswered for some seconds.
    IceLost,
    /// Nothing at all was received for as long as the options allow.
    Silence,
    /// The engine failed.
    Failed(String),
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local => f.write_str("closed here"),
            Self::Remote => f.write_str("closed by the server"),
            Self::IceLost => f.write_str("ICE lost"),
            Self::Silence => f.write_str("nothing received"),
            Self::Failed(why) => write!(f, "failed: {why}"),
        }
    }
}
