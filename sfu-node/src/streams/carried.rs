//! Publications of other nodes that are carried here, or are about to be.

use super::flights::{self, Flights};
use super::local_stream::LocalStream;
use parking_lot::Mutex;
use sfumato_admin_api::types::{
    CarriedReport, Lane, LinkId, Peer, PublicationId, PublicationReport, StreamName, Subscribed,
};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::OnceCell;

/// A publication of another node on this one.
pub struct Carried {
    pub publication: PublicationId,
    pub stream: StreamName,
    pub origin: Peer,
    /// One flight: the first viewer makes it, others wait; when it fails, the next of them tries.
    pub received: OnceCell<Arc<Received>>,
}

/// A publication that crosses a link to this node.
pub struct Received {
    /// Where it enters.
    pub local: Arc<LocalStream>,
    /// Our end of the link.
    pub link: LinkId,
    /// Lane of the link.
    pub lane: Lane,
    /// The origin's end of the link.
    pub origin_link: LinkId,
    /// The origin's ids of what it sends.
    tracks: Vec<String>,
    lost: AtomicU64,
    packets: AtomicU64,
}

/// A stream of another node, as it was brought here; held, so that it stays while somebody is being set up.
pub struct Fetched {
    /// Its entry among what is carried.
    pub carried: Arc<Carried>,
    /// What crosses the link.
    pub received: Arc<Received>,
}

impl Received {
    /// What enters as `local` over a link, whose other end is `origin_link`; `tracks` are the origin's ids.
    pub fn new(local: LocalStream, (link, lane): (LinkId, Lane), origin_link: LinkId, tracks: Vec<String>) -> Self {
        Self {
            local: Arc::new(local),
            link,
            lane,
            origin_link,
            tracks,
            lost: AtomicU64::new(0),
            packets: AtomicU64::new(0),
        }
    }

    /// Whether the origin still sends what it sent at first. Otherwise it comes under other SSRCs, and nothing here would
    /// ever hear it.
    pub fn is_sent_as_before(&self, answer: &Subscribed) -> bool {
        answer.tracks.iter().map(|track| &track.id).eq(&self.tracks)
    }

    /// Takes the sums of packets lost and received so far; answers what is new. Packets that were thought lost may still
    /// come; then nothing is new.
    pub fn count(&self, lost: u64, packets: u64) -> (u64, u64) {
        let lost_before = self.lost.fetch_max(lost, Ordering::Relaxed);
        let packets_before = self.packets.fetch_max(packets, Ordering::Relaxed);
        (lost.saturating_sub(lost_before), packets.saturating_sub(packets_before))
    }
}

impl Carried {
    /// What crosses at present.
    pub fn received(&self) -> Option<Arc<Received>> {
        self.received.get().cloned()
    }

    /// What the admin API says of it.
    fn report(&self) -> Option<CarriedReport> {
        let received = self.received()?;
        Some(CarriedReport {
            publication: self.publication.clone(),
            stream: self.stream.clone(),
            origin: self.origin.name.clone(),
            viewers: received.local.viewers(),
            lane: received.lane,
            packets_lost: received.lost.load(Ordering::Relaxed),
            packets_received: received.packets.load(Ordering::Relaxed),
        })
    }
}

/// All of them.
#[derive(Default)]
pub struct CarriedStreams {
    flights: Flights<PublicationId, Carried>,
    /// The last [`sfumato_admin_api::types::Subscribe::order`].
    order: AtomicU64,
    /// Origins that send something here, or did a moment ago.
    pub asked: Asked,
}

/// Somebody who waits for a publication to be received, or makes it so.
pub type Waiting<'a> = flights::Waiting<'a, PublicationId, Carried>;

