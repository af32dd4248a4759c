//! What the peers publish, kept in memory by one long poll to each: level-triggered, so that a lost message delays a
//! change and never loses it. A stream that ends at its origin ends here with the next answer, which is at once.

use crate::claims::Claim;
use crate::node::Node;
use crate::ownership::Right;
use parking_lot::Mutex;
use sfumato_admin_api::types::{
    LayerReport, NodeName, Peer, PublicationId, PublicationReport, Publications, StreamName,
};
use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

/// How long a peer may hold a long poll.
const WAIT: Duration = Duration::from_secs(20);
/// Pause after a failed poll.
const RETRY: Duration = Duration::from_millis(250);

/// Former peers of which it is kept where they lived.
const MAX_FORMER: usize = 64;

/// A peer and what it publishes.
struct Known {
    peer: Peer,
    publications: Vec<PublicationReport>,
    /// Revision of `publications`, to which changes are added; none when everything is to be asked for.
    revision: Option<u64>,
    /// Whether it takes sessions.
    ready: bool,
    /// Whether it answered the last poll. One that does not may be dead: its rights do not end anybody else's publication.
    answers: bool,
    /// When it answered last, or was learnt of.
    answered: Instant,
    poll: tokio::task::AbortHandle,
}

impl Drop for Known {
    fn drop(&mut self) {
        self.poll.abort();
    }
}

/// All peers with a link.
#[derive(Default)]
pub struct Peers {
    known: Mutex<BTreeMap<NodeName, Known>>,
    /// Nodes without a link at present, the latest last, and when they answered last: a claim of theirs may be left.
    former: Mutex<VecDeque<(Peer, Instant)>>,
}

impl Peers {
    /// A link with this peer was asked for: follow what it publishes. A new incarnation replaces the old one.
    pub fn learn(&self, node: &Arc<Node>, peer: &Peer) {
        let mut known = self.known.lock();
        if let Some(there) = known.get_mut(&peer.name)
            && there.peer.incarnation == peer.incarnation
        {
            there.peer = peer.clone();
            return;
        }
        let poll = tokio::spawn(follow(Arc::downgrade(node), peer.clone())).abort_handle();
        let old = known.insert(
            peer.name.clone(),
            Known {
                peer: peer.clone(),
                publications: Vec::new(),
                revision: None,
                ready: false,
                answers: false,
                answered: Instant::now(),
                poll,
            },
        );
        drop(known);
        if let Some(old) = old {
            let (node, lost) = (Arc::clone(node), old.peer.clone());
            tokio::spawn(async move { node.drop_carried_from(&lost, "its origin was restarted").await });
        }
        node.touch();
    }

    /// Stops following one incarnation of a peer.
    fn forget(&self, peer: &Peer) -> bool {
        let mut known = self.known.lock();
        let ours = known
            .get(&peer.name)
            .is_some_and(|k| k.peer.incarnation == peer.incarnation);
        if ours && let Some(gone) = known.remove(&peer.name) {
            let mut former = self.former.lock();
            former.retain(|(other, _)| other.name != peer.name);
            former.push_back((gone.peer.clone(), gone.answered));
            if former.len() > MAX_FORMER {
                former.pop_front();
            }
        }
        ours
    }

    /// Takes over whether a peer takes sessions.
    fn set_ready(&self, peer: &Peer, ready: bool) {
        let mut known = self.known.lock();
        if let Some(there) = known.get_mut(&peer.name)
            && there.peer.incarnation == peer.incarnation
        {
            there.ready = ready;
        }
    }

    /// Peers that take sessions, by their own last word.
    pub fn that_are_ready(&self) -> Vec<Peer> {
        let known = self.known.lock();
        let ready = known.values().filter(|known| known.ready);
        ready.map(|known| known.peer.clone()).collect()
    }

