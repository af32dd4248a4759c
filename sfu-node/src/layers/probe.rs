//! Learns the sizes of a publication's layers where it enters: every layer is also sent to this process, which reads the
//! headers of key frames and drops the rest. Only publications with several layers have a probe, at their origin; other
//! nodes are told by the peer sync.

use super::frame_size::{self, FrameSize};
use crate::media::deadline::{MediaError, within};
use crate::media::rtp::{rtp_payload, ssrc};
use crate::sdp::codec::{StreamCodec, payload_type};
use mediasoup::prelude::*;
use mediasoup::types::rtp_parameters::RtpCapabilities;
use parking_lot::Mutex;
use std::sync::Arc;

/// Reads the sizes of one video's layers while it lives.
pub struct SizeProbe {
    sizes: Arc<Mutex<Vec<Option<FrameSize>>>>,
    /// Held, since dropping it ends the reading.
    _consumer: Consumer,
}

impl SizeProbe {
    /// Starts reading a video with several layers; none for anything else. `changed` is called after each new size.
    pub async fn start(
        router: &Router,
        producer: &Producer,
        changed: impl Fn() + Send + Sync + 'static,
    ) -> Result<Option<Self>, MediaError> {
        let rtp = producer.consumable_rtp_parameters();
        let Some(stream) = StreamCodec::of(rtp) else {
            return Ok(None);
        };
        let StreamCodec::Video(codec, _) = stream else {
            return Ok(None);
        };
        if rtp.encodings.len() < 2 {
            return Ok(None);
        }
        let transport = within(
            "making a direct transport",
            router.create_direct_transport(DirectTransportOptions::default()),
        )
        .await?;
        let capabilities = RtpCapabilities {
            codecs: vec![stream.capability(payload_type(rtp), Vec::new())],
            header_extensions: Vec::new(),
        };
        let mut options = ConsumerOptions::new(producer.id(), capabilities);
        options.pipe = true;
        options.enable_rtx = Some(false);
        let consumer = within("reading the sizes of layers", transport.consume(options)).await?;
        let encodings = &consumer.rtp_parameters().encodings;
        let ssrcs: Vec<u32> = encodings.iter().filter_map(|encoding| encoding.ssrc).collect();
        let sizes = Arc::new(Mutex::new(vec![None; ssrcs.len()]));
        let written = Arc::clone(&sizes);
        consumer
            .on_rtp(move |packet| {
                if let Some(layer) = ssrc(packet).and_then(|ssrc| ssrcs.iter().position(|known| *known == ssrc))
                    && let Some(size) = rtp_payload(packet).and_then(|payload| frame_size::read(codec, payload))
                    && written.lock()[layer].replace(size) != Some(size)
                {
                    changed();
                }
            })
            .detach();
        Ok(Some(Self {
            sizes,
            _consumer: consumer,
        }))
    }

    /// Size of each layer, from the lowest.
    pub fn sizes(&self) -> Vec<Option<FrameSize>> {
        self.sizes.lock().clone()
    }
}
