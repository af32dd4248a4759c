//! Simulcast layers: which ones a publication has, and which one each of its viewers gets.
//!
//! Pipes carry every layer; one is chosen at the viewer's own consumer, the last hop. A viewer whose connection estimates
//! bandwidth gets the layer that fits from mediasoup, and [`lag`] tries a higher one where its estimate stays low. For one
//! that does not, [`controller`] watches the loss that it reports. Either way a viewer may ask for less ([`request`]).

mod bits;
pub mod controller;
pub mod frame_size;
pub mod lag;
pub mod probe;
pub mod request;
mod trial;
pub mod viewer;

use frame_size::FrameSize;

/// A layer of a simulcast video. Layers are listed from the lowest, which has index 0, to the highest.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Layer {
    /// The publisher's name for it (RFC 8851).
    pub rid: Option<String>,
    /// Size of its pictures, known after its first key frame.
    pub size: Option<FrameSize>,
    /// What it brings at present, in bit/s; 0 while the publisher does not send it.
    pub bitrate: u64,
}
