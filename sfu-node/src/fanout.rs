//! Fan-out: carrying a publication over a link. The origin is the authority; a subscription is a lease that the
//! subscriber renews, so that whatever is lost on the way, neither end keeps anything for long.

use crate::link::{Link, Outgoing};
use crate::node::Node;
use crate::options::FanOut;
use crate::presence::Presence;
use crate::problem::Problem;
use crate::sdp::capabilities::media_kind;
use crate::session::EndReason;
use axum::http::StatusCode;
use mediasoup::prelude::Producer;
use mediasoup::types::rtp_parameters::RtpParameters;
use parking_lot::Mutex;
use sfumato_admin_api::client::AdminError;
use sfumato_admin_api::types::{
    CarriedReport, Lane, LinkId, LinkState, Peer, PublicationId, PublicationReport, RenewSubscriptions,
    RenewedSubscriptions, StreamName, Subscribe, Subscribed,
};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::OnceCell;

/// A subscriber renews this often.
pub const RENEW_EVERY: Duration = Duration::from_secs(2);
/// The origin drops what was not renewed for this time.
pub const LEASE: Duration = Duration::from_secs(10);

/// A publication of another node on this one.
pub struct Carried {
    /// Which.
    pub publication: PublicationId,
    /// Its name.
    pub stream: StreamName,
    /// Its origin.
    pub origin: Peer,
    /// One flight: the first viewer makes it, others wait; when it fails, the next of them tries.
    received: OnceCell<Arc<Received>>,
}

/// Origins that were asked for something and not told yet that nothing is wanted of them any more, with the order of the
/// last subscription.
#[derive(Default)]
pub struct Asked(Mutex<HashMap<String, (Peer, u64)>>);

impl Asked {
    fn remember(&self, origin: &Peer, order: u64) {
        let mut asked = self.0.lock();
        let (_, last) = asked
            .entry(origin.incarnation.to_string())
            .or_insert_with(|| (origin.clone(), order));
        *last = order.max(*last);
    }

    /// The origin has heard of all that was asked until `order` that nothing is wanted.
    fn forget(&self, origin: &Peer, order: u64) {
        let mut asked = self.0.lock();
        if asked
            .get(origin.incarnation.as_str())
            .is_some_and(|(_, last)| *last <= order)
        {
            asked.remove(origin.incarnation.as_str());
        }
    }

    /// Those that are still peers, by incarnation; the others are gone for good.
    fn left(&self, peers: &[Peer]) -> Vec<(String, Peer)> {
        let mut asked = self.0.lock();
        asked.retain(|_, (origin, _)| peers.iter().any(|peer| peer.incarnation == origin.incarnation));
        asked
            .iter()
            .map(|(life, (origin, _))| (life.clone(), origin.clone()))
            .collect()
    }
}

/// A publication that crosses a link to this node.
pub struct Received {
    /// Where it enters.
    pub presence: Arc<Presence>,
    /// Our end of the link.
    pub link: LinkId,
    lane: Lane,
    origin_link: LinkId,
    /// The origin's ids of what it sends.
    tracks: Vec<String>,
    lost: AtomicU64,
    packets: AtomicU64,
}

impl Carried {
    /// What crosses at present.
    pub fn received(&self) -> Option<Arc<Received>> {
        self.received.get().cloned()
    }

    /// What the admin API says of it.
    pub fn report(&self) -> Option<CarriedReport> {
        let received = self.received()?;
        Some(CarriedReport {
            publication: self.publication.clone(),
            stream: self.stream.clone(),
            origin: self.origin.name.clone(),
            viewers: received.presence.viewers(),
            lane: received.lane,
            packets_lost: received.lost.load(Ordering::Relaxed),
            packets_received: received.packets.load(Ordering::Relaxed),
        })
    }
}

