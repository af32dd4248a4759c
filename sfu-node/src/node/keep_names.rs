//! Keeping names that this node holds: claims in Redis are refreshed, publications whose name somebody has a better right
//! to end, and it is known when RTP last came.

use super::Node;
use crate::media::deadline::within;
use crate::names::redis_claims::{Claim, Memory, REFRESH_EVERY, Refreshed, WATCH_EVERY};
use crate::names::rights::{Right, generation_after, may_take_over, winner};
use crate::sessions::end_reason::EndReason;
use crate::streams::published::OwnRight;
use futures::StreamExt;
use mediasoup::prelude::TransportGeneric;
use sfumato_admin_api::types::{NodeName, PublicationId, StreamName};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::time::MissedTickBehavior;

/// How often publishers are looked at for RTP. A part of [`crate::names::rights::RTP_SILENCE`]: what this adds to it is the
/// longest that a returning publisher waits in vain.
pub const RTP_SAMPLE_EVERY: Duration = Duration::from_millis(500);
/// Claims that are refreshed side by side.
const REFRESHES_AT_ONCE: usize = 32;
/// What a publisher that lost its name is told, and the log.
const LOST: &str = "another publisher took the name over";

impl Node {
    /// Ends every publication of this node whose name somebody has a better right to, and stops carrying those of others.
    ///
    /// Run whenever either side of the comparison changes: a peer's publications, or the own ones. Since all nodes compare
    /// by the same rule, the one that has to give up does, and no other.
    pub async fn settle_names(self: &Arc<Self>) {
        let own = self.streams.published.rights();
        let mut best: HashMap<StreamName, (Right, NodeName)> = HashMap::new();
        let mine = own
            .iter()
            .map(|own| (own.stream.clone(), own.right.clone(), self.me.name.clone()));
        let all: Vec<(StreamName, Right, NodeName)> = self.streams.peers.rights().into_iter().chain(mine).collect();
        for (stream, right, node) in all.iter().cloned() {
            let so_far = best.remove(&stream);
            if let Some(better) = winner(so_far.into_iter().chain([(right, node)])) {
                best.insert(stream, better);
            }
        }
        for own in own {
            if let Some((right, node)) = best.get(&own.stream)
                && right.outranks(&own.right)
            {
                tracing::warn!(stream = %own.stream, peer = %node, publication = %own.right.publication, "{LOST}");
                self.end_session(&own.session, EndReason::NameLost).await;
            }
        }
        for publication in self.carried_losers(&all, &best) {
            self.drop_carried(&publication, LOST).await;
        }
    }

    /// Carried publications that lost their name: their viewers are closed, so that they come back to the winner.
    fn carried_losers(
        &self,
        all: &[(StreamName, Right, NodeName)],
        best: &HashMap<StreamName, (Right, NodeName)>,
    ) -> Vec<PublicationId> {
        all.iter()
            .filter(|(stream, right, _)| {
                self.streams.carried.contains(&right.publication)
                    && best.get(stream).is_some_and(|(better, _)| better.outranks(right))
            })
            .map(|(_, right, _)| right.publication.clone())
            .collect()
    }

    /// Watches Redis and refreshes every claim of this node, for ever. All are written again at once when Redis answers
    /// again, or has forgotten this node: it may have come back empty.
    pub async fn keep_claims(self: Arc<Self>) {
        let mut tick = tokio::time::interval(WATCH_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut was_healthy = self.names.claims.healthy();
        let mut problem = self.names.claims.problem();
        let mut refreshed: Option<Instant> = None;
        loop {
            tick.tick().await;
            let memory = self.names.claims.watch(&self.me).await;
            let healthy = self.names.claims.healthy();
            let due = refreshed.is_none_or(|at| at.elapsed() >= REFRESH_EVERY);
            if memory == Memory::Forgot || healthy && (due || !was_healthy) {
                refreshed = Some(Instant::now());
                self.refresh_claims().await;
            }
            let now = self.names.claims.problem();
            if healthy != was_healthy || now != problem {
                (was_healthy, problem) = (healthy, now);
                self.state.touch();
            }
        }
    }

    /// Writes every claim of this node to Redis again.
    pub async fn refresh_claims(self: &Arc<Self>) {
        futures::stream::iter(self.streams.published.rights())
            .for_each_concurrent(REFRESHES_AT_ONCE, async |own| {
                let claim = self.claim_of(&own.right);
                if let Refreshed::Lost(winner) = self.names.claims.refresh(&own.stream, &claim).await {
                    self.answer_better_claim(own, &winner).await;
                }
            })
            .await;
    }

    /// Redis knows a better claim. It counts if its holder lives; one that is gone (it died while Redis was away) does not
    /// end what plays.
    async fn answer_better_claim(self: &Arc<Self>, own: OwnRight, better: &Claim) {
        let state = self.ask(&own.stream, better).await;
        if !may_take_over(state.with_claim_alive(), false) {
            tracing::warn!(stream = %own.stream, peer = %better.node, publication = %own.right.publication, "{LOST}");
            self.end_session(&own.session, EndReason::NameLost).await;
            return;
        }
        let raised = Right {
            generation: generation_after(better.generation),
            ..own.right
        };
        if !self.streams.published.raise(&raised) {
            return;
        }
        tracing::info!(stream = %own.stream, peer = %better.node, %state, "the better claim's holder is gone; kept the name");
        self.state.publications_changed([&raised.publication]);
        let claim = self.claim_of(&raised);
        self.names
            .claims
            .take_over(&own.stream, &better.publication, &claim)
            .await;
    }

    /// Looks at every publisher for RTP.
    pub async fn sample_publishers(&self) {
        let sessions = self.streams.published.sessions(None);
        futures::future::join_all(sessions.iter().map(|session| self.sample_publisher(session))).await;
    }

    /// Looks at one publisher for RTP. A worker that does not answer says nothing about the publisher.
    pub async fn sample_publisher(&self, session: &str) {
        let Some(session) = self.sessions.get(session) else {
            return;
        };
        let Ok(stats) = within("reading a publisher's statistics", session.transport.get_stats()).await else {
            return;
        };
        let now = Instant::now();
        if let Some(stat) = stats.first() {
            let published = &self.streams.published;
            published.sample_rtp(&session.id, stat.rtp_bytes_received, now);
        }
    }
}
