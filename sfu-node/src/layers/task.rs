//! The one task that keeps layers: it looks at every publication's state for those who follow it, and at the losses of
//! viewers without bandwidth estimation. Its work is bounded: one look a second, a few questions to the workers at a time.

use super::Layer;
use super::lag::Step;
use super::probe::SizeProbe;
use crate::deadline::{MediaError, within};
use crate::events::status::Status;
use crate::negotiate::short;
use crate::node::Node;
use crate::presence::Presence;
use crate::session::Session;
use futures::StreamExt;
use mediasoup::prelude::*;
use sfumato_admin_api::types::LayerReport;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

/// Peers are told of new sizes of layers at most once in this time: a publisher may change them with each picture.
pub const TELL_SIZES_EVERY: Duration = Duration::from_millis(200);
/// How often everything is looked at.
pub const EVERY: Duration = Duration::from_secs(1);
/// Times the bitrate that a layer has at a moment: it varies, and where the floor is under it, the layer is not sent.
const FLOOR_FACTOR: u64 = 2;
/// Questions to the workers at a time.
const AT_ONCE: usize = 16;

/// One look at everything.
pub async fn round(node: &Arc<Node>) {
    let now = Instant::now();
    let presences = node.presences();
    futures::stream::iter(&presences)
        .for_each_concurrent(AT_ONCE, |presence| node.look_at(presence, now))
        .await;
    let sessions = node.sessions.all();
    futures::stream::iter(sessions.iter().filter(|session| session.layers().is_some()))
        .for_each_concurrent(AT_ONCE, |session| node.keep_layers(session, now))
        .await;
}

impl Node {
    /// Publications on this node: published here, or carried here.
    pub fn presences(&self) -> Vec<Arc<Presence>> {
        let mut presences: Vec<_> = self
            .published
            .lock()
            .values()
            .map(|published| Arc::clone(&published.presence))
            .collect();
        presences.extend(
            self.carried
                .all()
                .iter()
                .filter_map(|carried| carried.received().map(|received| Arc::clone(&received.presence))),
        );
        presences
    }

    /// Begins to read the sizes of a publication's layers, if it has several.
    pub(crate) async fn probe_layers(self: &Arc<Self>, presence: &Presence) {
        let router = &self.workers[usize::from(presence.root_worker)].main;
        for producer in presence
            .root()
            .iter()
            .filter(|producer| producer.kind() == MediaKind::Video)
        {
            let (node, id): (Weak<Self>, _) = (Arc::downgrade(self), presence.publication.clone());
            let changed = move || {
                if let Some(node) = node.upgrade() {
                    node.new_sizes.add(id.clone());
                }
            };
            match SizeProbe::start(router, producer, changed).await {
                Ok(Some(probe)) => presence.set_probe(probe),
                Ok(None) => {}
                // Without it layers have no sizes; everything else works.
                Err(error) => tracing::warn!(stream = %presence.stream, %error, "reading the sizes of layers"),
            }
        }
    }

    /// The simulcast layers of a publication, from the lowest; none for a video of one layer.
    pub fn layers_of(&self, presence: &Presence) -> Vec<Layer> {
        let Some(video) = presence.simulcast() else {
            return Vec::new();
        };
        let bitrates = presence.bitrates();
        let told = if presence.probe().is_none() {
            self.peers.layers_of(&presence.publication)
        } else {
            layer_reports(presence)
        };
        let of = |index: usize| {
            let told: Option<&LayerReport> = told.get(index);
            Layer {
                rid: told.and_then(|layer| layer.rid.clone()),
                size: told.and_then(|layer| super::frame_size::FrameSize::of(layer.width?, layer.height?)),
                bitrate: bitrates.get(index).copied().unwrap_or(0),
            }
        };
        (0..video.rtp_parameters().encodings.len()).map(of).collect()
    }

    /// Brings what viewers are told of a publication up to date; its statistics are read only if somebody listens, or gets
    /// one of several layers.
    async fn look_at(&self, presence: &Arc<Presence>, now: Instant) {
        if presence.has_followers() || (presence.simulcast().is_some() && presence.viewers() > 0) {
            presence.sample(now).await;
        }
        presence.tell(Status {
            active: presence.is_active(),
            layers: self.layers_of(presence),
            viewers: presence.viewers(),
        });
    }

    async fn keep_layers(&self, session: &Arc<Session>, now: Instant) {
        let (Some(viewer), Some(presence)) = (session.layers(), session.watched()) else {
            return;
        };
        let layers = self.layers_of(presence);
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
async fn put_floor(session: &Session, step: Step, layers: &[Layer]) -> Result<(), MediaError> {
    let floor = match step {
        Step::Try(layer) => layers.get(usize::from(layer)).map_or(0, |layer| layer.bitrate) * FLOOR_FACTOR,
        Step::Lift => 0,
    };
    tracing::debug!(stream = %session.stream, session = %short(&session.id), ?step, floor, "trying a viewer's higher layer");
    let told = session.transport.set_min_outgoing_bitrate(floor);
    within("setting the least bitrate", told).await
}

/// What peers are told of the layers of a publication whose origin is this node.
pub fn layer_reports(presence: &Presence) -> Vec<LayerReport> {
    let Some(video) = presence.simulcast() else {
        return Vec::new();
    };
    let sizes = presence.probe().map(SizeProbe::sizes).unwrap_or_default();
    let encodings = video.rtp_parameters().encodings.iter().enumerate();
    encodings
        .map(|(index, encoding)| {
            let size = sizes.get(index).copied().flatten();
            LayerReport {
                rid: encoding.rid.clone(),
                width: size.map(|size| size.width),
                height: size.map(|size| size.height),
            }
        })
        .collect()
}