/// The origin's side.
impl Node {
    /// Sends a publication over a link, or renews that.
    pub async fn subscribe(&self, publication: &PublicationId, request: &Subscribe) -> Result<Subscribed, Problem> {
        let presence = self
            .published
            .lock()
            .get(publication)
            .map(|p| Arc::clone(&p.presence))
            .ok_or_else(|| {
                Problem::new(
                    StatusCode::NOT_FOUND,
                    "Unknown publication",
                    format!("{publication} is not published here"),
                )
                .field("publication")
            })?;
        let link = self.links.lock().get(&request.link).cloned().ok_or_else(|| {
            Problem::conflict(format!("link {} is gone: read the report again", request.link)).field("link")
        })?;
        if link.peer.name != request.subscriber || link.peer.incarnation != request.incarnation {
            let detail = format!(
                "link {} leads to {} ({})",
                link.id, link.peer.name, link.peer.incarnation
            );
            return Err(Problem::conflict(detail).field("incarnation"));
        }
        let (begins, answer) = self.send_over(&link, &presence, request).await;
        if begins {
            // The link's map is released: who reads the report for this finds the subscriber in it.
            self.touch();
        }
        answer
    }

    /// Sends a publication over a link, or renews that. Answers first whether that begins now, even if the rest fails.
    async fn send_over(
        &self,
        link: &Link,
        presence: &Presence,
        request: &Subscribe,
    ) -> (bool, Result<Subscribed, Problem>) {
        let mut outgoing = link.outgoing.lock().await;
        let begins = !outgoing.contains_key(&presence.publication);
        if begins {
            match self.begin_sending(link, presence, request.order).await {
                Ok(sent) => outgoing.insert(presence.publication.clone(), sent),
                Err(problem) => return (false, Err(problem)),
            };
        }
        let answer = match outgoing.get_mut(&presence.publication) {
            Some(sent) => renew_one(sent, request).await,
            None => Err(Problem::unavailable("the subscription went away while it was made")),
        };
        (begins, answer)
    }

    async fn begin_sending(&self, link: &Link, presence: &Presence, order: u64) -> Result<Outgoing, Problem> {
        let worker = &self.workers[usize::from(link.lane.0)];
        let (producers, copy_use) = presence.on_main(&self.workers, worker, &self.inner_listen()).await?;
        let mut tracks = Vec::with_capacity(producers.len());
        for producer in producers {
            tracks.push(link.send(producer.id(), true).await?);
        }
        tracing::info!(stream = %presence.stream, peer = %link.peer.name, lane = %link.lane, "fan-out starts");
        Ok(Outgoing {
            tracks,
            _copy_use: copy_use,
            renewed: Instant::now(),
            order,
        })
    }

    /// Renews all subscriptions of one subscriber, and drops those that it no longer names.
    pub async fn renew(&self, request: &RenewSubscriptions) -> RenewedSubscriptions {
        let links: Vec<Arc<Link>> = self
            .links
            .lock()
            .values()
            .filter(|l| l.peer.name == request.subscriber && l.peer.incarnation == request.incarnation)
            .cloned()
            .collect();
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
            self.touch();
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
        let links: Vec<Arc<Link>> = self.links.lock().values().cloned().collect();
        for link in links {
            let mut outgoing = link.outgoing.lock().await;
            let before = outgoing.len();
            outgoing.retain(|_, sent| now.saturating_duration_since(sent.renewed) < LEASE);
            let dropped = before - outgoing.len();
            drop(outgoing);
            if dropped > 0 {
                tracing::info!(peer = %link.peer.name, "fan-out ends: {dropped} not renewed");
                self.touch();
            }
        }
    }

    /// Stops sending a publication that has ended.
    pub async fn drop_outgoing(&self, publication: &PublicationId) {
        let links: Vec<Arc<Link>> = self.links.lock().values().cloned().collect();
        for link in links {
            link.outgoing.lock().await.remove(publication);
        }
    }
}