impl CarriedStreams {
    /// Enters a publication of an origin, before that is asked for it: a renewal in between must name it, or the origin
    /// drops it at once. A failed attempt, or one whose viewer hung up, is forgotten, unless others wait for their own.
    pub fn enter(&self, origin: &Peer, publication: &PublicationReport) -> Waiting<'_> {
        self.flights.enter(&publication.id, || Carried {
            publication: publication.id.clone(),
            stream: publication.stream.clone(),
            origin: origin.clone(),
            received: OnceCell::new(),
        })
    }

    /// One by id.
    pub fn get(&self, publication: &PublicationId) -> Option<Arc<Carried>> {
        self.flights.get(publication)
    }

    /// Whether it is carried, or about to be.
    pub fn contains(&self, publication: &PublicationId) -> bool {
        self.flights.contains(publication)
    }

    /// Takes one out.
    pub fn take(&self, publication: &PublicationId) -> Option<Arc<Carried>> {
        self.flights.take(publication)
    }

    /// Whether it is still this very one that is carried.
    pub fn is_current(&self, carried: &Arc<Carried>) -> bool {
        self.get(&carried.publication)
            .is_some_and(|now| Arc::ptr_eq(&now, carried))
    }

    /// How many there are, those that are being fetched included.
    pub fn count(&self) -> usize {
        self.flights.count()
    }

    /// All, those that are being fetched included.
    pub fn all(&self) -> Vec<Arc<Carried>> {
        self.flights.all()
    }

    /// What crosses links to this node at present.
    pub fn received(&self) -> Vec<Arc<Received>> {
        self.all().iter().filter_map(|carried| carried.received()).collect()
    }

    /// Those for which `which` holds.
    pub fn ids(&self, which: impl Fn(&Carried) -> bool) -> Vec<PublicationId> {
        let all = self.all();
        let these = all.iter().filter(|carried| which(carried));
        these.map(|carried| carried.publication.clone()).collect()
    }

    /// Those that have had no viewer for longer than `timeout`.
    pub fn idle(&self, now: Instant, timeout: Duration) -> Vec<PublicationId> {
        self.ids(|carried| {
            carried
                .received()
                .is_some_and(|received| received.local.idle(now) > timeout)
        })
    }

    /// What the admin API says of them.
    pub fn reports(&self) -> Vec<CarriedReport> {
        let mut reports: Vec<CarriedReport> = self.all().iter().filter_map(|carried| carried.report()).collect();
        reports.sort_by(|a, b| (&a.stream, &a.publication).cmp(&(&b.stream, &b.publication)));
        reports
    }

    /// The place of a new subscription among all. Taken once the publication has been entered.
    pub fn next_order(&self) -> u64 {
        self.order.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// The place of the last subscription.
    pub fn last_order(&self) -> u64 {
        self.order.load(Ordering::SeqCst)
    }
}

/// Origins that were asked for something and not told yet that nothing is wanted of them any more, with the order of the
/// last subscription.
#[derive(Default)]
pub struct Asked(Mutex<HashMap<String, (Peer, u64)>>);

impl Asked {
    /// An origin was asked for something.
    pub fn remember(&self, origin: &Peer, order: u64) {
        let mut asked = self.0.lock();
        let (_, last) = asked
            .entry(origin.incarnation.to_string())
            .or_insert_with(|| (origin.clone(), order));
        *last = order.max(*last);
    }

    /// The origin has heard of all that was asked until `order` that nothing is wanted.
    pub fn forget(&self, origin: &Peer, order: u64) {
        let mut asked = self.0.lock();
        if asked
            .get(origin.incarnation.as_str())
            .is_some_and(|(_, last)| *last <= order)
        {
            asked.remove(origin.incarnation.as_str());
        }
    }

    /// Those that are still peers, by incarnation; the others are gone for good.
    pub fn left(&self, peers: &[Peer]) -> Vec<(String, Peer)> {
        let mut asked = self.0.lock();
        asked.retain(|_, (origin, _)| peers.iter().any(|peer| peer.incarnation == origin.incarnation));
        asked
            .iter()
            .map(|(life, (origin, _))| (life.clone(), origin.clone()))
            .collect()
    }
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
