//! What arrives of a publication's tracks, and why nothing can be shown of one. Pure: clocks and counters come in.

use sfumato_admin_api::types::{TrackKind, TrackState};
use std::time::{Duration, Instant};

/// A track of which no RTP came for this time is told as missing.
pub const NOTHING_AFTER: Duration = Duration::from_secs(5);
/// A video without a key frame for this time after its first RTP is told.
pub const KEY_FRAME_WITHIN: Duration = Duration::from_secs(5);
/// A track that is silent for this time, while RTP comes that no track takes, has another SSRC than its offer said.
pub const STRANGE_AFTER: Duration = Duration::from_secs(3);
/// Bytes a second of RTP that no track takes, from which it counts: RTCP and STUN of a publisher are about 200.
const STRANGE_BYTES: u64 = 600;
/// SRTP's longest tag, in bytes (RFC 7714 section 12): of each packet that is taken, and not of its RTP.
const TAG: u64 = 16;

/// What a publisher's transport has received so far, in bytes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Received {
    /// All of it: STUN, DTLS, RTP and RTCP.
    pub all: u64,
    /// RTP that a track took.
    pub rtp: u64,
    /// RTX that a track took.
    pub rtx: u64,
}

/// What of one track has come so far.
#[derive(Debug, Clone, Copy, Default)]
pub struct Came {
    /// Packets.
    pub packets: u64,
    /// Whether a key frame has.
    pub key_frame: bool,
}

/// One track.
#[derive(Debug)]
struct Track {
    kind: TrackKind,
    /// Whether the worker knows its key frames, and holds everything back until one comes.
    has_key_frames: bool,
    packets: u64,
    first: Option<Instant>,
    /// When its last packet was seen, and how many bytes nobody had taken by then.
    last: Option<(Instant, u64)>,
    state: TrackState,
}

/// The tracks of a publication.
#[derive(Debug, Default)]
pub struct Arrivals {
    began: Option<Instant>,
    tracks: Vec<Track>,
}

/// A track whose state has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    pub kind: TrackKind,
    pub before: TrackState,
    pub now: TrackState,
}

impl Arrivals {
    /// Tracks by kind, and whether the worker knows the key frames of their codecs.
    pub fn new(tracks: impl IntoIterator<Item = (TrackKind, bool)>) -> Self {
        let of = |(kind, has_key_frames)| Track {
            kind,
            has_key_frames,
            packets: 0,
            first: None,
            last: None,
            state: TrackState::Waiting,
        };
        Self {
            began: None,
            tracks: tracks.into_iter().map(of).collect(),
        }
    }

    /// Looks at a publisher that is connected. `came` is in the order of the tracks.
    pub fn look(&mut self, received: Received, came: &[Came], now: Instant) -> Vec<Change> {
        let taken: u64 = came.iter().map(|track| track.packets).sum();
        let strange = received.all.saturating_sub(received.rtp).saturating_sub(received.rtx);
        let strange = strange.saturating_sub(taken.saturating_mul(TAG));
        let began = *self.began.get_or_insert(now);
        let has_video = self.tracks.iter().any(|track| track.kind == TrackKind::Video);
        let mut changes = Vec::new();
        for (track, came) in self.tracks.iter_mut().zip(came) {
            // Where there is video, what nobody takes may be its padding.
            let may_be_strange = track.kind == TrackKind::Video || !has_video;
            let before = track.state;
            track.look(*came, strange, may_be_strange, began, now);
            if track.state != before {
                let (kind, now) = (track.kind, track.state);
                changes.push(Change { kind, before, now });
            }
        }
        changes
    }

    /// State of the track of a kind.
    pub fn state(&self, kind: TrackKind) -> Option<TrackState> {
        let track = self.tracks.iter().find(|track| track.kind == kind)?;
        Some(track.state)
    }
}

impl Track {
    fn look(&mut self, came: Came, strange: u64, may_be_strange: bool, began: Instant, now: Instant) {
        if came.packets > self.packets {
            self.packets = came.packets;
            self.first.get_or_insert(now);
            self.last = Some((now, strange));
        }
        let (heard, strange_then) = *self.last.get_or_insert((began, strange));
        let silent = now.saturating_duration_since(heard);
        let untaken = strange.saturating_sub(strange_then);
        let lacks_key_frame = self.has_key_frames && !came.key_frame;
        self.state = if may_be_strange && silent >= STRANGE_AFTER && untaken >= STRANGE_BYTES * silent.as_secs() {
            TrackState::StrangeSsrc
        } else if silent >= NOTHING_AFTER {
            TrackState::Nothing
        } else {
            match self.first {
                None => TrackState::Waiting,
                Some(first) if lacks_key_frame && now.saturating_duration_since(first) >= KEY_FRAME_WITHIN => {
                    TrackState::NoKeyFrame
                }
                Some(_) if lacks_key_frame => TrackState::Waiting,
                Some(_) => TrackState::Flowing,
            }
        };
    }
}

/// What to change at a publisher of whose track nothing can be shown; `codec` as in SDP.
pub fn advice(state: TrackState, codec: &str) -> Option<&'static str> {
    match state {
        TrackState::Waiting | TrackState::Flowing => None,
        TrackState::Nothing => Some(
            "no RTP of this track comes: see whether its source is on, and whether the client sends all tracks of its offer",
        ),
        TrackState::NoKeyFrame if codec.eq_ignore_ascii_case("H264") => Some(
            "no key frame with SPS came, and without one no player shows anything: send SPS and PPS with each key frame \
             (GStreamer: h264parse config-interval=-1; FFmpeg: -bsf:v dump_extra), and key frames every 1 or 2 s",
        ),
        TrackState::NoKeyFrame => Some(
            "no key frame came, and without one no player shows anything: set a key frame interval of 1 or 2 s, or answer PLI",
        ),
        TrackState::StrangeSsrc => Some(
            "RTP comes with an SSRC that no track of the offer has: send what a=ssrc says, or leave a=ssrc out and send MID \
             (RFC 8843 section 9.2)",
        ),
    }
}

#[cfg(test)]
#[path = "arrival_tests.rs"]
mod tests;
