//! All ends of links of a node, and the beats that prove them.

use super::beat::{Echo, MAX_ECHOES, link_key};
use super::beat_sender::BeatSender;
use super::link::Link;
use crate::media::deadline::MediaError;
use crate::media::workers::Workers;
use parking_lot::Mutex;
use sfumato_admin_api::types::{Incarnation, Lane, LinkId, LinkReport, LinkState, NodeName, Peer, PublicationId};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The ends of links on this node.
pub struct LinkTable {
    ends: Mutex<BTreeMap<LinkId, Arc<Link>>>,
    /// One change at a time for each peer.
    changing: Mutex<HashMap<NodeName, Arc<tokio::sync::Mutex<()>>>>,
    /// What links that are gone have carried: it must not vanish from the sums.
    before: Mutex<LinkSums>,
    /// One a worker, by index.
    senders: Vec<Arc<BeatSender>>,
}

/// What links have carried, all together.
#[derive(Debug, Clone, Copy, Default)]
pub struct LinkSums {
    pub packets_received: u64,
    pub packets_lost: u64,
    pub bytes_sent: u64,
    pub bytes_received: u64,
    pub beats_received: u64,
}

impl LinkSums {
    fn add(&mut self, link: &LinkReport) {
        self.packets_received += link.packets_received;
        self.packets_lost += link.packets_lost;
        self.bytes_sent += link.bytes_sent;
        self.bytes_received += link.bytes_received;
        self.beats_received += link.beats_received;
    }
}

impl LinkTable {
    /// No link yet; prepares each worker's beats.
    pub async fn start(workers: &Workers) -> Result<Self, MediaError> {
        let mut senders = Vec::new();
        for worker in workers.all() {
            senders.push(BeatSender::start(worker).await?);
        }
        Ok(Self {
            ends: Mutex::default(),
            changing: Mutex::default(),
            before: Mutex::default(),
            senders,
        })
    }

    /// Who sends the beats of each worker, by index.
    pub fn beat_senders(&self) -> &[Arc<BeatSender>] {
        &self.senders
    }

    /// To be held while the links with a peer are changed.
    pub fn change_of(&self, peer: &NodeName) -> Arc<tokio::sync::Mutex<()>> {
        Arc::clone(self.changing.lock().entry(peer.clone()).or_default())
    }

    /// Adds an end.
    pub fn insert(&self, link: Arc<Link>) {
        self.ends.lock().insert(link.id.clone(), link);
    }

    /// Takes an end out, and keeps what it has carried in the sums. Both under one lock: to whoever adds up the links
    /// nothing is missing and nothing is there twice.
    pub fn take(&self, id: &LinkId) -> Option<Arc<Link>> {
        let mut ends = self.ends.lock();
        let link = ends.remove(id)?;
        self.before.lock().add(&link.report(Instant::now()));
        Some(link)
    }

    /// An end by id.
    pub fn get(&self, id: &LinkId) -> Option<Arc<Link>> {
        self.ends.lock().get(id).cloned()
    }

    /// Every end.
    pub fn all(&self) -> Vec<Arc<Link>> {
        self.ends.lock().values().cloned().collect()
    }

    /// The end that leads to one incarnation of a peer on one lane.
    pub fn with(&self, peer: &Peer, lane: Lane) -> Option<Arc<Link>> {
        let ends = self.ends.lock();
        ends.values()
            .find(|link| link.leads_to(&peer.name, &peer.incarnation) && link.lane == lane)
            .cloned()
    }

    /// Ends that lead to one incarnation of a peer.
    pub fn to(&self, name: &NodeName, incarnation: &Incarnation) -> Vec<Arc<Link>> {
        let ends = self.ends.lock();
        ends.values()
            .filter(|link| link.leads_to(name, incarnation))
            .cloned()
            .collect()
    }

