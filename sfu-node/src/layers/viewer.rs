//! The layers of one viewer: what it asked for, what its losses allow, and what its consumer was told.

use super::Layer;
use super::controller::LossController;
use super::lag::{FloorStep, Lag};
use super::request::{InvalidLayerRequest, LayerRequest, MediaId, Target, target};
use crate::media::deadline::{MediaError, within};
use mediasoup::consumer::{ConsumerLayers, ConsumerRtpStreamStat, ConsumerType};
use mediasoup::prelude::*;
use mediasoup::types::rtp_parameters::{RtcpFeedback, RtpCapabilities, RtpCodecParameters, RtpHeaderExtensionUri};
use parking_lot::Mutex;
use std::time::Instant;

/// A viewer's simulcast video.
pub struct ViewerLayers {
    consumer: Consumer,
    media: MediaId,
    url_max_height: Option<u32>,
    wish: Mutex<Wish>,
    /// What the consumer was told last; held while it is told, so that the newest wish is told last.
    told: tokio::sync::Mutex<Option<Target>>,
}

struct Wish {
    request: LayerRequest,
    control: Control,
}

/// What is looked at beside the wish itself.
enum Control {
    /// mediasoup chooses by the viewer's bandwidth.
    Estimate(Lag),
    /// For a viewer without bandwidth estimation.
    Losses(LossController),
}

impl ViewerLayers {
    /// For a consumer of a video with several layers; none for any other.
    pub fn of(consumer: &Consumer, media: MediaId, url_max_height: Option<u32>) -> Option<Self> {
        if consumer.r#type() != ConsumerType::Simulcast {
            return None;
        }
        let top = consumer
            .rtp_parameters()
            .encodings
            .first()?
            .scalability_mode
            .spatial_layers()
            .get()
            - 1;
        let rtp = consumer.rtp_parameters();
        let reports = |codec: &RtpCodecParameters| codec.rtcp_feedback().contains(&RtcpFeedback::TransportCc);
        let estimated = rtp.codecs.iter().any(reports);
        Some(Self {
            consumer: consumer.clone(),
            media,
            url_max_height,
            wish: Mutex::new(Wish {
                request: LayerRequest::default(),
                control: if estimated {
                    Control::Estimate(Lag::default())
                } else {
                    Control::Losses(LossController::new(top))
                },
            }),
            told: tokio::sync::Mutex::new(None),
        })
    }

    /// The layer that is sent at present, while one is.
    pub fn current(&self) -> Option<ConsumerLayers> {
        self.consumer.current_layers()
    }

    /// The m-section of the video.
    pub fn media(&self) -> &MediaId {
        &self.media
    }

    /// Takes the viewer's newest request in the place of the one before.
    ///
    /// # Errors
    /// When it names what is not there.
    pub fn ask(&self, request: LayerRequest, layers: &[Layer]) -> Result<(), InvalidLayerRequest> {
        request.check(&self.media, layers)?;
        self.wish.lock().request = request;
        Ok(())
    }

    /// Whether the viewer's losses have to be looked at.
    pub fn needs_losses(&self) -> bool {
        matches!(self.wish.lock().control, Control::Losses(_))
    }

    /// What is to be done where mediasoup sends less than it may.
    pub async fn catch_up(&self, layers: &[Layer], now: Instant) -> Option<FloorStep> {
        let highest = layers.iter().rposition(|layer| layer.bitrate > 0)?;
        let wanted = self
            .told
            .lock()
            .await
            .as_ref()?
            .spatial
            .min(u8::try_from(highest).ok()?);
        match &mut self.wish.lock().control {
            Control::Estimate(lag) => lag.step(self.current().map(|layers| layers.spatial_layer), wanted, now),
            Control::Losses(_) => None,
        }
    }

    /// Reads what the viewer has reported of its losses.
    pub async fn sample(&self, layers: usize, now: Instant) -> Result<(), MediaError> {
        let stats = within("reading consumer statistics", self.consumer.get_stats()).await?;
        let sent = stats.iter().find_map(|stat| match stat {
            ConsumerRtpStreamStat::Outbound(sent) => Some(sent),
            ConsumerRtpStreamStat::Inbound(_) => None,
        });
        if let Some(sent) = sent
            && let Control::Losses(losses) = &mut self.wish.lock().control
        {
            let top = u8::try_from(layers.saturating_sub(1)).unwrap_or(u8::MAX);
            losses.sample(now, f64::from(sent.fraction_lost) / FRACTION_SCALE, top);
        }
        Ok(())
    }

    /// Tells the consumer which layers it may send, if that is news.
    pub async fn apply(&self, layers: &[Layer]) -> Result<(), MediaError> {
        let mut told = self.told.lock().await;
        let wanted = {
            let wish = self.wish.lock();
            let cap = match &wish.control {
                Control::Estimate(_) => None,
                Control::Losses(losses) => Some(losses.cap()),
            };
            target(layers, &wish.request, self.url_max_height, cap)
        };
        if *told != Some(wanted) {
            let preferred = ConsumerLayers {
                spatial_layer: wanted.spatial,
                temporal_layer: wanted.temporal,
            };
            within("choosing a layer", self.consumer.set_preferred_layers(preferred)).await?;
            *told = Some(wanted);
        }
        Ok(())
    }
}

/// A receiver report's share of lost packets is a fixed point number of 8 bits (RFC 3550 section 6.4.1).
const FRACTION_SCALE: f64 = 256.0;

/// Whether mediasoup can estimate the bandwidth of a viewer with these capabilities: the viewer reports when each packet
/// arrived. A receiver's own estimate (REMB) does not count: it grows no faster than what is sent to it, so a viewer that
/// was once sent a low layer would be held there.
pub fn estimates_bandwidth(capabilities: &RtpCapabilities) -> bool {
    let extensions = &mut capabilities.header_extensions.iter();
    let codecs = &mut capabilities.codecs.iter();
    extensions.any(|extension| extension.uri == RtpHeaderExtensionUri::TransportWideCcDraft01)
        && codecs.any(|codec| codec.rtcp_feedback().contains(&RtcpFeedback::TransportCc))
}
