//! Made-up media: frames that an SFU takes for real ones, and the reading of them at the other end.
//!
//! No encoder runs here. A media node looks at RTP headers and at the first bytes of a payload (is this a key frame, where
//! does it start), never at pictures; so a valid frame header followed by filler is enough, costs nothing, and leaves the
//! processor to the system that is measured.

mod bits;
mod codec;
pub mod frame;
pub mod packet;
pub mod stamp;
pub mod track;

pub use codec::Codec;
pub use frame::FrameMaker;
pub use stamp::Stamp;
pub use track::{Delay, TrackMeter, TrackReport};
