//! Who owns a stream name: first on this node, then by what the peers publish, then in Redis if it answers.

use crate::claims::{Claim, Claimed, REFRESH_EVERY, Refreshed};
use crate::node::Node;
use crate::problem::Problem;
use sfumato_mesh::access::Access;
use sfumato_mesh::api::{LinkState, PublicationId, StreamName};
use std::sync::Arc;
use std::time::Duration;

/// Longest wait for a holder that is asked whether it still holds a name.
const ASK_HOLDER: Duration = Duration::from_millis(700);

/// A name that is being claimed on this node; others of this node are refused until it is dropped.
pub struct Claiming {
    node: Arc<Node>,
    stream: StreamName,
    /// Right to the name.
    pub generation: u64,
}

impl Drop for Claiming {
    fn drop(&mut self) {
        self.node.claiming.lock().retain(|name| *name != self.stream);
    }
}

impl Node {
    /// Claims a name for a publication, or says who has it.
    pub async fn claim_name(
        self: &Arc<Self>,
        stream: &StreamName,
        id: &PublicationId,
        _access: Access,
    ) -> Result<Claiming, Problem> {
        {
            let mut claiming = self.claiming.lock();
            let taken =
                claiming.contains(stream) || self.published.lock().values().any(|p| p.presence.stream == *stream);
            if taken {
                return Err(taken_by(stream, self.me.name.as_str()));
            }
            claiming.push(stream.clone());
        }
        let mut claiming = Claiming {
            node: Arc::clone(self),
            stream: stream.clone(),
            generation: 1,
        };
        if let Some((peer, publication)) = self.peers.find(stream) {
            let holder = Claim {
                publication: publication.id,
                node: peer.name,
                incarnation: peer.incarnation,
                generation: publication.generation,
            };
            if self.still_holds(&holder).await {
                return Err(taken_by(stream, holder.node.as_str()));
            }
            claiming.generation = holder.generation + 1;
        }
        let mut claim = Claim {
            publication: id.clone(),
            node: self.me.name.clone(),
            incarnation: self.me.incarnation.clone(),
            generation: claiming.generation,
        };
        match self.claims.claim(stream, &claim).await {
            Claimed::Ours | Claimed::Unknown => {}
            Claimed::Held(holder) => {
                if self.still_holds(&holder).await {
                    return Err(taken_by(stream, holder.node.as_str()));
                }
                claim.generation = claim.generation.max(holder.generation + 1);
                claiming.generation = claim.generation;
                if let Claimed::Held(other) = self.claims.take_over(stream, &holder.publication, &claim).await {
                    return Err(taken_by(stream, other.node.as_str()));
                }
            }
        }
        Ok(claiming)
    }

    /// Whether the holder of a name lives and still publishes it. A take-over is allowed when its incarnation is gone.
    async fn still_holds(&self, holder: &Claim) -> bool {
        if holder.node == self.me.name {
            // Ours, or an earlier life of this node, which is over.
            return holder.incarnation == self.me.incarnation
                && self.published.lock().contains_key(&holder.publication);
        }
        let Some(peer) = self.peers.get(&holder.node) else {
            // Nobody that we have a link with: a node that left, or one that we have not met. Its claim runs out by itself.
            return true;
        };
        if peer.incarnation != holder.incarnation {
            return false;
        }
        match tokio::time::timeout(
            ASK_HOLDER,
            self.admin.publications(&peer.admin_url, None, Duration::ZERO),
        )
        .await
        {
            Ok(Ok(answer)) => {
                answer.incarnation == holder.incarnation
                    && answer.publications.iter().any(|p| p.id == holder.publication)
            }
            // Nothing listens there any more and no beat comes: the process is gone.
            Ok(Err(error)) if error.is_refused() => self.hears(&holder.incarnation),
            Ok(Err(_)) | Err(_) => true,
        }
    }

    fn hears(&self, incarnation: &sfumato_mesh::api::Incarnation) -> bool {
        self.links
            .lock()
            .values()
            .any(|l| l.peer.incarnation == *incarnation && l.state() == LinkState::Fresh)
    }

    /// Refreshes every claim of this node, for ever. A better claim of somebody else ends the publication here.
    pub async fn keep_claims(self: Arc<Self>) {
        if !self.claims.configured() {
            return;
        }
        let mut tick = tokio::time::interval(REFRESH_EVERY);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut was_healthy = self.claims.healthy();
        loop {
            tick.tick().await;
            let own: Vec<(StreamName, String, Claim)> = self
                .published
                .lock()
                .iter()
                .map(|(id, published)| {
                    let claim = Claim {
                        publication: id.clone(),
                        node: self.me.name.clone(),
                        incarnation: self.me.incarnation.clone(),
                        generation: published.generation,
                    };
                    (published.presence.stream.clone(), published.session.clone(), claim)
                })
                .collect();
            if own.is_empty() {
                self.claims.ping().await;
            }
            for (stream, session, claim) in own {
                match self.claims.refresh(&stream, &claim).await {
                    Refreshed::Ours => {}
                    Refreshed::Lost(winner) => {
                        tracing::warn!(%stream, winner = %winner.node, "the name belongs to a newer publication");
                        self.end_session(&session, "the name belongs to a newer publication")
                            .await;
                    }
                    // One wait a round is enough to know that Redis is away.
                    Refreshed::Unknown => break,
                }
            }
            if self.claims.healthy() != was_healthy {
                was_healthy = !was_healthy;
                self.touch();
            }
        }
    }
}

fn taken_by(stream: &StreamName, node: &str) -> Problem {
    Problem::conflict(format!(
        "{stream} is being published on {node}: stop it there, or choose another name"
    ))
    .field("stream")
}
