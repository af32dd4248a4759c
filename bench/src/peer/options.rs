//! What a publisher is told to do, and what it has done.

use super::http::Retry;
use crate::media::Codec;
use serde::Serialize;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

/// What a publisher sends, and how it behaves.
#[derive(Debug, Clone)]
pub struct PublisherOptions {
    /// Codec of the video track; none for sound alone.
    pub video: Option<Codec>,
    /// Whether there is an opus track.
    pub audio: bool,
    /// Video frames a second.
    pub frames_per_second: u32,
    /// Size of a frame, in bytes. The default makes 1.15 Mbit/s with the default rate.
    pub frame_bytes: usize,
    /// Size of a key frame, in bytes.
    pub key_frame_bytes: usize,
    /// A key frame at least this often; by default only at the start and on request, as browsers do.
    pub key_frame_every: Option<Duration>,
    /// Video frames leave at this moment plus whole frame intervals, so that publishers can be kept out of each other's
    /// way; by default the clock starts with the connection.
    pub frame_grid: Option<Instant>,
    /// Bearer token.
    pub token: Option<String>,
    /// Local address of the media socket.
    pub bind: IpAddr,
    /// Its local port; 0 has the system choose one.
    pub port: u16,
    /// Whether a POST that is refused for now is tried again.
    pub retry: Retry,
    /// The session counts as dead when nothing has been received for so long.
    pub silence: Duration,
}

impl Default for PublisherOptions {
    fn default() -> Self {
        Self {
            video: Some(Codec::Vp8),
            audio: true,
            frames_per_second: 30,
            frame_bytes: 1_150_000 / 8 / 30,
            key_frame_bytes: 3 * 1_150_000 / 8 / 30,
            key_frame_every: None,
            frame_grid: None,
            token: None,
            bind: IpAddr::V4(Ipv4Addr::LOCALHOST),
            port: 0,
            retry: Retry::No,
            silence: Duration::from_secs(8),
        }
    }
}

impl PublisherOptions {
    /// As little as is still a stream, for runs in which many publishers come and go.
    #[must_use]
    pub fn light() -> Self {
        Self {
            frames_per_second: 20,
            frame_bytes: 1000,
            key_frame_bytes: 3000,
            ..Self::default()
        }
    }
}

/// What a publisher has done so far.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PublisherReport {
    /// Video frames sent.
    pub frames: u64,
    /// Key frames among them.
    pub key_frames: u64,
    /// Bytes of video frames.
    pub bytes: u64,
    /// Audio frames sent.
    pub audio_frames: u64,
    /// Requests for a key frame received (PLI and FIR).
    pub key_frame_requests: u64,
    /// From the POST to the answer, in milliseconds.
    pub answered_ms: f64,
    /// From the POST to the end of the DTLS handshake, in milliseconds.
    pub connected_ms: Option<f64>,
}
