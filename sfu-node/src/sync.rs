//! What the peers publish, kept in memory by one long poll to each: level-triggered, so that a lost message delays a
//! change and never loses it. A stream that ends at its origin ends here with the next answer, which is at once.

use crate::node::Node;
use parking_lot::Mutex;
use sfumato_mesh::api::{NodeName, Peer, PublicationId, PublicationReport, StreamName};
use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

/// How long a peer may hold a long poll.
const WAIT: Duration = Duration::from_secs(20);
/// Pause after a failed poll.
const RETRY: Duration = Duration::from_millis(250);

/// A peer and what it publishes.
struct Known {
    peer: Peer,
    publications: Vec<PublicationReport>,
    /// Whether it takes sessions.
    ready: bool,
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
                ready: false,
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
        if ours {
            known.remove(&peer.name);
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

    /// Takes a new list of publications; true if it differs in what matters to this node.
    fn update(&self, peer: &Peer, publications: Vec<PublicationReport>) -> bool {
        let mut known = self.known.lock();
        match known.get_mut(&peer.name) {
            Some(there) if there.peer.incarnation == peer.incarnation => {
                let changed = there.publications != publications;
                there.publications = publications;
                changed
            }
            _ => false,
        }
    }

    /// Every peer.
    pub fn list(&self) -> Vec<Peer> {
        self.known.lock().values().map(|known| known.peer.clone()).collect()
    }

    /// A peer by name.
    pub fn get(&self, name: &NodeName) -> Option<Peer> {
        self.known.lock().get(name).map(|known| known.peer.clone())
    }

    /// The publication of a stream that counts: the highest generation, on a tie the smallest id.
    pub fn find(&self, stream: &StreamName) -> Option<(Peer, PublicationReport)> {
        let known = self.known.lock();
        known
            .values()
            .flat_map(|k| k.publications.iter().map(move |p| (&k.peer, p)))
            .filter(|(_, p)| p.stream == *stream)
            .max_by(|(_, a), (_, b)| a.generation.cmp(&b.generation).then_with(|| b.id.cmp(&a.id)))
            .map(|(peer, p)| (peer.clone(), p.clone()))
    }
}

/// Follows one incarnation of a peer until it is forgotten.
async fn follow(node: Weak<Node>, peer: Peer) {
    let mut after = None;
    loop {
        let Some(node_now) = node.upgrade() else { return };
        let admin = Arc::clone(&node_now.admin);
        drop(node_now);
        let answer = admin.publications(&peer.admin_url, after, WAIT).await;
        let Some(node) = node.upgrade() else { return };
        match answer {
            Ok(answer) if answer.incarnation == peer.incarnation => {
                after = Some(answer.revision);
                node.peers.set_ready(&peer, answer.ready);
                let ids: Vec<PublicationId> = answer.publications.iter().map(|p| p.id.clone()).collect();
                if node.peers.update(&peer, answer.publications) {
                    node.drop_carried_except(&peer, &ids, "the stream ended").await;
                    node.touch();
                    node.carry_eagerly(&peer);
                }
            }
            Ok(_) => {
                // Another life answers at this address: everything of the old one is over.
                if node.peers.update(&peer, Vec::new()) {
                    node.touch();
                }
                node.drop_carried_from(&peer, "its origin was restarted").await;
                after = None;
                drop(node);
                tokio::time::sleep(RETRY).await;
            }
            Err(error) => {
                tracing::debug!(peer = %peer.name, %error, "asking a peer for its publications");
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
