//! A publisher's tracks as its worker sees them arrive.

use super::arrival::{Arrivals, Came, Change, Received};
use crate::media::deadline::{MediaError, within};
use crate::sdp::capabilities::track_kind;
use crate::sdp::codec::{StreamCodec, VideoCodec};
use mediasoup::prelude::*;
use mediasoup::producer::ProducerTraceEventType;
use parking_lot::Mutex;
use sfumato_admin_api::types::{TrackKind, TrackState};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// What is looked at of one publication.
pub struct Incoming {
    tracks: Vec<Track>,
    arrivals: Mutex<Arrivals>,
}

struct Track {
    producer: Producer,
    codec: &'static str,
    /// Set by its first key frame.
    key_frame: Arc<AtomicBool>,
    /// Whether the worker still tells of each key frame.
    is_watched: AtomicBool,
}

impl Incoming {
    /// Begins to look for the first key frame of each video.
    pub async fn watch(producers: &[Producer]) -> Result<Self, MediaError> {
        let mut tracks = Vec::with_capacity(producers.len());
        for producer in producers {
            tracks.push(Track::watch(producer.clone()).await?);
        }
        let kinds = tracks.iter().map(|track| {
            let watched = track.is_watched.load(Ordering::Relaxed);
            (track_kind(track.producer.kind()), watched)
        });
        let arrivals = Mutex::new(Arrivals::new(kinds));
        Ok(Self { tracks, arrivals })
    }

    /// Looks at what has come since; `received` is what the publisher's transport has.
    pub async fn look(&self, received: Received, now: Instant) -> Result<Vec<Change>, MediaError> {
        let mut came = Vec::with_capacity(self.tracks.len());
        for track in &self.tracks {
            came.push(track.look().await?);
        }
        Ok(self.arrivals.lock().look(received, &came, now))
    }

    /// State of each track, by kind.
    pub fn states(&self) -> Vec<(TrackKind, TrackState)> {
        self.arrivals.lock().states().collect()
    }

    /// State of the track of a kind.
    pub fn state(&self, kind: TrackKind) -> Option<TrackState> {
        self.arrivals.lock().state(kind)
    }

    /// Codec of the track of a kind, as in SDP.
    pub fn codec(&self, kind: TrackKind) -> &'static str {
        let found = self.tracks.iter().find(|it| track_kind(it.producer.kind()) == kind);
        found.map_or("", |track| track.codec)
    }
}

impl Track {
    async fn watch(producer: Producer) -> Result<Self, MediaError> {
        let codec = StreamCodec::of(producer.rtp_parameters());
        // The worker does not know the key frames of AV1, and forwards it from the first packet.
        let has_key_frames = matches!(&codec, Some(StreamCodec::Video(codec, _)) if *codec != VideoCodec::Av1);
        let key_frame = Arc::new(AtomicBool::new(false));
        if has_key_frames {
            let seen = Arc::clone(&key_frame);
            producer.on_trace(move |_| seen.store(true, Ordering::Relaxed)).detach();
            let told = producer.enable_trace_event(vec![ProducerTraceEventType::KeyFrame]);
            within("looking for key frames", told).await?;
        }
        Ok(Self {
            producer,
            codec: codec.as_ref().map_or("", StreamCodec::name),
            key_frame,
            is_watched: AtomicBool::new(has_key_frames),
        })
    }

    async fn look(&self) -> Result<Came, MediaError> {
        let stats = within("reading a publisher's statistics", self.producer.get_stats()).await?;
        let key_frame = self.key_frame.load(Ordering::Relaxed);
        // The first is enough: a client may send as many as it likes, and each would be told.
        if key_frame && self.is_watched.swap(false, Ordering::Relaxed) {
            within("looking for key frames", self.producer.enable_trace_event(Vec::new())).await?;
        }
        Ok(Came {
            packets: stats.iter().map(|stat| stat.packet_count).sum(),
            bytes: stats.iter().map(|stat| stat.byte_count).sum(),
            key_frame,
        })
    }
}