/// The subscriber's side.
impl Node {
    /// Brings a publication of a peer to this node, once for all its viewers.
    pub async fn carry(
        self: &Arc<Self>,
        origin: &Peer,
        publication: &PublicationReport,
    ) -> Result<(Arc<Carried>, Arc<Received>), Problem> {
        // In the map before the origin is asked: a renewal in between must name it, or the origin drops it at once.
        // A failed attempt, or one whose viewer hung up, is forgotten, unless others wait for their own.
        let waiting = self.carried.enter(&publication.id, || Carried {
            publication: publication.id.clone(),
            stream: publication.stream.clone(),
            origin: origin.clone(),
            received: OnceCell::new(),
        });
        let carried = Arc::clone(waiting.value());
        let first = carried.received.get().is_none();
        let received = carried
            .received
            .get_or_try_init(async || self.receive(origin, publication).await.map(Arc::new))
            .await?;
        let received = Arc::clone(received);
        waiting.landed();
        if first {
            self.touch();
        }
        Ok((carried, received))
    }

    async fn receive(&self, origin: &Peer, publication: &PublicationReport) -> Result<Received, Problem> {
        let link = self.link_for(origin, publication)?;
        let origin_link = link
            .remote()
            .cloned()
            .ok_or_else(|| Problem::unavailable("the link is not connected yet"))?;
        let request = self.subscription(&origin_link, link.lane, false);
        self.asked.remember(origin, request.order);
        let answer = self
            .admin
            .subscribe(&origin.admin_url, &publication.id, &request)
            .await
            .map_err(|error| subscribe_problem(&publication.stream, origin, &error))?;
        let mut producers: Vec<Producer> = Vec::with_capacity(answer.tracks.len());
        let tracks = answer.tracks.iter().map(|track| track.id.clone()).collect();
        for track in answer.tracks {
            let rtp: RtpParameters = serde_json::from_value(track.rtp_parameters)
                .map_err(|error| Problem::internal("reading the origin's RTP parameters", error))?;
            producers.push(link.receive(media_kind(track.kind), rtp).await?);
        }
        let presence = Presence::new(
            publication.id.clone(),
            publication.stream.clone(),
            link.lane.0,
            producers,
        );
        tracing::info!(stream = %publication.stream, peer = %origin.name, lane = %link.lane, "carried here");
        Ok(Received {
            presence: Arc::new(presence),
            link: link.id.clone(),
            lane: link.lane,
            origin_link,
            tracks,
            lost: AtomicU64::new(0),
            packets: AtomicU64::new(0),
        })
    }

    /// What this node asks of an origin. Made once the publication is in the map of what is carried.
    fn subscription(&self, origin_link: &LinkId, lane: Lane, active: bool) -> Subscribe {
        Subscribe {
            subscriber: self.me.name.clone(),
            incarnation: self.me.incarnation.clone(),
            link: origin_link.clone(),
            lane,
            active,
            order: self.next_order(),
        }
    }

    /// The link that a publication crosses: lane `worker mod lanes`, or another fresh one.
    fn link_for(&self, origin: &Peer, publication: &PublicationReport) -> Result<Arc<Link>, Problem> {
        let links = self.links.lock();
        let mut fresh: Vec<&Arc<Link>> = links
            .values()
            .filter(|l| {
                l.peer.name == origin.name && l.peer.incarnation == origin.incarnation && l.state() == LinkState::Fresh
            })
            .collect();
        fresh.sort_by_key(|link| link.lane);
        if fresh.is_empty() {
            let detail = format!(
                "there is no fresh link to {}, where {} is published",
                origin.name, publication.stream
            );
            return Err(Problem::unavailable(detail));
        }
        Ok(Arc::clone(fresh[usize::from(publication.worker) % fresh.len()]))
    }

