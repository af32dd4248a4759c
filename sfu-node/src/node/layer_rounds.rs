//! The one task that keeps layers: it looks at every publication's state for those who follow it, and at the losses of
//! viewers without bandwidth estimation. Its work is bounded: one look a second, a few questions to the workers at a time.

use super::Node;
use crate::events::status::Status;
use crate::ids::short;
use crate::layers::Layer;
use crate::layers::lag::FloorStep;
use crate::layers::probe::SizeProbe;
use crate::media::deadline::{MediaError, within};
use crate::sessions::session::Session;
use crate::streams::local_stream::LocalStream;
use futures::StreamExt;
use mediasoup::prelude::*;
use sfumato_admin_api::types::LayerReport;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

/// How often everything is looked at.
pub const EVERY: Duration = Duration::from_secs(1);
/// Peers are told of new sizes of layers at most once in this time: a publisher may change them with each picture.
pub const TELL_SIZES_EVERY: Duration = Duration::from_millis(200);
/// Times the bitrate that a layer has at a moment: it varies, and where the floor is under it, the layer is not sent.
const FLOOR_FACTOR: u64 = 2;
/// Questions to the workers at a time.
const AT_ONCE: usize = 16;

/// One look at everything.
pub async fn round(node: &Arc<Node>) {
    let now = Instant::now();
    let streams = node.streams.local();
    futures::stream::iter(&streams)
        .for_each_concurrent(AT_ONCE, |local| node.look_at(local, now))
        .await;
    let sessions = node.sessions.all();
    futures::stream::iter(sessions.iter().filter(|session| session.layers().is_some()))
        .for_each_concurrent(AT_ONCE, |session| node.keep_layers(session, now))
        .await;
}

impl Node {
    /// Begins to read the sizes of a publication's layers, if it has several.
    pub(crate) async fn probe_layers(self: &Arc<Self>, local: &LocalStream) {
        let router = &self.workers.get(local.root_worker).main;
        for producer in local
            .root()
            .iter()
            .filter(|producer| producer.kind() == MediaKind::Video)
        {
            let (node, id): (Weak<Self>, _) = (Arc::downgrade(self), local.publication.clone());
            let changed = move || {
                if let Some(node) = node.upgrade() {
                    node.new_sizes.add(id.clone());
                }
            };
            match SizeProbe::start(router, producer, changed).await {
                Ok(Some(probe)) => local.set_probe(probe),
                Ok(None) => {}
                // Without it layers have no sizes; everything else works.
                Err(error) => tracing::warn!(stream = %local.stream, %error, "reading the sizes of layers"),
            }
        }
    }

    /// The simulcast layers of a publication, from the lowest; none for a video of one layer.
    pub fn layers_of(&self, local: &LocalStream) -> Vec<Layer> {
        let Some(video) = local.simulcast() else {
            return Vec::new();
        };
        let bitrates = local.bitrates();
        let told = if local.probe().is_none() {
            self.streams.peers.layers_of(&local.publication)
        } else {
            local.layer_reports()
        };
        let of = |index: usize| {
            let told: Option<&LayerReport> = told.get(index);
            Layer {
                rid: told.and_then(|layer| layer.rid.clone()),
                size: told.and_then(|layer| crate::layers::frame_size::FrameSize::of(layer.width?, layer.height?)),
                bitrate: bitrates.get(index).copied().unwrap_or(0),
            }
        };
        (0..video.rtp_parameters().encodings.len()).map(of).collect()
    }

    /// Brings what viewers are told of a publication up to date; its statistics are read only if somebody listens, or gets
    /// one of several layers.
    async fn look_at(&self, local: &Arc<LocalStream>, now: Instant) {
        if local.has_followers() || (local.simulcast().is_some() && local.viewers() > 0) {
            local.sample(now).await;
        }
        local.tell(Status {
            active: local.is_active(),
            layers: self.layers_of(local),
            viewers: local.viewers(),
        });
    }

    async fn keep_layers(&self, session: &Arc<Session>, now: Instant) {
        let (Some(viewer), Some(local)) = (session.layers(), session.watched()) else {
            return;
        };
        let layers = self.layers_of(local);
        if viewer.needs_losses()
            && session.is_connected()
            && let Err(error) = viewer.sample(layers.len(), now).await
        {
            tracing::debug!(stream = %session.stream, session = %short(&session.id), %error, "reading a viewer's losses");
        }
        if let Err(error) = viewer.apply(&layers).await {
            tracing::debug!(stream = %session.stream, session = %short(&session.id), %error, "choosing a viewer's layer");
        }
        if session.is_connected()
            && let Some(step) = viewer.catch_up(&layers, now).await
            && let Err(error) = put_floor(session, step, &layers).await
        {
            tracing::debug!(stream = %session.stream, session = %short(&session.id), %error, "trying a viewer's higher layer");
        }
    }
}

/// Puts a floor under a viewer's estimate, or takes it away.
async fn put_floor(session: &Session, step: FloorStep, layers: &[Layer]) -> Result<(), MediaError> {
    let floor = match step {
        FloorStep::Try(layer) => layers.get(usize::from(layer)).map_or(0, |layer| layer.bitrate) * FLOOR_FACTOR,
        FloorStep::Lift => 0,
    };
    tracing::debug!(stream = %session.stream, session = %short(&session.id), %step, floor, "trying a viewer's higher layer");
    let told = session.transport.set_min_outgoing_bitrate(floor);
    within("setting the least bitrate", told).await
}
