//! SDP at the border: an [`offer`] is parsed into types that the rest of the node can trust, an [`answer`] is written
//! from what mediasoup decided. Everything here is pure and never panics, whatever a client sends.

pub mod answer;
pub mod capabilities;
pub mod codec;
pub mod fragment;
pub mod lines;
pub mod offer;
pub mod player_answer;
pub mod publish;
pub mod server_offer;
pub mod simulcast;

use crate::problem::Problem;
use axum::http::StatusCode;

/// Why an offer was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct SdpError {
    /// 400 for text that is not SDP, 422 for SDP that this server cannot serve (RFC 9725 section 4.2).
    pub status: StatusCode,
    /// Line or attribute at fault, as in SDP: `m=video (mid 1)`, `a=fingerprint`.
    pub field: String,
    /// What is wrong, and what would be right.
    pub detail: String,
}

impl SdpError {
    pub(crate) fn malformed(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            field: field.into(),
            detail: detail.into(),
        }
    }

    pub(crate) fn unsupported(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            status: StatusCode::UNPROCESSABLE_ENTITY,
            field: field.into(),
            detail: detail.into(),
        }
    }
}

impl From<SdpError> for Problem {
    fn from(error: SdpError) -> Self {
        let title = if error.status == StatusCode::BAD_REQUEST {
            "Malformed SDP"
        } else {
            "Unsupported SDP"
        };
        Problem::new(error.status, title, error.detail).field(error.field)
    }
}
