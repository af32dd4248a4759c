//! What the peers publish, in memory. The node follows each of them by a long poll.

use crate::names::redis_claims::Claim;
use crate::names::rights::Right;
use parking_lot::Mutex;
use sfumato_admin_api::types::bounds::MAX_PUBLICATIONS;
use sfumato_admin_api::types::{
    LayerReport, NodeName, Peer, PublicationId, PublicationReport, Publications, StreamName, TrackKind, TrackState,
};
use std::collections::{BTreeMap, HashSet, VecDeque};
use std::time::{Duration, Instant};
use tokio::task::AbortHandle;

/// Most bytes of memory that what one peer publishes takes: a few bytes of JSON can become many. As many streams as a peer may
/// have, of sound and of three layers of pictures, take less.
const MAX_WEIGHT: usize = 16 * 1024 * 1024;
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
    poll: AbortHandle,
}

impl Drop for Known {
    fn drop(&mut self) {
        self.poll.abort();
    }
}

/// What came of an answer.
#[derive(Debug, PartialEq, Eq)]
pub struct Taken {
    /// Whether it differs in what matters to this node.
    pub changed: bool,
    /// What all that the peer publishes takes in memory, in bytes.
    pub weight: usize,
}

/// What came of learning of a peer.
#[derive(Debug, PartialEq, Eq)]
pub enum Learnt {
    /// This incarnation was known.
    Known,
    /// It is followed from now on.
    New,
    /// It is followed from now on, instead of another incarnation.
    Replaces(Peer),
}

/// All peers with a link.
#[derive(Default)]
pub struct Peers {
    known: Mutex<BTreeMap<NodeName, Known>>,
    /// Nodes without a link at present, the latest last, and when they answered last: a claim of theirs may be left.
    former: Mutex<VecDeque<(Peer, Instant)>>,
}

impl Peers {
    /// A link with this peer was asked for: `follow` starts the poll of what it publishes, unless this incarnation is
    /// followed already. A new incarnation replaces the old one, which is answered.
    pub fn learn(&self, peer: &Peer, follow: impl FnOnce() -> AbortHandle) -> Learnt {
        let mut known = self.known.lock();
        if let Some(there) = known.get_mut(&peer.name)
            && there.peer.incarnation == peer.incarnation
        {
            there.peer = peer.clone();
            return Learnt::Known;
        }
        let new = Known {
            peer: peer.clone(),
            publications: Vec::new(),
            revision: None,
            ready: false,
            answers: false,
            answered: Instant::now(),
            poll: follow(),
        };
        let old = known.insert(peer.name.clone(), new);
        old.map_or(Learnt::New, |old| Learnt::Replaces(old.peer.clone()))
    }

    /// Stops following one incarnation of a peer.
    pub fn forget(&self, peer: &Peer) -> bool {
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
    pub fn set_ready(&self, peer: &Peer, ready: bool) {
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

    /// Takes an answer of a peer.
    pub fn update(&self, peer: &Peer, answer: Publications) -> Result<Taken, Unmergeable> {
        let mut known = self.known.lock();
        match known.get_mut(&peer.name) {
            Some(there) if there.peer.incarnation == peer.incarnation => {
                let revision = answer.revision;
                let publications = merged(&there.publications, there.revision, answer);
                // Changes of something else than what is known: everything is asked for.
                there.revision = publications.is_ok().then_some(revision);
                let publications = publications?;
                let weight = PublicationReport::weight_of(&publications);
                let changed = there.publications != publications || !there.answers;
                there.publications = publications;
                there.answers = true;
                there.answered = Instant::now();
                Ok(Taken { changed, weight })
            }
            _ => Ok(Taken {
                changed: false,
                weight: 0,
            }),
        }
    }

    /// Another life answers in the place of a peer: it publishes nothing. True if it did.
    pub fn replaced(&self, peer: &Peer) -> bool {
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
    pub fn revision(&self, peer: &Peer) -> Option<u64> {
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
    pub fn silent(&self, peer: &Peer) {
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

    /// What arrives of the tracks of a publication at its origin, as far as that says it.
    pub fn states_of(&self, publication: &PublicationId) -> Vec<(TrackKind, TrackState)> {
        let known = self.known.lock();
        let reports = known.values().flat_map(|known| &known.publications);
        let tracks = reports
            .filter(|report| report.id == *publication)
            .flat_map(|report| &report.tracks);
        tracks.filter_map(|track| Some((track.kind, track.state?))).collect()
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

/// Right of a publication to its name.
pub fn right_of(publication: &PublicationReport) -> Right {
    Right {
        generation: publication.generation,
        publication: publication.id.clone(),
    }
}

/// Why changes cannot be added to what is known.
#[derive(Debug, PartialEq, Eq)]
pub enum Unmergeable {
    /// They are changes of something else.
    UnknownBase,
    /// There would be more than a node may publish.
    TooMany,
    /// It would take more than [`MAX_WEIGHT`].
    TooHeavy,
}

/// What a peer publishes by its answer, given what was known as of a revision.
fn merged(
    known: &[PublicationReport],
    revision: Option<u64>,
    mut answer: Publications,
) -> Result<Vec<PublicationReport>, Unmergeable> {
    // Nobody here asks who else carries them, and a liar may name many.
    for publication in &mut answer.publications {
        publication.subscribers = Vec::new();
    }
    let all = match answer.changes_since {
        None => Ok(answer.publications),
        Some(since) if Some(since) == revision => {
            let changed = answer.publications.iter().map(|new| &new.id);
            let outdated: HashSet<&PublicationId> = answer.ended.iter().chain(changed).collect();
            let kept = known.iter().filter(|there| !outdated.contains(&there.id));
            let mut all: Vec<PublicationReport> = kept.chain(&answer.publications).cloned().collect();
            // Changes can add up to more than one answer may tell.
            if all.len() > MAX_PUBLICATIONS {
                return Err(Unmergeable::TooMany);
            }
            // As everything is sorted that a peer tells at once.
            all.sort_by(|a, b| (&a.stream, &a.id).cmp(&(&b.stream, &b.id)));
            Ok(all)
        }
        Some(_) => Err(Unmergeable::UnknownBase),
    }?;
    if PublicationReport::weight_of(&all) > MAX_WEIGHT {
        return Err(Unmergeable::TooHeavy);
    }
    Ok(all)
}

#[cfg(test)]
#[path = "peers_tests.rs"]
mod tests;
