//! What the front door knows of the cluster: a pure state that is changed only by what nodes say, or by their silence.
//!
//! Three words move it: [`View::heard`] (a node answered), [`View::lost`] (an address did not), and [`View::seeded`]
//! (the seeds resolve to other addresses now). Everything else is a function of the state, so every race has a test.

use sfumato_admin_api::types::bounds::MAX_MEMBERS;
use sfumato_admin_api::types::{NodeName, NodeReport, Peer};
use std::collections::{BTreeMap, BTreeSet};
use tokio::time::Instant;

/// Most admin URLs that are polled: what a node says of its peers must not decide how many that are. Each node that may be
/// known has one, and another one while it moves.
pub const MAX_TARGETS: usize = 2 * MAX_MEMBERS;
/// Most addresses that the seeds may resolve to.
pub const MAX_SEED_ADDRESSES: usize = MAX_MEMBERS;

/// One node, as far as it is known.
#[derive(Debug, Clone, PartialEq)]
pub struct Known {
    /// How it is reached: by its own word, or by a peer's while it has not answered.
    pub peer: Peer,
    /// What it said last; stale when it is not reachable.
    pub report: Option<NodeReport>,
    /// Whether it answered the last poll.
    pub reachable: bool,
    /// Sessions that this front door gave it since its last report: its counts do not show them yet.
    pub placed: u32,
    /// Whether it has answered a client of this front door: then it counts by itself, whoever told of it.
    pub proven: bool,
    /// Until when others are asked first, since it has left a client without an answer ([`View::hung`]).
    pub hung_until: Option<Instant>,
}

impl Known {
    fn by_name(peer: Peer) -> Self {
        Self {
            peer,
            report: None,
            reachable: false,
            placed: 0,
            proven: false,
            hung_until: None,
        }
    }

    /// Its report, if it is of now: none from a node that does not answer.
    #[must_use]
    pub fn current(&self) -> Option<&NodeReport> {
        self.report.as_ref().filter(|_| self.reachable)
    }
}

/// An address that a seed resolves to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SeedAddress {
    /// The node that answered there last.
    pub node: Option<NodeName>,
    /// Why it does not answer, if so.
    pub error: Option<String>,
    /// As [`Known::hung_until`], of whichever node answers here: it may call itself otherwise at any time.
    pub hung_until: Option<Instant>,
}

/// Who may see the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Openness {
    /// No node has answered yet, so nobody knows.
    Unknown,
    /// Nobody asks for tokens.
    Open,
    /// Clients need tokens, and the nodes at these admin URLs can check them.
    Closed(Vec<String>),
}

/// The cluster as this front door sees it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct View {
    nodes: BTreeMap<NodeName, Known>,
    seeds: BTreeMap<String, SeedAddress>,
    /// Whether clients need tokens, as far as nodes have said so.
    closed: bool,
    /// As [`Known::hung_until`], of all nodes that no seed leads to and that have answered no client: each is known by the word of
    /// another node, which can give it another name for every client.
    named_hung_until: Option<Instant>,
}

impl View {
    /// Every node that is known, by name.
    #[must_use]
    pub fn nodes(&self) -> &BTreeMap<NodeName, Known> {
        &self.nodes
    }

    /// Every address that the seeds resolve to, by URL.
    #[must_use]
    pub fn seeds(&self) -> &BTreeMap<String, SeedAddress> {
        &self.seeds
    }

    /// Admin URLs to poll: the seeds, every known node, and where reachable nodes say that their peers are (after a
    /// restart that may differ from where the node was last seen). At most [`MAX_TARGETS`], in that order, so that nodes that
    /// name too many peers keep nobody from being asked whom others know.
    #[must_use]
    pub fn targets(&self) -> BTreeSet<String> {
        let named = self
            .reports()
            .flat_map(|report| report.peers.iter().map(|peer| base(&peer.admin_url)));
        let own = self.nodes.values().map(|known| base(&known.peer.admin_url));
        // Where we were told of HTTPS alone, nobody's word sends our token in clear.
        let secure = !self.seeds.is_empty() && self.seeds.keys().all(|url| has_tls(url));
        let (own, named) = (
            own.filter(|url| !secure || has_tls(url)),
            named.filter(|url| !secure || has_tls(url)),
        );
        let mut targets = BTreeSet::new();
        for url in self.seeds.keys().cloned().chain(own).chain(named) {
            if targets.len() == MAX_TARGETS {
                break;
            }
            targets.insert(url);
        }
        targets
    }