    /// Takes an answer of a peer; true if it differs in what matters to this node.
    fn update(&self, peer: &Peer, answer: Publications) -> Result<bool, UnknownBase> {
        let mut known = self.known.lock();
        match known.get_mut(&peer.name) {
            Some(there) if there.peer.incarnation == peer.incarnation => {
                let revision = answer.revision;
                let publications = merged(&there.publications, there.revision, answer);
                // Changes of something else than what is known: everything is asked for.
                there.revision = publications.is_ok().then_some(revision);
                let publications = publications?;
                let changed = there.publications != publications || !there.answers;
                there.publications = publications;
                there.answers = true;
                there.answered = Instant::now();
                Ok(changed)
            }
            _ => Ok(false),
        }
    }

    /// Another life answers in the place of a peer: it publishes nothing. True if it did.
    fn replaced(&self, peer: &Peer) -> bool {
        let mut known = self.known.lock();
        match known.get_mut(&peer.name) {
            Some(there) if there.peer.incarnation == peer.incarnation => {
                there.revision = None;
                there.answers = true;
                there.answered = Instant::now();
                !std::mem::take(&mut there.publications).is_empty()
            }
            _ => false,
        }
    }

    /// Revision of what is known of a peer; none when everything is to be asked for.
    fn revision(&self, peer: &Peer) -> Option<u64> {
        let known = self.known.lock();
        known
            .get(&peer.name)
            .filter(|there| there.peer.incarnation == peer.incarnation)
            .and_then(|there| there.revision)
    }

    /// Every peer.
    pub fn list(&self) -> Vec<Peer> {
        self.known.lock().values().map(|known| known.peer.clone()).collect()
    }

    /// A poll of a peer failed.
    fn silent(&self, peer: &Peer) {
        if let Some(there) = self.known.lock().get_mut(&peer.name)
            && there.peer.incarnation == peer.incarnation
        {
            there.answers = false;
            // It may be answered at once then: that it answers again is news.
            there.revision = None;
        }
    }

    /// A peer by name, also one that there is no link with any more, and how long ago it answered.
    pub fn address(&self, name: &NodeName) -> Option<(Peer, Duration)> {
        if let Some(known) = self.known.lock().get(name) {
            return Some((known.peer.clone(), known.answered.elapsed()));
        }
        let former = self.former.lock();
        let (peer, answered) = former.iter().find(|(peer, _)| peer.name == *name)?;
        Some((peer.clone(), answered.elapsed()))
    }

    /// The publication of a stream that counts: that of a peer that answers before any other, then by [`Right`].
    pub fn find(&self, stream: &StreamName) -> Option<(Peer, PublicationReport)> {
        let known = self.known.lock();
        known
            .values()
            .flat_map(|k| k.publications.iter().map(move |p| (k, p)))
            .filter(|(_, p)| p.stream == *stream)
            .max_by_key(|(k, p)| (k.answers, right_of(p)))
            .map(|(k, p)| (k.peer.clone(), p.clone()))
    }

    /// Everybody who publishes under a name, as claims.
    pub fn holders(&self, stream: &StreamName) -> Vec<Claim> {
        let known = self.known.lock();
        known
            .values()
            .flat_map(|k| k.publications.iter().map(move |p| (&k.peer, p)))
            .filter(|(_, p)| p.stream == *stream)
            .map(|(peer, p)| Claim {
                publication: p.id.clone(),
                node: peer.name.clone(),
                incarnation: peer.incarnation.clone(),
                generation: p.generation,
            })
            .collect()
    }

    /// Every right of the peers that answer.
    pub fn rights(&self) -> Vec<(StreamName, Right, NodeName)> {
        let known = self.known.lock();
        known
            .values()
            .filter(|k| k.answers)
            .flat_map(|k| k.publications.iter().map(move |p| (&k.peer, p)))
            .map(|(peer, p)| (p.stream.clone(), right_of(p), peer.name.clone()))
            .collect()
    }
}

/// Right of a publication to its name.
pub fn right_of(publication: &PublicationReport) -> Right {
    Right {
        generation: publication.generation,
        publication: publication.id.clone(),
    }
}

/// Changes of something else than what is known.
#[derive(Debug, PartialEq, Eq)]
struct UnknownBase;

