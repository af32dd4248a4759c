//! The subscriber's side: bringing publications of other nodes here, and keeping them while somebody watches.

use crate::media::deadline::{MediaError, within};
use crate::node::Node;
use crate::options::FanOut;
use crate::sdp::capabilities::media_kind;
use crate::sessions::end_reason::EndReason;
use crate::streams::carried::{Carried, Fetched, Received};
use crate::streams::local_stream::LocalStream;
use mediasoup::prelude::Producer;
use mediasoup::types::rtp_parameters::RtpParameters;
use sfumato_admin_api::client::AdminError;
use sfumato_admin_api::program::task;
use sfumato_admin_api::types::{
    Lane, LinkId, NodeName, Peer, PublicationId, PublicationReport, RenewSubscriptions, StreamName, Subscribe,
};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// A subscriber renews this often, a part of the origin's [`super::origin::LEASE`].
pub const RENEW_EVERY: Duration = Duration::from_secs(2);

/// Why a stream of another node cannot be had here.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// Nobody publishes it.
    #[error("nobody publishes {0} at present; retry, or publish it by WHIP")]
    NotLive(StreamName),
    /// There is no link that media could cross.
    #[error("no link to {origin}, where {stream} is published, is up")]
    NoLink {
        /// Where it is published.
        origin: NodeName,
        stream: StreamName,
    },
    /// The link has no other end yet.
    #[error("the link is not connected yet")]
    NotConnected,
    /// Its origin does not send it.
    #[error("{stream} could not be fetched from {origin}: {source}")]
    Origin {
        /// Where it is published.
        origin: NodeName,
        stream: StreamName,
        /// What the origin says.
        source: AdminError,
    },
    /// A worker failed.
    #[error(transparent)]
    Media(#[from] MediaError),
}

impl RelayError {
    fn of_origin(stream: &StreamName, origin: &Peer, source: AdminError) -> Self {
        match source {
            AdminError::NotFound { .. } => Self::NotLive(stream.clone()),
            source => Self::Origin {
                origin: origin.name.clone(),
                stream: stream.clone(),
                source,
            },
        }
    }
}

impl Node {
    /// Brings a publication of a peer to this node, once for all its viewers.
    pub async fn carry(
        self: &Arc<Self>,
        origin: &Peer,
        publication: &PublicationReport,
    ) -> Result<Fetched, RelayError> {
        let waiting = self.streams.carried.enter(origin, publication);
        let carried = Arc::clone(waiting.value());
        let first = carried.received.get().is_none();
        let received = carried
            .received
            .get_or_try_init(async || self.receive(origin, publication).await.map(Arc::new))
            .await?;
        let received = Arc::clone(received);
        waiting.landed();
        if first {
            self.state.touch();
        }
        Ok(Fetched { carried, received })
    }

    async fn receive(&self, origin: &Peer, publication: &PublicationReport) -> Result<Received, RelayError> {
        let stream = &publication.stream;
        let link = self.links.for_media(origin, publication.worker);
        let link = link.ok_or_else(|| RelayError::NoLink {
            origin: origin.name.clone(),
            stream: stream.clone(),
        })?;
        let origin_link = link.remote().cloned().ok_or(RelayError::NotConnected)?;
        let request = self.subscription(&origin_link, link.lane, false);
        self.streams.carried.asked.remember(origin, request.order);
        let answer = self
            .peers_admin
            .subscribe(&origin.admin_url, &publication.id, &request)
            .await
            .map_err(|error| RelayError::of_origin(stream, origin, error))?;
        let mut producers: Vec<Producer> = Vec::with_capacity(answer.tracks.len());
        let tracks = answer.tracks.iter().map(|track| track.id.clone()).collect();
        for track in answer.tracks {
            let rtp: RtpParameters =
                serde_json::from_value(track.rtp_parameters).map_err(|error| MediaError::Unusable {
                    what: "reading the origin's RTP parameters",
                    cause: error.to_string(),
                })?;
            producers.push(link.receive(media_kind(track.kind), rtp).await?);
        }
        let local = LocalStream::new(publication.id.clone(), stream.clone(), link.lane.0, producers);
        tracing::info!(%stream, peer = %origin.name, lane = %link.lane, "relay started");
        Ok(Received::new(local, (link.id.clone(), link.lane), origin_link, tracks))
    }

    /// What this node asks of an origin. Made once the publication is in the map of what is carried.
    fn subscription(&self, origin_link: &LinkId, lane: Lane, active: bool) -> Subscribe {
        Subscribe {
            subscriber: self.me.name.clone(),
            incarnation: self.me.incarnation.clone(),
            link: origin_link.clone(),
            lane,
            active,
            order: self.streams.carried.next_order(),
        }
    }

    /// A viewer of a carried publication is connected: ask the origin to let media through.
    pub async fn activate_at_origin(
        self: &Arc<Self>,
        carried: &Carried,
        received: &Received,
    ) -> Result<(), AdminError> {
        let request = self.subscription(&received.origin_link, received.lane, true);
        let answer = self
            .peers_admin
            .subscribe(&carried.origin.admin_url, &carried.publication, &request)
            .await?;
        if !received.is_sent_as_before(&answer) {
            self.drop_carried(&carried.publication, "its origin recreated what it sends")
                .await;
        }
        Ok(())
    }