    /// The seeds resolve to these admin URLs now.
    pub fn seeded(&mut self, urls: impl IntoIterator<Item = String>) {
        let mut before = std::mem::take(&mut self.seeds);
        self.seeds = urls
            .into_iter()
            .take(MAX_SEED_ADDRESSES)
            .map(|url| {
                let url = base(&url);
                let seed = before.remove(&url).unwrap_or_default();
                (url, seed)
            })
            .collect();
        self.forget();
    }

    /// A node answered at this admin URL.
    ///
    /// Answers `false` when the node says that it lives at another URL (a seed may be a service that stands before
    /// several nodes): then the answer only tells of the node, which is polled at its own address.
    pub fn heard(&mut self, url: &str, report: NodeReport) -> bool {
        let url = base(url);
        let name = report.node.name.clone();
        let at_home = base(&report.node.admin_url) == url;
        let is_taken = at_home && self.is_taken(&name, &url);
        if let Some(seed) = self.seeds.get_mut(&url) {
            (seed.node, seed.error) = (Some(name.clone()), None);
            if is_taken {
                (seed.node, seed.error) = (
                    None,
                    Some(format!("it calls itself {name}, as a node at another address does")),
                );
            }
        }
        if is_taken {
            return true;
        }
        for (other, known) in &mut self.nodes {
            if *other != name && base(&known.peer.admin_url) == url {
                known.reachable = false;
            }
        }
        if at_home {
            self.make_room(&name);
            let peers = report.peers.clone();
            // Before its peers: whom it names must not take its own place.
            if self.nodes.len() < MAX_MEMBERS || self.nodes.contains_key(&name) {
                let before = self.nodes.get(&name).filter(|known| base(&known.peer.admin_url) == url);
                let known = Known {
                    peer: report.node.clone(),
                    report: Some(report),
                    reachable: true,
                    placed: 0,
                    proven: before.is_some_and(|known| known.proven),
                    hung_until: before.and_then(|known| known.hung_until),
                };
                self.nodes.insert(name, known);
                for peer in &peers {
                    self.named(peer);
                }
            }
        } else {
            self.make_room(&name);
            self.named(&report.node);
        }
        self.forget();
        self.close_or_open();
        at_home
    }

    /// Nothing usable was answered at this admin URL. Its node stays listed as unreachable. Whether that is news.
    pub fn lost(&mut self, url: &str, why: &str) -> bool {
        let url = base(url);
        let mut news = false;
        if let Some(seed) = self.seeds.get_mut(&url) {
            news = seed.error.as_deref() != Some(why);
            seed.error = Some(why.to_owned());
        }
        for known in self
            .nodes
            .values_mut()
            .filter(|known| base(&known.peer.admin_url) == url)
        {
            news |= std::mem::take(&mut known.reachable);
        }
        self.forget() || news
    }

    /// This front door has just given a node a session.
    pub fn placed(&mut self, name: &NodeName) {
        if let Some(known) = self.nodes.get_mut(name) {
            known.placed = known.placed.saturating_add(1);
        }
    }

    /// This node has left a client without an answer: until then, clients go to others, if there are any.
    pub fn hung(&mut self, name: &NodeName, until: Instant) {
        for seed in self.seeds.values_mut().filter(|seed| seed.node.as_ref() == Some(name)) {
            seed.hung_until = Some(until);
        }
        let by_itself = self.counts_by_itself(name);
        if let Some(known) = self.nodes.get_mut(name) {
            (known.hung_until, known.proven) = (Some(until), false);
        }
        if !by_itself {
            self.named_hung_until = Some(until);
        }
    }

    /// This node has answered a client.
    pub fn proven(&mut self, name: &NodeName) {
        if let Some(known) = self.nodes.get_mut(name) {
            known.proven = true;
        }
    }

    /// Whether clients should go to others now, if there are any.
    #[must_use]
    pub fn is_hung(&self, name: &NodeName, now: Instant) -> bool {
        let of_seeds = self.seeds_of(name).filter_map(|seed| seed.hung_until);
        let own = self.nodes.get(name).and_then(|known| known.hung_until);
        let of_all = self.named_hung_until.filter(|_| !self.counts_by_itself(name));
        of_seeds.chain(own).chain(of_all).any(|until| now < until)
    }

    /// Whether a node is more than a name that another one has told of: a seed leads to it, or it has answered a client.
    #[must_use]
    pub fn counts_by_itself(&self, name: &NodeName) -> bool {
        self.is_seed(name) || self.nodes.get(name).is_some_and(|known| known.proven)
    }

    /// Addresses of seeds at which this node has answered.
    pub fn addresses_of(&self, name: &NodeName) -> impl Iterator<Item = &String> {
        let seeds = self
            .seeds
            .iter()
            .filter(move |(_, seed)| seed.node.as_ref() == Some(name));
        seeds.map(|(url, _)| url)
    }

