//! What the URLs of WHIP and WHEP have in common: media types, headers, and which of the two one belongs to.

use crate::http::problem::Problem;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use sfumato_admin_api::server::client_token::Action;

pub(super) const SDP: &str = "application/sdp";
pub(super) const SDPFRAG: &str = "application/trickle-ice-sdpfrag";
pub(super) const ACCEPT_POST: HeaderName = HeaderName::from_static("accept-post");
pub(super) const ACCEPT_PATCH: HeaderName = HeaderName::from_static("accept-patch");

/// Which protocol an URL belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    /// Publishers.
    Whip,
    /// Viewers.
    Whep,
}

impl Protocol {
    /// First part of its URLs.
    pub(super) fn path(self) -> &'static str {
        match self {
            Self::Whip => "whip",
            Self::Whep => "whep",
        }
    }

    /// What a token must allow.
    pub(super) fn action(self) -> Action {
        match self {
            Self::Whip => Action::Publish,
            Self::Whep => Action::Play,
        }
    }
}

/// 405, with the methods that there are.
pub(super) fn not_allowed(method: &Method, allowed: &'static str) -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "Method not allowed",
        format!("{method} is not allowed here: {allowed}"),
    )
    .header(header::ALLOW, HeaderValue::from_static(allowed))
}
