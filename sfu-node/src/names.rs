//! Claiming a stream name: first on this node, then by what the peers publish, then in Redis, and without an answer of
//! Redis by asking every peer. Who may have it is decided by the rules of [`crate::ownership`].

use crate::claims::{Claim, Claimed};
use crate::node::Node;
use crate::ownership::{Holder, Right, generation_after, may_take_over};
use crate::problem::Problem;
use crate::session::SessionId;
use sfumato_admin_api::client::AdminError;
use sfumato_admin_api::server::client_token::Access;
use sfumato_admin_api::types::{
    Incarnation, LinkState, NameHolder, NameReport, NodeName, Peer, PublicationId, StreamName,
};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Longest wait for a node that is asked who holds a name there.
const ASK_HOLDER: Duration = Duration::from_millis(700);
/// Wait before a node whose connection broke is asked again, within [`ASK_HOLDER`].
const BROKEN_RETRY: Duration = Duration::from_millis(20);
/// Attempts to replace a claim in Redis that changes between being read and being replaced.
const TAKE_OVER_ATTEMPTS: usize = 3;
/// How often a link is looked at while a beat is waited for.
const BEAT_POLL: Duration = Duration::from_millis(20);

/// A name that is being claimed on this node; others of this node are refused until it is dropped.
pub struct Claiming {
    node: Arc<Node>,
    stream: StreamName,
    /// Right to the name.
    pub right: Right,
}

impl Claiming {
    fn beat(&mut self, holder: u64) {
        self.right.generation = self.right.generation.max(generation_after(holder));
        let mut claiming = self.node.claiming.lock();
        claiming.insert(self.stream.clone(), self.right.clone());
    }

    fn claim(&self) -> Claim {
        self.node.claim_of(&self.right)
    }
}

impl Drop for Claiming {
    fn drop(&mut self) {
        self.node.claiming.lock().remove(&self.stream);
    }
}

impl Node {
    /// Claims a name for a publication, or says who has it. A token's right to take names over is part of `access`.
    pub async fn claim_name(
        self: &Arc<Self>,
        stream: &StreamName,
        id: &PublicationId,
        access: Access,
    ) -> Result<Claiming, Problem> {
        let forced = access.takeover;
        let right = Right {
            generation: 1,
            publication: id.clone(),
        };
        {
            let mut claiming = self.claiming.lock();
            if claiming.contains_key(stream) {
                return Err(taken_by(stream, &self.me.name));
            }
            claiming.insert(stream.clone(), right.clone());
        }
        let mut claiming = Claiming {
            node: Arc::clone(self),
            stream: stream.clone(),
            right,
        };
        for holder in self.known_holders(stream) {
            let state = self.ask(stream, &holder).await;
            if !may_take_over(state, forced) {
                return Err(taken_by(stream, &holder.node));
            }
            tracing::info!(%stream, peer = %holder.node, ?state, forced, "taking the name over");
            claiming.beat(holder.generation);
        }
        for _ in 0..TAKE_OVER_ATTEMPTS {
            let held = match self.claims.claim(stream, &claiming.claim()).await {
                Claimed::Ours => return Ok(claiming),
                Claimed::Unknown => return self.claim_among_peers(claiming, forced).await,
                Claimed::Held(held) => held,
            };
            let state = self.ask(stream, &held).await;
            if !may_take_over(with_claim_alive(state), forced) {
                return Err(taken_by(stream, &held.node));
            }
            claiming.beat(held.generation);
            match self
                .claims
                .take_over(stream, &held.publication, &claiming.claim())
                .await
            {
                Claimed::Ours => return Ok(claiming),
                Claimed::Unknown => return self.claim_among_peers(claiming, forced).await,
                // Somebody was faster; who that is may be gone as well by now.
                Claimed::Held(_) => {}
            }
        }
        Err(taken_by_another(stream))
    }

    /// Without Redis: asks every peer who holds the name there, also those whose publications were known a moment ago.
    async fn claim_among_peers(&self, mut claiming: Claiming, forced: bool) -> Result<Claiming, Problem> {
        let answers = self.peers.list().into_iter().map(|peer| {
            let stream = claiming.stream.clone();
            async move {
                let answer = self.ask_peer(&peer, &stream).await;
                let holders = answer.map(|a| a.holders).unwrap_or_default();
                holders.into_iter().map(move |holder| (peer.clone(), holder))
            }
        });
        for (peer, holder) in futures::future::join_all(answers).await.into_iter().flatten() {
            let theirs = right_of(&holder);
            // Both are being claimed at this moment: the better right goes on, the other one is refused over there.
            if holder.claiming && claiming.right.beats(&theirs) {
                continue;
            }
            if !may_take_over(publishing(&holder), forced) {
                return Err(taken_by(&claiming.stream, &peer.name));
            }
            claiming.beat(holder.generation);
        }
        Ok(claiming)
    }

    /// Everybody who is known to publish under a name, the best right first.
    fn known_holders(&self, stream: &StreamName) -> Vec<Claim> {
        let mut holders: Vec<Claim> = self
            .published
            .lock()
            .iter()
            .filter(|(_, published)| published.presence.stream == *stream)
            .map(|(id, published)| self.claim_of(&published.right(id)))
            .collect();
        holders.extend(self.peers.holders(stream));
        holders.sort_by_key(|claim| std::cmp::Reverse(claim.right()));
        holders
    }

