//! What arrives of a publication's tracks, and why nothing can be shown of one. Pure: clocks and counters come in.

use sfumato_admin_api::types::{TrackKind, TrackState};
use std::time::{Duration, Instant};

/// A track of which no RTP came for this time is told as missing.
pub const NOTHING_AFTER: Duration = Duration::from_secs(5);
/// A video without a key frame for this time after its first RTP is told.
pub const KEY_FRAME_WITHIN: Duration = Duration::from_secs(5);
/// A track that is silent for this time, while as much RTP comes that no track takes, has another SSRC than its offer said.
pub const STRANGE_AFTER: Duration = Duration::from_secs(3);
/// Bytes a second of RTP that no track takes, from which it counts: RTCP and STUN of a publisher are about 200.
const STRANGE_BYTES: u64 = 600;
/// And this part of what the track had before. A browser whose picture is switched off sends padding, which no track takes
/// either: in bursts.
const STRANGE_PART: u64 = 2;
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
    /// Their bytes.
    pub bytes: u64,
    /// Whether a key frame has.
    pub key_frame: bool,
}

/// One track.
#[derive(Debug)]
struct Track {
    kind: TrackKind,
    /// Whether the worker knows its key frames, and holds everything back until one comes.
    has_key_frames: bool,
    came: Came,
    first: Option<Instant>,
    /// When its last packet was seen.
    last: Option<Instant>,
    /// What it brought when it last did, in bytes a second.
    rate: u64,
    /// Since when RTP has come in its place, without a pause.
    strange: Option<Instant>,
    state: TrackState,
}

/// What came between two looks.
#[derive(Debug, Clone, Copy)]
struct Look {
    began: Instant,
    before: Instant,
    now: Instant,
    /// Bytes a second that no track took.
    untaken: u64,
}

/// The tracks of a publication.
#[derive(Debug, Default)]
pub struct Arrivals {
    began: Option<Instant>,
    /// The look before, and how many bytes no track had taken by then.
    before: Option<(Instant, u64)>,
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
            came: Came::default(),
            first: None,
            last: None,
            rate: 0,
            strange: None,
            state: TrackState::Waiting,
        };
        Self {
            began: None,
            before: None,
            tracks: tracks.into_iter().map(of).collect(),
        }
    }

    /// Looks at a publisher that is connected. `came` is in the order of the tracks.
    pub fn look(&mut self, received: Received, came: &[Came], now: Instant) -> Vec<Change> {
        let taken: u64 = came.iter().map(|track| track.packets).sum();
        let strange = received.all.saturating_sub(received.rtp).saturating_sub(received.rtx);
        let strange = strange.saturating_sub(taken.saturating_mul(TAG));
        let began = *self.began.get_or_insert(now);
        let (before, strange_before) = self.before.replace((now, strange)).unwrap_or((now, strange));
        let look = Look {
            began,
            before,
            now,
            untaken: per_second(strange.saturating_sub(strange_before), before, now),
        };
        let has_video = self.tracks.iter().any(|track| track.kind == TrackKind::Video);
        let mut changes = Vec::new();
        for (track, came) in self.tracks.iter_mut().zip(came) {
            // Where there is video, what nobody takes may be its padding.
            let may_be_strange = track.kind == TrackKind::Video || !has_video;
            let before = track.state;
            track.look(*came, may_be_strange, look);
            if track.state != before {
                let (kind, now) = (track.kind, track.state);
                changes.push(Change { kind, before, now });
            }
        }
        changes
    }

    /// State of each track, by kind.
    pub fn states(&self) -> impl Iterator<Item = (TrackKind, TrackState)> {
        self.tracks.iter().map(|track| (track.kind, track.state))
    }

    /// State of the track of a kind.
    pub fn state(&self, kind: TrackKind) -> Option<TrackState> {
        self.states().find(|(of, _)| *of == kind).map(|(_, state)| state)
    }
}

impl Track {
    fn look(&mut self, came: Came, may_be_strange: bool, look: Look) {
        let Look {
            began,
            before,
            now,
            untaken,
        } = look;
        if came.packets > self.came.packets {
            self.rate = per_second(came.bytes.saturating_sub(self.came.bytes), before, now);
            self.came = came;
            self.first.get_or_insert(now);
            self.last = Some(now);
            self.strange = None;
        } else if may_be_strange && untaken >= STRANGE_BYTES.max(self.rate / STRANGE_PART) {
            self.strange.get_or_insert(before);
        } else {
            self.strange = None;
        }
        let for_long = |since: Option<Instant>, long| since.is_some_and(|it| now.saturating_duration_since(it) >= long);
        let lacks_key_frame = self.has_key_frames && !came.key_frame;
        self.state = if for_long(self.strange, STRANGE_AFTER) {
            TrackState::StrangeSsrc
        } else if for_long(Some(self.last.unwrap_or(began)), NOTHING_AFTER) {
            TrackState::Nothing
        } else if self.first.is_none() {
            TrackState::Waiting
        } else if lacks_key_frame && for_long(self.first, KEY_FRAME_WITHIN) {
            TrackState::NoKeyFrame
        } else if lacks_key_frame {
            TrackState::Waiting
        } else {
            TrackState::Flowing
        };
    }
}

fn per_second(bytes: u64, before: Instant, now: Instant) -> u64 {
    let millis = u64::try_from(now.saturating_duration_since(before).as_millis()).unwrap_or(u64::MAX);
    bytes.saturating_mul(1_000).checked_div(millis).unwrap_or(0)
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