/// What a peer publishes by its answer, given what was known as of a revision.
fn merged(
    known: &[PublicationReport],
    revision: Option<u64>,
    answer: Publications,
) -> Result<Vec<PublicationReport>, UnknownBase> {
    match answer.changes_since {
        None => Ok(answer.publications),
        Some(since) if Some(since) == revision => {
            let changed = answer.publications.iter().map(|new| &new.id);
            let outdated: HashSet<&PublicationId> = answer.ended.iter().chain(changed).collect();
            let kept = known.iter().filter(|there| !outdated.contains(&there.id));
            let mut all: Vec<PublicationReport> = kept.chain(&answer.publications).cloned().collect();
            // As everything is sorted that a peer tells at once.
            all.sort_by(|a, b| (&a.stream, &a.id).cmp(&(&b.stream, &b.id)));
            Ok(all)
        }
        Some(_) => Err(UnknownBase),
    }
}

/// Follows one incarnation of a peer until it is forgotten.
async fn follow(node: Weak<Node>, peer: Peer) {
    loop {
        let Some(node_now) = node.upgrade() else { return };
        let (admin, after) = (Arc::clone(&node_now.admin), node_now.peers.revision(&peer));
        drop(node_now);
        let answer = admin.publications(&peer.admin_url, after, WAIT).await;
        let Some(node) = node.upgrade() else { return };
        match answer {
            Ok(answer) if answer.incarnation == peer.incarnation => {
                node.peers.set_ready(&peer, answer.ready);
                match node.peers.update(&peer, answer) {
                    Ok(true) => {
                        let publications = node.peers.publications_of(&peer);
                        let ids: Vec<PublicationId> = publications.into_iter().map(|p| p.id).collect();
                        node.settle_names().await;
                        node.drop_carried_except(&peer, &ids, "the stream ended").await;
                        node.touch();
                        node.carry_eagerly(&peer);
                    }
                    Ok(false) => {}
                    Err(UnknownBase) => {
                        tracing::debug!(peer = %peer.name, "changes of something else than what is known: asking for everything");
                        drop(node);
                        tokio::time::sleep(RETRY).await;
                    }
                }
            }
            Ok(_) => {
                // Another life answers at this address: everything of the old one is over.
                if node.peers.replaced(&peer) {
                    node.touch();
                }
                node.drop_carried_from(&peer, "its origin was restarted").await;
                drop(node);
                tokio::time::sleep(RETRY).await;
            }
            Err(error) => {
                tracing::debug!(peer = %peer.name, %error, "asking a peer for its publications");
                node.peers.silent(&peer);
                drop(node);
                tokio::time::sleep(RETRY).await;
            }
        }
    }
}

impl Node {
    /// No link with this incarnation is left.
    pub async fn forget_peer(self: &Arc<Self>, peer: &Peer, why: &'static str) {
        if self.peers.forget(peer) {
            tracing::info!(peer = %peer.name, incarnation = %peer.incarnation, "peer forgotten: {why}");
        }
        self.drop_carried_from(peer, why).await;
        self.touch();
    }
}

impl Peers {
    /// What the origin tells of the simulcast layers of a publication.
    pub fn layers_of(&self, publication: &PublicationId) -> Vec<LayerReport> {
        let known = self.known.lock();
        known
            .values()
            .flat_map(|known| &known.publications)
            .filter(|report| report.id == *publication)
            .flat_map(|report| &report.tracks)
            .find(|track| !track.layers.is_empty())
            .map(|track| track.layers.clone())
            .unwrap_or_default()
    }

    /// What one incarnation of a peer publishes.
    pub fn publications_of(&self, peer: &Peer) -> Vec<PublicationReport> {
        let known = self.known.lock();
        known
            .get(&peer.name)
            .filter(|k| k.peer.incarnation == peer.incarnation)
            .map(|k| k.publications.clone())
            .unwrap_or_default()
    }
}

#[cfg(test)]
#[path = "sync_tests.rs"]
mod tests;