    /// What the holder of a claim is doing, by its own word if it answers.
    pub async fn ask(&self, stream: &StreamName, holder: &Claim) -> Holder {
        if holder.node == self.me.name {
            // Else an earlier life of this node, or a publication that has just ended.
            return if holder.incarnation == self.me.incarnation {
                state_of(holder, &self.name_report(stream).await)
            } else {
                Holder::Gone
            };
        }
        let Some((peer, answered)) = self.peers.address(&holder.node) else {
            // Nobody that we ever had a link with. Its claim runs out by itself.
            return Holder::Unreachable {
                unheard: Duration::ZERO,
            };
        };
        if peer.incarnation != holder.incarnation {
            return Holder::Gone;
        }
        match self.ask_peer(&peer, stream).await {
            Ok(answer) => state_of(holder, &answer),
            // Nothing listens there any more, and no beat comes: the process is gone.
            Err(Some(error)) if error.is_refused() && !self.beat_comes(&peer.incarnation).await => Holder::Gone,
            Err(_) => Holder::Unreachable {
                unheard: self
                    .last_beat(&peer.incarnation)
                    .map_or(answered, |beat| beat.min(answered)),
            },
        }
    }

    /// Asks a peer who holds a name there; `Err(None)` when it does not answer in time.
    async fn ask_peer(&self, peer: &Peer, stream: &StreamName) -> Result<NameReport, Option<AdminError>> {
        let answer = tokio::time::timeout(ASK_HOLDER, async {
            loop {
                match self.admin.name(&peer.admin_url, stream).await {
                    // A process that is ending resets its connections first; the next one is refused.
                    Err(error) if error.is_broken() => tokio::time::sleep(BROKEN_RETRY).await,
                    answer => return answer,
                }
            }
        });
        match answer.await {
            Ok(Ok(report)) => Ok(report),
            Ok(Err(error)) => Err(Some(error)),
            Err(_) => Err(None),
        }
    }

    /// Whether the incarnation is heard after this moment: a process that lives sends the next beat within an interval.
    async fn beat_comes(&self, incarnation: &Incarnation) -> bool {
        let from = Instant::now();
        let deadline = from + self.options.beat_interval.mul_f64(1.5);
        loop {
            let fresh = self
                .links
                .lock()
                .values()
                .any(|l| l.peer.incarnation == *incarnation && l.state() == LinkState::Fresh);
            if !fresh {
                return false;
            }
            if self.last_beat(incarnation).is_some_and(|age| age < from.elapsed()) {
                return true;
            }
            if Instant::now() > deadline {
                return false;
            }
            tokio::time::sleep(BEAT_POLL).await;
        }
    }

    /// Time since the last beat of an incarnation over any link; none without a link that has heard one.
    fn last_beat(&self, incarnation: &Incarnation) -> Option<Duration> {
        let now = Instant::now();
        self.links
            .lock()
            .values()
            .filter(|l| l.peer.incarnation == *incarnation)
            .filter_map(|l| l.echo(now).map(|(_, age)| age))
            .min()
    }

    /// Who holds a name on this node, for a node that wants it.
    pub async fn name_report(&self, stream: &StreamName) -> NameReport {
        let sessions: Vec<SessionId> = self
            .published
            .lock()
            .values()
            .filter(|p| p.presence.stream == *stream)
            .map(|p| p.session.clone())
            .collect();
        futures::future::join_all(sessions.iter().map(|session| self.sample_publisher(session))).await;
        let now = Instant::now();
        // Looked at first: whoever stops claiming in between has published, or has given up.
        let claiming = self.claiming.lock().get(stream).cloned();
        let mut holders: Vec<NameHolder> = self
            .published
            .lock()
            .iter()
            .filter(|(_, p)| p.presence.stream == *stream)
            .map(|(id, p)| NameHolder {
                publication: id.clone(),
                generation: p.generation,
                claiming: false,
                silent_ms: u64::try_from(p.last_rtp.silent(now).as_millis()).unwrap_or(u64::MAX),
            })
            .collect();
        if let Some(right) = claiming
            && !holders.iter().any(|holder| holder.publication == right.publication)
        {
            holders.push(NameHolder {
                publication: right.publication,
                generation: right.generation,
                claiming: true,
                silent_ms: 0,
            });
        }
        NameReport {
            incarnation: self.me.incarnation.clone(),
            holders,
        }
    }

    /// The claim that this node makes with a right.
    pub fn claim_of(&self, right: &Right) -> Claim {
        Claim {
            publication: right.publication.clone(),
            node: self.me.name.clone(),
            incarnation: self.me.incarnation.clone(),
            generation: right.generation,
        }
    }
}

/// What a node's answer says of the holder of a claim.
fn state_of(claim: &Claim, answer: &NameReport) -> Holder {
    let there = answer
        .holders
        .iter()
        .find(|there| there.publication == claim.publication);
    match there {
        Some(there) if answer.incarnation == claim.incarnation => publishing(there),
        _ => Holder::Gone,
    }
}

fn right_of(holder: &NameHolder) -> Right {
    Right {
        generation: holder.generation,
        publication: holder.publication.clone(),
    }
}

fn publishing(holder: &NameHolder) -> Holder {
    Holder::Publishing {
        silent: Duration::from_millis(holder.silent_ms),
    }
}

/// A claim that stands in Redis is itself a sign of life: its holder refreshes it, or it runs out.
pub fn with_claim_alive(state: Holder) -> Holder {
    match state {
        Holder::Unreachable { .. } => Holder::Unreachable {
            unheard: Duration::ZERO,
        },
        known => known,
    }
}

/// The answer to a publisher whose name somebody else has.
pub fn taken_by(stream: &StreamName, node: &NodeName) -> Problem {
    Problem::conflict(format!(
        "{stream} is being published on {node}: stop it there, or choose another name"
    ))
    .field("stream")
}

/// The same when it is not known who: several were claiming it at one moment.
pub fn taken_by_another(stream: &StreamName) -> Problem {
    Problem::conflict(format!(
        "another publisher got {stream} at the same moment: stop it there, or choose another name"
    ))
    .field("stream")
}