    /// With `--fan-out eager`: brings everything that a peer publishes here at once.
    pub fn carry_eagerly(self: &Arc<Self>, peer: &Peer) {
        if self.options.fan_out != FanOut::Eager {
            return;
        }
        let new = self.streams.peers.publications_of(peer).into_iter();
        for publication in new.filter(|publication| !self.is_received(&publication.id)) {
            let (node, peer) = (Arc::clone(self), peer.clone());
            task::brief("eager fan-out", async move {
                if let Ok(fetched) = node.carry(&peer, &publication).await
                    && let Err(error) = node.activate_at_origin(&fetched.carried, &fetched.received).await
                {
                    tracing::debug!(%error, "eager fan-out");
                }
            });
        }
    }

    /// Renews what is carried, at every origin.
    pub async fn renew_carried(self: &Arc<Self>) {
        let mut origins: HashMap<String, Wanted> = HashMap::new();
        // Before the lists are written: what is subscribed to meanwhile is not in them, and must not end for that.
        let order = self.streams.carried.last_order();
        for carried in self.streams.carried.all() {
            let life = carried.origin.incarnation.to_string();
            let wanted = origins
                .entry(life)
                .or_insert_with(|| Wanted::nothing_of(&carried.origin));
            wanted.publications.push(carried.publication.clone());
        }
        for (life, peer) in self.streams.carried.asked.left(&self.streams.peers.list()) {
            // An empty list: it ends at once what this node dropped a moment ago.
            origins.entry(life).or_insert_with(|| Wanted::nothing_of(&peer));
        }
        let renewals = origins.into_values().map(|Wanted { origin, publications }| {
            let node = Arc::clone(self);
            async move {
                let received_before: Vec<PublicationId> =
                    publications.iter().filter(|p| node.is_received(p)).cloned().collect();
                let request = RenewSubscriptions {
                    subscriber: node.me.name.clone(),
                    incarnation: node.me.incarnation.clone(),
                    publications,
                    order,
                };
                match node.peers_admin.renew(&origin.admin_url, &request).await {
                    Ok(answer) => {
                        if request.publications.is_empty() {
                            node.streams.carried.asked.forget(&origin, order);
                        }
                        // What was still being asked for when the list was written may be unknown for a moment.
                        for unknown in answer.unknown.iter().filter(|p| received_before.contains(p)) {
                            node.drop_carried(unknown, "the origin does not send it any more").await;
                        }
                    }
                    Err(error) => tracing::debug!(peer = %origin.name, %error, "renewing subscriptions"),
                }
            }
        });
        futures::future::join_all(renewals).await;
    }

    fn is_received(&self, publication: &PublicationId) -> bool {
        let carried = self.streams.carried.get(publication);
        carried.is_some_and(|carried| carried.received().is_some())
    }

    /// Stops carrying what has had no viewer for the idle timeout.
    pub async fn sweep_carried(self: &Arc<Self>, now: Instant) {
        if self.options.fan_out == FanOut::Eager {
            return;
        }
        let timeout = self.options.fan_out_idle_timeout;
        for publication in self.streams.carried.idle(now, timeout) {
            self.drop_carried(&publication, "no viewer").await;
        }
    }

    /// Stops carrying a publication; its viewers are closed by a DTLS alert, so that players retry.
    pub async fn drop_carried(self: &Arc<Self>, publication: &PublicationId, why: &'static str) {
        let Some(carried) = self.streams.carried.take(publication) else {
            return;
        };
        tracing::info!(stream = %carried.stream, peer = %carried.origin.name, "relay ended: {why}");
        self.announce_another(&carried.stream, publication);
        for viewer in self.sessions.viewers_of(publication) {
            self.end_session(&viewer, EndReason::StreamEnded).await;
        }
        self.state.touch();
    }

    /// Everything of one origin, except what is named.
    pub async fn drop_carried_except(self: &Arc<Self>, origin: &Peer, keep: &[PublicationId], why: &'static str) {
        let gone = self
            .streams
            .carried
            .ids(|carried| carried.origin.incarnation == origin.incarnation && !keep.contains(&carried.publication));
        for publication in gone {
            self.drop_carried(&publication, why).await;
        }
    }

    /// Everything of one incarnation.
    pub async fn drop_carried_from(self: &Arc<Self>, origin: &Peer, why: &'static str) {
        self.drop_carried_except(origin, &[], why).await;
    }

    /// Everything that crosses one link.
    pub async fn drop_carried_over(self: &Arc<Self>, link: &LinkId, why: &'static str) {
        let crosses = |carried: &Carried| carried.received().is_some_and(|received| received.link == *link);
        for publication in self.streams.carried.ids(crosses) {
            self.drop_carried(&publication, why).await;
        }
    }

    /// Reads the loss statistics of what crosses the links to this node.
    pub async fn sample_carried(&self) {
        for received in self.streams.carried.received() {
            let (mut lost, mut packets) = (0, 0);
            for producer in received.local.root() {
                let stats = within("reading producer statistics", producer.get_stats()).await;
                for stat in stats.unwrap_or_default() {
                    lost += u64::try_from(stat.packets_lost).unwrap_or(0);
                    packets += stat.packet_count;
                }
            }
            // Added to the link, so that its sums stay when the stream ends.
            let (lost, packets) = received.count(lost, packets);
            if let Some(link) = self.links.get(&received.link) {
                link.counters.lost.fetch_add(lost, Ordering::Relaxed);
                link.counters.packets.fetch_add(packets, Ordering::Relaxed);
            }
        }
    }
}

/// What this node wants of one origin.
struct Wanted {
    origin: Peer,
    publications: Vec<PublicationId>,
}

impl Wanted {
    fn nothing_of(origin: &Peer) -> Self {
        Self {
            origin: origin.clone(),
            publications: Vec::new(),
        }
    }
}
