//! Made-up media: frames that an SFU takes for real ones, and the reading of them at the other end.
//!
//! No encoder runs here. A media node looks at RTP headers and at the first bytes of a payload (is this a key frame, where
//! does it start), never at pictures; so a valid frame header followed by filler is enough, costs nothing, and leaves the
//! processor to the system that is measured.

mod bits;
pub mod frame;
pub mod packet;
pub mod stamp;
pub mod track;

pub use frame::FrameMaker;
pub use stamp::Stamp;
pub use track::{Delay, TrackMeter, TrackReport};

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
