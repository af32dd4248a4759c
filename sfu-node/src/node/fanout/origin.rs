//! The origin's side: sending own publications over links, for as long as subscribers renew that.

use crate::links::link::{Link, Outgoing};
use crate::media::deadline::MediaError;
use crate::node::Node;
use crate::streams::local_stream::LocalStream;
use sfumato_admin_api::types::{
    Incarnation, LinkId, NodeName, PublicationId, RenewSubscriptions, RenewedSubscriptions, Subscribe, Subscribed,
};
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The origin drops what was not renewed for this time.
pub const LEASE: Duration = Duration::from_secs(10);

/// Why a peer does not get a publication of this node.
#[derive(Debug, thiserror::Error)]
pub enum SubscribeError {
    /// It is not published here, or not any more.
    #[error("{0} is not published here")]
    Unknown(PublicationId),
    /// The link is gone.
    #[error("link {0} is gone: read the report again")]
    LinkGone(LinkId),
    /// The link leads to another node, or to another life of the subscriber.
    #[error("link {link} leads to {name} ({incarnation})")]
    OtherPeer {
        /// The link that was named.
        link: LinkId,
        /// The node at its other end.
        name: NodeName,
        /// The life of that node.
        incarnation: Incarnation,
    },
    /// A worker failed.
    #[error(transparent)]
    Media(#[from] MediaError),
}

impl Node {
    /// Sends a publication over a link, or renews that.
    pub async fn subscribe(
        &self,
        publication: &PublicationId,
        request: &Subscribe,
    ) -> Result<Subscribed, SubscribeError> {
        let local = self.streams.published.get(publication);
        let local = local.ok_or_else(|| SubscribeError::Unknown(publication.clone()))?;
        let link = self.links.get(&request.link);
        let link = link.ok_or_else(|| SubscribeError::LinkGone(request.link.clone()))?;
        if !link.leads_to(&request.subscriber, &request.incarnation) {
            return Err(SubscribeError::OtherPeer {
                link: link.id.clone(),
                name: link.peer.name.clone(),
                incarnation: link.peer.incarnation.clone(),
            });
        }
        let (begins, answer) = self.send_over(&link, &local, request).await;
        if begins {
            // The link's map is released: who reads the report for this finds the subscriber in it.
            self.state.touch();
        }
        Ok(answer?)
    }

    /// Sends a publication over a link, or renews that. Answers first whether that begins now, even if the rest fails.
    async fn send_over(
        &self,
        link: &Link,
        local: &LocalStream,
        request: &Subscribe,
    ) -> (bool, Result<Subscribed, MediaError>) {
        let mut outgoing = link.outgoing.lock().await;
        match outgoing.entry(local.publication.clone()) {
            Entry::Occupied(mut sent) => (false, renew_one(sent.get_mut(), request).await),
            Entry::Vacant(place) => match self.begin_sending(link, local, request.order).await {
                Ok(sent) => (true, renew_one(place.insert(sent), request).await),
                Err(error) => (false, Err(error)),
            },
        }
    }

    async fn begin_sending(&self, link: &Link, local: &LocalStream, order: u64) -> Result<Outgoing, MediaError> {
        let worker = self.workers.get(link.lane.0);
        let (producers, copy_use) = local.on_main(&self.workers, worker).await?;
        let mut tracks = Vec::with_capacity(producers.len());
        for producer in producers {
            tracks.push(link.send(producer.id(), true).await?);
        }
        tracing::info!(stream = %local.stream, peer = %link.peer.name, lane = %link.lane, "fan-out starts");
        Ok(Outgoing {
            tracks,
            first: Arc::default(),
            _copy_use: copy_use,
            renewed: Instant::now(),
            order,
        })
    }

    /// Renews all subscriptions of one subscriber, and drops those that it no longer names.
    pub async fn renew(&self, request: &RenewSubscriptions) -> RenewedSubscriptions {
        let links = self.links.to(&request.subscriber, &request.incarnation);
        let mut known: Vec<PublicationId> = Vec::new();
        let mut dropped = false;
        for link in links {
            let mut outgoing = link.outgoing.lock().await;
            let before = outgoing.len();
            outgoing.retain(|publication, sent| sent.is_wanted_by(publication, request));
            dropped |= outgoing.len() != before;
            for (publication, sent) in outgoing.iter_mut() {
                sent.renewed = Instant::now();
                known.push(publication.clone());
            }
        }
        if dropped {
            self.state.touch();
        }
        let unknown = request
            .publications
            .iter()
            .filter(|p| !known.contains(p))
            .cloned()
            .collect();
        RenewedSubscriptions { unknown }
    }

    /// Drops what no subscriber has renewed for [`LEASE`].
    pub async fn sweep_leases(&self, now: Instant) {
        for link in self.links.all() {
            let mut outgoing = link.outgoing.lock().await;
            let before = outgoing.len();
            outgoing.retain(|_, sent| now.saturating_duration_since(sent.renewed) < LEASE);
            let dropped = before - outgoing.len();
            drop(outgoing);
            if dropped > 0 {
                tracing::info!(peer = %link.peer.name, "fan-out ends: {dropped} not renewed");
                self.state.touch();
            }
        }
    }

    /// Stops sending a publication that has ended.
    pub async fn drop_outgoing(&self, publication: &PublicationId) {
        for link in self.links.all() {
            link.outgoing.lock().await.remove(publication);
        }
    }
}

async fn renew_one(sent: &mut Outgoing, request: &Subscribe) -> Result<Subscribed, MediaError> {
    sent.renewed = Instant::now();
    sent.order = sent.order.max(request.order);
    if request.active {
        sent.resume().await?;
    }
    Ok(Subscribed { tracks: sent.tracks()? })
}
