//! Sends a worker's beats and feeds what arrives on its links to their monitors: `DirectTransport` producer -> pipe -> pipe
//! producer at the peer -> `DirectTransport` consumer there.

use crate::links::beat::{BEAT_SSRC, Beat, Echo, SentBeats, rtp_packet};
use crate::links::large::{LARGE_BYTES, LARGE_EVERY, Large};
use crate::media::deadline::{MediaError, within};
use crate::media::worker::MediaWorker;
use mediasoup::prelude::*;
use mediasoup::producer::DirectProducer;
use mediasoup::types::rtp_parameters::{
    MediaKind, MimeTypeAudio, RtcpParameters, RtpCapabilities, RtpCodecCapability, RtpCodecParameters,
    RtpCodecParametersParameters, RtpEncodingParameters, RtpParameters,
};
use parking_lot::Mutex;
use sfumato_admin_api::types::Lane;
use std::num::{NonZeroU8, NonZeroU32};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// Payload type of beats: the main router's opus.
const BEAT_PAYLOAD_TYPE: u8 = 111;
/// Least time between two beats of a worker, however often peers wait for an echo.
const MIN_GAP: Duration = Duration::from_millis(10);

/// Sends the beats of one worker.
pub struct BeatSender {
    lane: Lane,
    transport: DirectTransport,
    producer: DirectProducer,
    producer_id: ProducerId,
    next: AtomicU32,
    sent: Mutex<SentBeats>,
    soon: Notify,
}

impl BeatSender {
    /// Makes the beat producer on the worker's main router.
    pub async fn start(worker: &MediaWorker) -> Result<Arc<Self>, MediaError> {
        let transport = within(
            "making a direct transport",
            worker.main.create_direct_transport(DirectTransportOptions::default()),
        )
        .await?;
        let options = ProducerOptions::new(MediaKind::Audio, beat_parameters());
        let producer = within("making the heartbeat producer", transport.produce(options)).await?;
        let producer_id = producer.id();
        let Producer::Direct(producer) = producer else {
            return Err(MediaError::Refused {
                what: "making the heartbeat producer",
                cause: "a direct transport made a producer that cannot send".to_owned(),
            });
        };
        Ok(Arc::new(Self {
            lane: Lane(worker.index),
            transport,
            producer,
            producer_id,
            next: AtomicU32::new(1),
            sent: Mutex::new(SentBeats::default()),
            soon: Notify::new(),
        }))
    }

    /// The producer that every link of this worker sends.
    pub fn producer_id(&self) -> ProducerId {
        self.producer_id
    }

    /// Asks for a beat at once: a peer waits for our echo, or a link has just been connected.
    pub fn soon(&self) {
        self.soon.notify_one();
    }

    /// When a recent beat was sent.
    pub fn sent_at(&self, sequence: u32) -> Option<Instant> {
        self.sent.lock().when(sequence)
    }

    /// Receives the beats that arrive as `producer` on this worker's main router.
    pub async fn listen(&self, producer: &Producer) -> Result<Consumer, MediaError> {
        let capabilities = RtpCapabilities {
            codecs: vec![opus()],
            header_extensions: Vec::new(),
        };
        within(
            "listening for heartbeats",
            self.transport
                .consume(ConsumerOptions::new(producer.id(), capabilities)),
        )
        .await
    }

    /// Sends beats for ever. `echoes` answers what to echo over this worker's connected links; none without such a link.
    pub async fn run(self: Arc<Self>, interval: Duration, echoes: impl Fn(Instant) -> Option<Vec<Echo>>) {
        loop {
            let _ = tokio::time::timeout(interval, self.soon.notified()).await;
            let now = Instant::now();
            if let Some(echoes) = echoes(now) {
                self.send(echoes, now);
            }
            tokio::time::sleep(MIN_GAP).await;
        }
    }

    fn send(&self, echoes: Vec<Echo>, now: Instant) {
        let sequence = self.next.fetch_add(1, Ordering::Relaxed);
        let beat = Beat {
            sequence,
            lane: self.lane,
            echoes,
            large: Some(Large {
                sent: sequence / LARGE_EVERY,
                bytes: LARGE_BYTES,
                is_this: sequence.is_multiple_of(LARGE_EVERY),
            }),
        };
        self.sent.lock().sent(sequence, now);
        // 20 ms of opus a packet, as any player would expect of the timestamps.
        let packet = rtp_packet(BEAT_PAYLOAD_TYPE, sequence, sequence.wrapping_mul(960), &beat.encode());
        if let Err(error) = self.producer.send(packet) {
            tracing::warn!(lane = %self.lane, %error, "a heartbeat was not sent");
        }
    }
}

fn opus() -> RtpCodecCapability {
    RtpCodecCapability::Audio {
        mime_type: MimeTypeAudio::Opus,
        preferred_payload_type: Some(BEAT_PAYLOAD_TYPE),
        clock_rate: OPUS_RATE,
        channels: STEREO,
        parameters: RtpCodecParametersParameters::default(),
        rtcp_feedback: Vec::new(),
    }
}

const OPUS_RATE: NonZeroU32 = NonZeroU32::new(48_000).unwrap();
const STEREO: NonZeroU8 = NonZeroU8::new(2).unwrap();

fn beat_parameters() -> RtpParameters {
    RtpParameters {
        mid: None,
        codecs: vec![RtpCodecParameters::Audio {
            mime_type: MimeTypeAudio::Opus,
            payload_type: BEAT_PAYLOAD_TYPE,
            clock_rate: OPUS_RATE,
            channels: STEREO,
            parameters: RtpCodecParametersParameters::default(),
            rtcp_feedback: Vec::new(),
        }],
        header_extensions: Vec::new(),
        encodings: vec![RtpEncodingParameters {
            ssrc: Some(BEAT_SSRC),
            ..RtpEncodingParameters::default()
        }],
        rtcp: RtcpParameters {
            cname: Some("beat".to_owned()),
            reduced_size: true,
        },
        msid: None,
    }
}
