//! Claiming a stream name: first on this node, then by what the peers publish, then in Redis, and without an answer of
//! Redis by asking every peer. Who may have it is decided by the rules of [`crate::names::rights`].

use super::Node;
use crate::names::claiming::{ClaimInProgress, NameTaken};
use crate::names::redis_claims::{Claim, Claimed};
use crate::names::rights::{Holder, Right, may_take_over};
use sfumato_admin_api::client::AdminError;
use sfumato_admin_api::server::client_token::Access;
use sfumato_admin_api::types::{Incarnation, NameHolder, NameReport, Peer, PublicationId, StreamName};
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

impl Node {
    /// Begins to claim a name for a publication, or says who is known to have it. A token's right to take names over is
    /// part of `access`. Nothing is written anywhere yet: whoever only asks takes the name from nobody.
    pub async fn begin_claim(
        self: &Arc<Self>,
        stream: &StreamName,
        id: &PublicationId,
        access: Access,
    ) -> Result<ClaimInProgress, NameTaken> {
        let forced = access.takeover;
        let right = Right {
            generation: 1,
            publication: id.clone(),
        };
        let mut claim = self
            .names
            .claiming
            .begin(stream, right)
            .ok_or_else(|| NameTaken::on(stream, &self.me.name))?;
        for holder in self.known_holders(stream) {
            let state = self.ask(stream, &holder).await;
            if !may_take_over(state, forced) {
                return Err(NameTaken::on(stream, &holder.node));
            }
            tracing::info!(%stream, peer = %holder.node, %state, forced, "taking the name over");
            claim.outrank(holder.generation);
        }
        Ok(claim)
    }

    /// Claims the name from all others, or says who has it.
    pub async fn complete_claim(
        self: &Arc<Self>,
        mut claim: ClaimInProgress,
        access: Access,
    ) -> Result<ClaimInProgress, NameTaken> {
        let (stream, forced) = (claim.stream().clone(), access.takeover);
        let stream = &stream;
        for _ in 0..TAKE_OVER_ATTEMPTS {
            let held = match self.names.claims.claim(stream, &self.claim_of(claim.right())).await {
                Claimed::Ours => return Ok(claim),
                Claimed::Unknown => return self.claim_among_peers(claim, forced).await,
                Claimed::Held(held) => held,
            };
            let state = self.ask(stream, &held).await;
            if !may_take_over(state.with_claim_alive(), forced) {
                return Err(NameTaken::on(stream, &held.node));
            }
            claim.outrank(held.generation);
            match self
                .names
                .claims
                .take_over(stream, &held.publication, &self.claim_of(claim.right()))
                .await
            {
                Claimed::Ours => return Ok(claim),
                Claimed::Unknown => return self.claim_among_peers(claim, forced).await,
                // Somebody was faster; who that is may be gone as well by now.
                Claimed::Held(_) => {}
            }
        }
        Err(NameTaken::by_another(stream))
    }

    /// Without Redis: asks every peer who holds the name there, also those whose publications were known a moment ago.
    async fn claim_among_peers(&self, mut claim: ClaimInProgress, forced: bool) -> Result<ClaimInProgress, NameTaken> {
        let answers = self.streams.peers.list().into_iter().map(|peer| {
            let stream = claim.stream().clone();
            async move {
                let answer = self.ask_peer(&peer, &stream).await;
                let holders = answer.map(|a| a.holders).unwrap_or_default();
                holders.into_iter().map(move |holder| (peer.clone(), holder))
            }
        });
        for (peer, holder) in futures::future::join_all(answers).await.into_iter().flatten() {
            let theirs = right_of(&holder);
            // Both are being claimed at this moment: the better right goes on, the other one is refused over there.
            if holder.claiming && claim.right().outranks(&theirs) {
                continue;
            }
            if !may_take_over(publishing(&holder), forced) {
                return Err(NameTaken::on(claim.stream(), &peer.name));
            }
            claim.outrank(holder.generation);
        }
        Ok(claim)
    }

    /// Everybody who is known to publish under a name, the best right first.
    fn known_holders(&self, stream: &StreamName) -> Vec<Claim> {
        let own = self.streams.published.rights().into_iter();
        let mut holders: Vec<Claim> = own
            .filter(|own| own.stream == *stream)
            .map(|own| self.claim_of(&own.right))
            .collect();
        holders.extend(self.streams.peers.holders(stream));
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
        let Some((peer, answered)) = self.streams.peers.address(&holder.node) else {
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
                    .links
                    .last_beat(&peer.incarnation)
                    .map_or(answered, |beat| beat.min(answered)),
            },
        }
    }

    /// Asks a peer who holds a name there; `Err(None)` when it does not answer in time.
    async fn ask_peer(&self, peer: &Peer, stream: &StreamName) -> Result<NameReport, Option<AdminError>> {
        let answer = tokio::time::timeout(ASK_HOLDER, async {
            loop {
                match self.peers_admin.name(&peer.admin_url, stream).await {
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
            if !self.links.is_fresh(incarnation) {
                return false;
            }
            if self
                .links
                .last_beat(incarnation)
                .is_some_and(|age| age < from.elapsed())
            {
                return true;
            }
            if Instant::now() > deadline {
                return false;
            }
            tokio::time::sleep(BEAT_POLL).await;
        }
    }

    /// Who holds a name on this node, for a node that wants it.
    pub async fn name_report(&self, stream: &StreamName) -> NameReport {
        let sessions = self.streams.published.sessions(Some(stream));
        futures::future::join_all(sessions.iter().map(|session| self.sample_publisher(session))).await;
        let now = Instant::now();
        // Looked at first: whoever stops claiming in between has published, or has given up.
        let claiming = self.names.claiming.right_to(stream);
        let mut holders = self.streams.published.holders(stream, now);
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