    /// A viewer of a carried publication is connected: ask the origin to let media through.
    pub async fn activate_at_origin(
        self: &Arc<Self>,
        carried: &Carried,
        received: &Received,
    ) -> Result<(), AdminError> {
        let request = self.subscription(&received.origin_link, received.lane, true);
        let answer = self
            .admin
            .subscribe(&carried.origin.admin_url, &carried.publication, &request)
            .await?;
        if !answer.tracks.iter().map(|track| &track.id).eq(&received.tracks) {
            // What it sends from now on comes under other SSRCs, and nothing here would ever hear it.
            self.drop_carried(&carried.publication, "its origin began to send it anew")
                .await;
        }
        Ok(())
    }

    /// Taken once the subscription is in the map of what is carried.
    fn next_order(&self) -> u64 {
        self.subscription_order.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// With `--fan-out eager`: brings everything that a peer publishes here at once.
    pub fn carry_eagerly(self: &Arc<Self>, peer: &Peer) {
        if self.options.fan_out != FanOut::Eager {
            return;
        }
        for publication in self.peers.publications_of(peer) {
            let (node, peer) = (Arc::clone(self), peer.clone());
            tokio::spawn(async move {
                if let Ok((carried, received)) = node.carry(&peer, &publication).await
                    && let Err(error) = node.activate_at_origin(&carried, &received).await
                {
                    tracing::debug!(%error, "eager fan-out");
                }
            });
        }
    }

    /// Renews what is carried, at every origin.
    pub async fn renew_carried(self: &Arc<Self>) {
        let mut origins: HashMap<String, (Peer, Vec<PublicationId>)> = HashMap::new();
        // Before the lists are written: what is subscribed to meanwhile is not in them, and must not end for that.
        let order = self.subscription_order.load(Ordering::SeqCst);
        for carried in self.carried.all() {
            let entry = origins
                .entry(carried.origin.incarnation.to_string())
                .or_insert_with(|| (carried.origin.clone(), Vec::new()));
            entry.1.push(carried.publication.clone());
        }
        for (incarnation, peer) in self.asked.left(&self.peers.list()) {
            // An empty list: it ends at once what this node dropped a moment ago.
            origins.entry(incarnation).or_insert_with(|| (peer, Vec::new()));
        }
        let renewals = origins.into_values().map(|(origin, publications)| {
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
                match node.admin.renew(&origin.admin_url, &request).await {
                    Ok(answer) => {
                        if request.publications.is_empty() {
                            node.asked.forget(&origin, order);
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
        self.carried
            .get(publication)
            .is_some_and(|carried| carried.received().is_some())
    }

    /// Stops carrying what has had no viewer for the idle timeout.
    pub async fn sweep_carried(self: &Arc<Self>, now: Instant) {
        if self.options.fan_out == FanOut::Eager {
            return;
        }
        let idle: Vec<PublicationId> = self
            .carried
            .all()
            .iter()
            .filter(|c| {
                c.received()
                    .is_some_and(|r| r.presence.idle(now) > self.options.fan_out_idle_timeout)
            })
            .map(|c| c.publication.clone())
            .collect();
        for publication in idle {
            self.drop_carried(&publication, "no viewer").await;
        }
    }

    /// Stops carrying a publication; its viewers are closed by a DTLS alert, so that players retry.
    pub async fn drop_carried(self: &Arc<Self>, publication: &PublicationId, why: &'static str) {
        let Some(carried) = self.carried.take(publication) else {
            return;
        };
        tracing::info!(stream = %carried.stream, peer = %carried.origin.name, "carried no more: {why}");
        self.announce_another(&carried.stream, publication);
        for viewer in self.sessions.viewers_of(publication) {
            self.end_session(&viewer, EndReason::StreamEnded).await;
        }
        self.touch();
    }

    /// Everything of one origin, except what is named.
    pub async fn drop_carried_except(self: &Arc<Self>, origin: &Peer, keep: &[PublicationId], why: &'static str) {
        let gone: Vec<PublicationId> = self
            .carried
            .all()
            .iter()
            .filter(|c| c.origin.incarnation == origin.incarnation && !keep.contains(&c.publication))
            .map(|c| c.publication.clone())
            .collect();
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
        let gone: Vec<PublicationId> = self
            .carried
            .all()
            .iter()
            .filter(|c| c.received().is_some_and(|r| r.link == *link))
            .map(|c| c.publication.clone())
            .collect();
        for publication in gone {
            self.drop_carried(&publication, why).await;
        }
    }

    /// Reads the loss statistics of what crosses the links to this node.
    pub async fn sample_carried(&self) {
        let all: Vec<Arc<Received>> = self.carried.all().iter().filter_map(|c| c.received()).collect();
        for received in &all {
            let (mut lost, mut packets) = (0, 0);
            for producer in received.presence.root() {
                let stats = crate::deadline::within("reading producer statistics", producer.get_stats()).await;
                for stat in stats.unwrap_or_default() {
                    lost += u64::try_from(stat.packets_lost).unwrap_or(0);
                    packets += stat.packet_count;
                }
            }
            // What is new is added to the link, so that its sums stay when the stream ends. Packets that were thought lost
            // may still come; then nothing is new.
            let lost_before = received.lost.fetch_max(lost, Ordering::Relaxed);
            let packets_before = received.packets.fetch_max(packets, Ordering::Relaxed);
            if let Some(link) = self.links.lock().get(&received.link) {
                let more = |now: u64, before: u64| now.saturating_sub(before);
                link.counters.lost.fetch_add(more(lost, lost_before), Ordering::Relaxed);
                link.counters
                    .packets
                    .fetch_add(more(packets, packets_before), Ordering::Relaxed);
            }
        }
    }
}

async fn renew_one(sent: &mut Outgoing, request: &Subscribe) -> Result<Subscribed, Problem> {
    sent.renewed = Instant::now();
    sent.order = sent.order.max(request.order);
    if request.active {
        sent.resume().await?;
    }
    let tracks = sent
        .tracks()
        .map_err(|error| Problem::internal("describing a track", error))?;
    Ok(Subscribed { tracks })
}

fn subscribe_problem(stream: &StreamName, origin: &Peer, error: &AdminError) -> Problem {
    match error {
        AdminError::NotFound { .. } => not_live(stream),
        other => Problem::unavailable(format!("{stream} could not be fetched from {}: {other}", origin.name)),
    }
}

/// The answer to a viewer of a stream that nobody publishes (WHEP: 409 and Retry-After).
pub fn not_live(stream: &StreamName) -> Problem {
    let detail = format!("nobody publishes {stream} at present; retry, or publish it by WHIP");
    Problem::new(StatusCode::CONFLICT, "Stream is not live", detail)
        .field("stream")
        .retry_after(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(life: &str) -> Peer {
        Peer {
            name: "sfu-1".parse().unwrap(),
            incarnation: life.parse().unwrap(),
            admin_url: String::new(),
            client_url: String::new(),
        }
    }

    #[test]
    fn an_origin_is_told_that_nothing_is_wanted_until_it_has_heard_it_or_is_gone() {
        let (asked, one, two) = (Asked::default(), peer("0.1"), peer("0.2"));
        assert!(
            asked.left(std::slice::from_ref(&one)).is_empty(),
            "nobody was asked for anything"
        );
        asked.remember(&one, 4);
        asked.remember(&two, 5);
        assert_eq!(asked.left(&[one.clone(), two.clone()]).len(), 2);
        asked.forget(&one, 3);
        assert_eq!(asked.left(std::slice::from_ref(&one)).len(), 1, "it was asked since");
        asked.remember(&two, 5);
        asked.forget(&one, 4);
        assert_eq!(asked.left(&[one.clone(), two.clone()]), [("0.2".to_owned(), two)]);
        assert!(asked.left(&[one]).is_empty(), "the other is no peer any more");
    }
}