    /// The link to a peer that media which enters on `worker` there crosses: lane `worker mod lanes` of those that are fresh.
    pub fn for_media(&self, peer: &Peer, worker: u16) -> Option<Arc<Link>> {
        let mut fresh = self.to(&peer.name, &peer.incarnation);
        fresh.retain(|link| link.state() == LinkState::Fresh);
        fresh.sort_by_key(|link| link.lane);
        let at = usize::from(worker).checked_rem(fresh.len())?;
        Some(fresh.swap_remove(at))
    }

    /// Whether media can cross to one of these peers at present.
    pub fn is_fresh_to_any(&self, peers: &[Peer]) -> bool {
        self.ends.lock().values().any(|link| {
            link.state() == LinkState::Fresh && peers.iter().any(|peer| link.leads_to(&peer.name, &peer.incarnation))
        })
    }

    /// Whether a link to an incarnation is fresh.
    pub fn is_fresh(&self, incarnation: &Incarnation) -> bool {
        let ends = self.ends.lock();
        ends.values()
            .any(|link| link.peer.incarnation == *incarnation && link.state() == LinkState::Fresh)
    }

    /// Whether any link leads to an incarnation.
    pub fn has(&self, incarnation: &Incarnation) -> bool {
        self.ends
            .lock()
            .values()
            .any(|link| link.peer.incarnation == *incarnation)
    }

    /// Time since the last beat of an incarnation over any link; none without a link that has heard one.
    pub fn last_beat(&self, incarnation: &Incarnation) -> Option<Duration> {
        let now = Instant::now();
        self.ends
            .lock()
            .values()
            .filter(|link| link.peer.incarnation == *incarnation)
            .filter_map(|link| link.echo(now).map(|(_, age)| age))
            .min()
    }

    /// What a worker's next beat echoes; none when no link of it is connected, so that nobody would hear it.
    pub fn echoes(&self, worker: u16, now: Instant) -> Option<Vec<Echo>> {
        let ends = self.ends.lock();
        let mut connected = ends
            .values()
            .filter(|link| link.lane.0 == worker && link.remote().is_some())
            .peekable();
        connected.peek()?;
        let echoes = connected.filter_map(|link| {
            let remote = link.remote()?;
            let (sequence, held) = link.echo(now)?;
            let held_us = u32::try_from(held.as_micros()).unwrap_or(u32::MAX);
            Some(Echo {
                link: link_key(remote),
                sequence,
                held_us,
            })
        });
        Some(echoes.take(MAX_ECHOES).collect())
    }

    /// Lets time pass; true when the state of a link has changed.
    pub fn refresh(&self, now: Instant) -> bool {
        let ends = self.ends.lock();
        ends.values().fold(false, |changed, link| link.refresh(now) | changed)
    }

    /// What the admin API says of the links.
    pub fn reports(&self, now: Instant) -> Vec<LinkReport> {
        let mut reports: Vec<LinkReport> = self.ends.lock().values().map(|link| link.report(now)).collect();
        reports.sort_by(|a, b| (&a.peer, a.lane, &a.id).cmp(&(&b.peer, b.lane, &b.id)));
        reports
    }

    /// What present links and those before them have carried.
    pub fn sums(&self, now: Instant) -> LinkSums {
        let ends = self.ends.lock();
        let mut sums = *self.before.lock();
        ends.values().for_each(|link| sums.add(&link.report(now)));
        sums
    }

    /// Which nodes each publication is sent to.
    pub fn subscribers(&self) -> HashMap<PublicationId, Vec<NodeName>> {
        let mut subscribers: HashMap<PublicationId, Vec<NodeName>> = HashMap::new();
        for link in self.ends.lock().values() {
            for publication in link.outgoing.keys() {
                let nodes = subscribers.entry(publication).or_default();
                if !nodes.contains(&link.peer.name) {
                    nodes.push(link.peer.name.clone());
                    nodes.sort();
                }
            }
        }
        subscribers
    }
}
