//! SDP at the border: an [`offer`] is parsed into types that the rest of the node can trust, an [`answer`] is written
//! from what mediasoup decided. Everything here is pure and never panics, whatever a client sends.

pub mod answer;
mod attributes;
pub mod bounds;
pub mod capabilities;
pub mod codec;
pub mod credentials;
mod extension_ids;
mod fmtp;
pub mod fragment;
pub mod lines;
pub mod offer;
mod offered_codec;
mod peer_transport;
pub mod player_answer;
pub mod publish;
mod rejected;
mod section;
pub mod server_offer;
pub mod simulcast;
pub(crate) mod steps;
mod text;

/// What is wrong with a description.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SdpFault {
    /// The text is not SDP.
    Malformed,
    /// It is SDP that this server cannot serve (RFC 9725 section 4.2).
    Unsupported,
}

/// Why an offer was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct SdpError {
    /// Which of the two it is.
    pub fault: SdpFault,
    /// Line or attribute at fault, as in SDP: `m=video (mid 1)`, `a=fingerprint`.
    pub field: String,
    /// What is wrong, and what would be right.
    pub detail: String,
}

impl SdpError {
    pub(crate) fn malformed(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            fault: SdpFault::Malformed,
            field: field.into(),
            detail: detail.into(),
        }
    }

    pub(crate) fn unsupported(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            fault: SdpFault::Unsupported,
            field: field.into(),
            detail: detail.into(),
        }
    }
}
