//! What the peers publish, kept in memory by one long poll to each: level-triggered, so that a lost message delays a
//! change and never loses it. A stream that ends at its origin ends here with the next answer, which is at once.

use super::Node;
use crate::streams::peers::{Learnt, Taken, Unmergeable};
use sfumato_admin_api::client::time_of;
use sfumato_admin_api::program::task;
use sfumato_admin_api::types::{Peer, PublicationId};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::time::Instant;

/// How long a peer may hold a long poll.
const WAIT: Duration = Duration::from_secs(20);
/// Least time between two polls of a peer.
const BETWEEN_QUESTIONS: Duration = Duration::from_millis(50);
/// How fast what a peer publishes is gone through over time, in bytes of memory that it takes: with a peer that has news all the time,
/// and publishes as much as it may, the others share a node. An honest one of 500 streams waits for 50 ms.
const BYTES_A_SECOND: u32 = 8 * 1024 * 1024;
/// Pause after a failed poll.
const RETRY: Duration = Duration::from_millis(250);
/// Pause after an answer that is refused: it may be as long as an answer may be, and has to be read all the same.
const AFTER_A_REFUSAL: Duration = Duration::from_secs(2);

/// Follows one incarnation of a peer until it is forgotten.
async fn follow(node: Weak<Node>, peer: Peer) {
    let mut refused = false;
    loop {
        let Some(node_now) = node.upgrade() else { return };
        let (admin, after) = (
            Arc::clone(&node_now.peers_admin),
            node_now.streams.peers.revision(&peer),
        );
        drop(node_now);
        let asked = Instant::now();
        let answer = admin.publications(&peer.admin_url, after, WAIT).await;
        // However soon a peer answers, and with whatever news: it costs the others no more than this.
        tokio::time::sleep_until(asked + BETWEEN_QUESTIONS).await;
        let Some(node) = node.upgrade() else { return };
        match answer {
            Ok(answer) if answer.incarnation == peer.incarnation => {
                node.streams.peers.set_ready(&peer, answer.ready);
                let taken = node.streams.peers.update(&peer, answer);
                let weight = taken.as_ref().map_or(0, |taken| taken.weight);
                let merged = match taken {
                    Ok(Taken { changed: true, .. }) => {
                        let peer = peer.clone();
                        to_the_end(
                            "taking in what a peer publishes",
                            async move { node.take_news(&peer).await },
                        )
                        .await;
                        true
                    }
                    Ok(Taken { changed: false, .. }) => true,
                    Err(Unmergeable::UnknownBase) => {
                        tracing::debug!(peer = %peer.name, "changes of something else than what is known: asking for everything");
                        drop(node);
                        tokio::time::sleep(RETRY).await;
                        true
                    }
                    Err(Unmergeable::TooMany | Unmergeable::TooHeavy) => {
                        refuse(&mut refused, &peer, &"it says that it publishes more than a node may");
                        node.streams.peers.silent(&peer);
                        drop(node);
                        tokio::time::sleep(AFTER_A_REFUSAL).await;
                        false
                    }
                };
                refused &= !merged;
                tokio::time::sleep_until(asked + time_of(weight, BYTES_A_SECOND)).await;
            }
            Ok(_) => {
                // Another life answers at this address: everything of the old one is over.
                if node.streams.peers.replaced(&peer) {
                    node.state.touch();
                }
                let lost = peer.clone();
                to_the_end("dropping what a former life of a peer published", async move {
                    node.drop_carried_from(&lost, "its origin was restarted").await;
                })
                .await;
                tokio::time::sleep(RETRY).await;
            }
            Err(error) => {
                if error.is_unusable() {
                    refuse(&mut refused, &peer, &error);
                } else {
                    tracing::debug!(peer = %peer.name, %error, "asking a peer for its publications");
                }
                node.streams.peers.silent(&peer);
                drop(node);
                let pause = if error.is_unusable() { AFTER_A_REFUSAL } else { RETRY };
                tokio::time::sleep(pause).await;
            }
        }
    }
}

/// Does work to its end, even when the poll that it follows from is forgotten meanwhile: what is half-way dropped would leave
/// viewers that nobody ends.
async fn to_the_end(what: &'static str, work: impl Future<Output = ()> + Send + 'static) {
    // After a panic the next answer compares everything anew.
    let _ = task::brief(what, work).await;
}

/// Tells once that what a peer says cannot be right, however often it says so.
fn refuse(told: &mut bool, peer: &Peer, why: &dyn std::fmt::Display) {
    if !std::mem::replace(told, true) {
        tracing::warn!(peer = %peer.name, incarnation = %peer.incarnation, error = %why, "the peer's answer is refused: its streams are not followed");
    }
}

impl Node {
    /// What follows from news of what a peer publishes.
    async fn take_news(self: &Arc<Self>, peer: &Peer) {
        let publications = self.streams.peers.publications_of(peer);
        let ids: Vec<PublicationId> = publications.into_iter().map(|p| p.id).collect();
        self.settle_names().await;
        self.drop_carried_except(peer, &ids, "the stream ended").await;
        self.state.touch();
        self.carry_eagerly(peer);
    }

    /// A link with this peer was asked for: follow what it publishes. A new incarnation replaces the old one.
    pub fn learn_peer(self: &Arc<Self>, peer: &Peer) {
        // It ends with the node, or is aborted with the peer.
        let follow = || {
            let following = follow(Arc::downgrade(self), peer.clone());
            task::serving(&self.state.fatal, "following what a peer publishes", following)
        };
        match self.streams.peers.learn(peer, follow) {
            Learnt::Known => return,
            Learnt::New => {}
            Learnt::Replaces(lost) => {
                let node = Arc::clone(self);
                task::brief("dropping what a former life of a peer published", async move {
                    node.drop_carried_from(&lost, "its origin was restarted").await;
                });
            }
        }
        self.state.touch();
    }

    /// No link with this incarnation is left.
    pub async fn forget_peer(self: &Arc<Self>, peer: &Peer, why: &'static str) {
        if self.streams.peers.forget(peer) {
            tracing::info!(peer = %peer.name, incarnation = %peer.incarnation, "peer forgotten: {why}");
        }
        self.drop_carried_from(peer, why).await;
        self.state.touch();
    }
}
