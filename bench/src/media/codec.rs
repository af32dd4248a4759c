//! What tracks are coded in.

use serde::{Deserialize, Serialize};

/// What a track is coded in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Codec {
    /// VP8, RFC 6386 and RFC 7741.
    Vp8,
    /// H264 constrained baseline, packetization mode 1, RFC 6184.
    H264,
    /// Opus, RFC 6716 and RFC 7587.
    Opus,
}

impl Codec {
    /// Whether this codes pictures.
    #[must_use]
    pub const fn is_video(self) -> bool {
        matches!(self, Self::Vp8 | Self::H264)
    }
}
