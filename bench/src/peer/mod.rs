//! WebRTC peers that speak WHIP and WHEP: a publisher that makes its media up, and a viewer that only counts.
//!
//! Both are one tokio task around a sans-IO [`str0m::Rtc`] and one UDP socket, so many fit in one process. What they say on
//! the wire follows browsers where a media node could tell the difference: Chrome's payload types, audio before video,
//! max-bundle, RTX, a full ICE agent in the controlling role.

mod candidates;
mod config;
mod described;
mod engine;
mod error;
mod http;
mod options;
mod publisher;
mod receiver;
mod sender;
mod session;
mod tls;
mod viewer;

pub use candidates::{Candidate, Host, IceDescription, MAX_CANDIDATES, Transport};
pub use config::HeaderExtensions;
pub use described::Described;
pub use error::{CloseReason, ErrorAnswer, PeerError};
pub(crate) use http::{MAX_BODY, body, client};
pub use http::{Retry, plain_endpoint};
pub use options::{PublisherOptions, PublisherReport};
pub use publisher::Publisher;
pub use session::ConnectionState;
pub use tls::{TrustError, trust};
pub use viewer::{Viewer, ViewerOptions, ViewerReport};
