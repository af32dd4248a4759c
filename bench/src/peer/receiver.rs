//! The task of a viewer: every packet is counted, none is kept.

use super::engine::Engine;
use super::error::{CloseReason, PeerError};
use super::session::Running;
use crate::figures::millis;
use crate::media::track::Arrival;
use crate::media::{Codec, TrackMeter};
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::{Duration, Instant};
use str0m::Event;
use str0m::format::Codec as WireCodec;
use str0m::media::{KeyframeRequestKind, Mid};
use str0m::rtp::RtpPacket;

/// What the task has counted; shared with the owner under a lock that is hardly ever contended.
#[derive(Debug, Default)]
pub(super) struct Counted {
    pub answered_ms: f64,
    pub connected_ms: Option<f64>,
    pub audio: Option<TrackMeter>,
    pub video: Option<TrackMeter>,
}

/// What the task knows of a track before and while packets come.
pub(super) struct Incoming {
    mid: Mid,
    seen: bool,
    asked_at: Option<Instant>,
}

impl Incoming {
    pub(super) const fn new(mid: Mid) -> Self {
        Self {
            mid,
            seen: false,
            asked_at: None,
        }
    }
}

/// The task of a viewer.
pub(super) struct Receiver {
    pub engine: Engine,
    pub audio: Option<Incoming>,
    pub video: Option<Incoming>,
    pub started: Instant,
    pub ask_every: Option<Duration>,
    pub silence: Duration,
    pub max_delays: usize,
    pub counted: Arc<Mutex<Counted>>,
}

impl Receiver {
    pub(super) async fn run(mut self, running: Running) {
        let reason = match self.count_until_over(&running).await {
            Ok(reason) => reason,
            Err(error) => CloseReason::Failed(error.to_string()),
        };
        running.end(&mut self.engine, reason).await;
    }

    async fn count_until_over(&mut self, running: &Running) -> Result<CloseReason, PeerError> {
        loop {
            self.engine.drain().await?;
            for event in std::mem::take(&mut self.engine.events) {
                if let Some(reason) = running.follow(&event) {
                    return Ok(reason);
                }
                match event {
                    Event::Connected => {
                        self.counted.lock().connected_ms = Some(millis(self.started.elapsed()));
                    }
                    Event::RtpPacket(packet) => self.packet(&packet),
                    _ => {}
                }
            }
            if let Some(reason) = running.over(&self.engine.rtc, self.engine.received_at, self.silence) {
                return Ok(reason);
            }
            let wake = self.engine.received_at + self.silence;
            tokio::select! {
                biased;
                () = running.cancel.cancelled() => return Ok(CloseReason::Local),
                waited = self.engine.wait(wake) => waited?,
            }
        }
    }

    fn packet(&mut self, packet: &RtpPacket) {
        let Some(codec) = self.codec(packet) else { return };
        let incoming = if codec.is_video() {
            &mut self.video
        } else {
            &mut self.audio
        };
        let Some(incoming) = incoming else { return };
        if !std::mem::replace(&mut incoming.seen, true) {
            // A server without RTX repairs on the media SSRC; str0m asks for repairs only if told so then.
            if let Some(stream) = self.engine.rtc.direct_api().stream_rx(&packet.header.ssrc) {
                stream.suppress_nack(!codec.is_video());
            }
        }
        let arrival = Arrival {
            sequence: *packet.seq_no,
            timestamp: packet.time.numer(),
            marker: packet.header.marker,
            payload: Arc::clone(&packet.payload),
            wall: self.engine.received_wall,
            since_start: self.engine.received_at.saturating_duration_since(self.started),
        };
        let mut counted = self.counted.lock();
        let meter = if codec.is_video() {
            &mut counted.video
        } else {
            &mut counted.audio
        };
        let meter = meter.get_or_insert_with(|| TrackMeter::new(codec, self.max_delays));
        meter.packet(codec, &arrival);
        if codec.is_video() && meter.report().key_frames == 0 {
            drop(counted);
            self.ask_for_key_frame();
        }
    }

    /// Asks as a decoder would that cannot start, but not in the first moments: a key frame is usually on its way.
    fn ask_for_key_frame(&mut self) {
        let (Some(every), Some(video)) = (self.ask_every, &mut self.video) else {
            return;
        };
        let since = *video.asked_at.get_or_insert_with(Instant::now);
        if since.elapsed() < every {
            return;
        }
        video.asked_at = Some(Instant::now());
        if let Some(stream) = self.engine.rtc.direct_api().stream_rx_by_mid(video.mid, None) {
            stream.request_keyframe(KeyframeRequestKind::Pli);
        }
    }

    fn codec(&self, packet: &RtpPacket) -> Option<Codec> {
        let pt = packet.header.payload_type;
        let params = self.engine.rtc.codec_config().find(|p| p.pt() == pt)?;
        match params.spec().codec {
            WireCodec::Vp8 => Some(Codec::Vp8),
            WireCodec::H264 => Some(Codec::H264),
            WireCodec::Opus => Some(Codec::Opus),
            _ => None,
        }
    }
}