    fn seeds_of(&self, name: &NodeName) -> impl Iterator<Item = &SeedAddress> {
        self.seeds.values().filter(move |seed| seed.node.as_ref() == Some(name))
    }

    /// Reports of the nodes that answer.
    pub fn reports(&self) -> impl Iterator<Item = &NodeReport> {
        self.nodes.values().filter_map(Known::current)
    }

    /// Who may see the cluster.
    #[must_use]
    pub fn openness(&self) -> Openness {
        if !self.closed {
            let heard = self.nodes.values().any(|known| known.report.is_some());
            return if heard { Openness::Open } else { Openness::Unknown };
        }
        let answering = self.nodes.values().filter(|known| {
            let report = known.current();
            report.is_some_and(|report| report.tokens_required == Some(true))
        });
        Openness::Closed(answering.map(|known| base(&known.peer.admin_url)).collect())
    }

    /// One node that asks for tokens closes the cluster, and only the word of all that none is needed opens it: not the
    /// silence of the one, nor nodes of a release that does not say.
    fn close_or_open(&mut self) {
        let said = || {
            let reports = self.nodes.values().filter_map(|known| known.report.as_ref());
            reports.map(|report| report.tokens_required)
        };
        if said().any(|required| required == Some(true)) {
            self.closed = true;
        } else if said().all(|required| required == Some(false)) {
            self.closed = false;
        }
    }

    /// A node that has answered at a seed's address is never kept out by those that are only named: one of these makes room.
    fn make_room(&mut self, name: &NodeName) {
        if self.nodes.len() < MAX_MEMBERS || self.nodes.contains_key(name) || !self.is_seed(name) {
            return;
        }
        let only_named = self.nodes.iter().filter(|(name, _)| !self.is_seed(name));
        let least = only_named.min_by_key(|(_, known)| known.reachable);
        if let Some(name) = least.map(|(name, _)| name.clone()) {
            self.nodes.remove(&name);
        }
    }

    /// Whether another node than the one at this URL answers to this name at a seed's address: nobody takes the name of one that we
    /// were told of, as long as that answers.
    fn is_taken(&self, name: &NodeName, url: &str) -> bool {
        let known = self.nodes.get(name).filter(|known| known.reachable);
        known.is_some_and(|known| {
            let home = base(&known.peer.admin_url);
            let seed = self.seeds.get(&home).filter(|seed| seed.error.is_none());
            home != url && seed.is_some_and(|seed| seed.node.as_ref() == Some(name))
        })
    }

    /// Whether this node has answered at a seed's address, and is not known by the word of others alone.
    fn is_seed(&self, name: &NodeName) -> bool {
        self.seeds_of(name).next().is_some()
    }

    /// Somebody names a node. A node's own word about itself counts for more, as long as it lives that same life.
    fn named(&mut self, peer: &Peer) {
        if self.nodes.len() >= MAX_MEMBERS && !self.nodes.contains_key(&peer.name) {
            return;
        }
        let known = self
            .nodes
            .entry(peer.name.clone())
            .or_insert_with(|| Known::by_name(peer.clone()));
        let same_life = known
            .report
            .as_ref()
            .is_some_and(|report| report.node.incarnation == peer.incarnation);
        if !known.reachable && !same_life {
            known.peer = peer.clone();
        }
    }

    /// Drops every silent node that nobody names any more; a seed's address is still asked, so that its node comes back
    /// as soon as it answers there. With no node left to ask, nobody's silence means anything, and all stay. Whether any was
    /// dropped.
    fn forget(&mut self) -> bool {
        let named: BTreeSet<NodeName> = self
            .reports()
            .flat_map(|report| report.peers.iter().map(|peer| peer.name.clone()))
            .collect();
        if self.reports().next().is_none() {
            return false;
        }
        let before = self.nodes.len();
        let seeds = &self.seeds;
        self.nodes.retain(|name, known| {
            known.reachable
                || named.contains(name)
                || seeds
                    .values()
                    .any(|seed| seed.error.is_none() && seed.node.as_ref() == Some(name))
        });
        self.nodes.len() != before
    }
}

/// Whether the admin API at this URL is reached by HTTPS.
#[must_use]
pub fn has_tls(admin_url: &str) -> bool {
    admin_url.starts_with("https://")
}

/// A base URL without its trailing slash, so that two spellings of one address are one key.
fn base(url: &str) -> String {
    url.trim_end_matches('/').to_owned()
}

#[cfg(test)]
#[path = "view_samples.rs"]
pub mod samples;

#[cfg(test)]
#[path = "view_tests.rs"]
mod tests;
