//! Links as the operator drives them: `PUT /admin/v1/links/{peer}` and `POST /admin/v1/links/close`.
//!
//! The decisions are [`sfumato_admin_api::server::link_rules`]; here they are carried out, one call at a time for each peer.

use super::Node;
use crate::ids;
use crate::links::link::{Link, LinkEvents};
use crate::media::deadline::MediaError;
use crate::media::pipe::PipeListen;
use sfumato_admin_api::server::link_rules::{Decision, Existing, decide};
use sfumato_admin_api::types::{
    CloseLinks, Incarnation, LaneRequest, LinkEnd, LinkId, Links, NodeName, Peer, PutLinks,
};
use std::sync::{Arc, Weak};

/// Why a call about links was refused.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// A field of the request cannot be right.
    #[error("{detail}")]
    Malformed {
        field: &'static str,
        /// What is wrong with it.
        detail: String,
    },
    /// The call is for another life of this node.
    #[error("this is incarnation {ours}, not {meant}: read the node's report again")]
    OtherIncarnation {
        /// The life that answers.
        ours: Incarnation,
        /// The life that was meant.
        meant: Incarnation,
    },
    /// The links have changed since the caller looked.
    #[error("{0}")]
    Changed(String),
    /// The other end of a link, as the request names it, cannot be connected to.
    #[error("{0}")]
    Unusable(MediaError),
    /// A worker failed.
    #[error(transparent)]
    Media(#[from] MediaError),
}

impl LinkError {
    fn malformed(field: &'static str, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self::Malformed { field, detail }
    }
}

impl LinkEvents for Node {
    fn link_changed(&self) {
        self.state.touch();
    }
}

impl Node {
    /// Makes or connects the links with one peer that are asked for, all lanes.
    pub async fn put_links(self: &Arc<Self>, peer: &NodeName, request: &PutLinks) -> Result<Links, LinkError> {
        self.check_incarnation(&request.incarnation)?;
        if request.peer.name != *peer {
            let detail = format!("peer.name is {}, the path says {peer}", request.peer.name);
            return Err(LinkError::malformed("peer.name", detail));
        }
        if *peer == self.me.name {
            let detail = "a node has no link to itself: name another peer";
            return Err(LinkError::malformed("peer", detail));
        }
        let lanes = self.options.worker_count();
        if let Some(bad) = request.lanes.iter().find(|wanted| wanted.lane.0 >= lanes) {
            let detail = format!("lane {} is beyond the {lanes} workers of this node", bad.lane);
            return Err(LinkError::malformed("lanes", detail));
        }
        let change = self.links.change_of(peer);
        let _one = change.lock().await;
        self.drop_links(&request.close, "closed by the operator").await;
        let mut links = Vec::with_capacity(request.lanes.len());
        for wanted in &request.lanes {
            links.push(self.put_lane(request, wanted).await?);
        }
        self.learn_peer(&request.peer);
        Ok(Links { links })
    }

    async fn put_lane(self: &Arc<Self>, request: &PutLinks, wanted: &LaneRequest) -> Result<LinkEnd, LinkError> {
        let peer = &request.peer;
        let existing = self.links.with(peer, wanted.lane);
        let decision = decide(
            existing
                .as_ref()
                .map(|link| Existing {
                    id: &link.id,
                    remote: link.remote(),
                    usable: link.is_usable(),
                })
                .as_ref(),
            wanted,
        );
        let link = match (decision, existing) {
            (Decision::Conflict(detail), _) => return Err(LinkError::Changed(detail)),
            (Decision::Reuse, Some(link)) => link,
            (Decision::Connect, Some(link)) => {
                self.connect_link(&link, wanted).await?;
                link
            }
            (Decision::Create { close }, _) => {
                self.drop_links(close.as_slice(), "replaced by the operator").await;
                let link = self.open_link(peer, wanted, request.encrypted).await?;
                self.connect_link(&link, wanted).await?;
                link
            }
            (Decision::Reuse | Decision::Connect, None) => {
                let detail = "the link went away while it was asked for".to_owned();
                return Err(LinkError::Changed(detail));
            }
        };
        Ok(link.end()?)
    }

    async fn open_link(&self, peer: &Peer, wanted: &LaneRequest, encrypted: bool) -> Result<Arc<Link>, LinkError> {
        let id = ids::new_link_id();
        let index = wanted.lane.0;
        let link = Link::open(
            id.clone(),
            peer.clone(),
            wanted.lane,
            self.workers.get(index),
            &self.links.beat_senders()[usize::from(index)],
            &self.link_listen(encrypted),
            self.options.beat_interval,
        )
        .await?;
        let link = Arc::new(link);
        self.links.insert(Arc::clone(&link));
        tracing::debug!(peer = %peer.name, incarnation = %peer.incarnation, lane = %wanted.lane, link = %id, "link made");
        self.state.touch();
        Ok(link)
    }

    /// Where pipes to other nodes listen. A node that was started to encrypt always does; another one does where its peer
    /// was, so that every pair can be linked while a change of the setting is rolled out.
    fn link_listen(&self, peer_encrypts: bool) -> PipeListen {
        PipeListen {
            ip: self.options.pipe_ip,
            ports: self.options.pipe_ports.clone(),
            encrypted: self.options.link_encryption || peer_encrypts,
        }
    }

    async fn connect_link(self: &Arc<Self>, link: &Arc<Link>, wanted: &LaneRequest) -> Result<(), LinkError> {
        let Some(remote) = &wanted.remote else { return Ok(()) };
        let weak: Weak<Self> = Arc::downgrade(self);
        if let Err(error) = link.connect(remote, weak).await {
            // A pipe connects once in its life: one that failed half-way would refuse every later attempt.
            self.drop_links(std::slice::from_ref(&link.id), "dropped: it could not be connected")
                .await;
            return Err(match error {
                MediaError::Refused { .. } => LinkError::Unusable(error),
                MediaError::Late { .. } | MediaError::NoPort { .. } | MediaError::Unusable { .. } => {
                    LinkError::Media(error)
                }
            });
        }
        self.state.touch();
        Ok(())
    }

    /// Closes ends by id; unknown ids count as closed.
    pub async fn close_links(self: &Arc<Self>, request: &CloseLinks) -> Result<(), LinkError> {
        self.check_incarnation(&request.incarnation)?;
        self.drop_links(&request.links, "closed by the operator").await;
        Ok(())
    }

    /// Drops links and everything that crosses them.
    async fn drop_links(self: &Arc<Self>, ids: &[LinkId], why: &'static str) {
        for id in ids {
            if let Some(link) = self.links.get(id) {
                link.sample().await;
            }
            let Some(link) = self.links.take(id) else {
                continue;
            };
            tracing::debug!(peer = %link.peer.name, lane = %link.lane, link = %id, state = link.state().as_str(), "link {why}");
            self.drop_carried_over(id, "the link that carried the stream was closed")
                .await;
            link.outgoing.lock().await.clear();
            if !self.links.has(&link.peer.incarnation) {
                self.forget_peer(&link.peer, "its links were closed").await;
            }
            self.state.touch();
        }
    }

    fn check_incarnation(&self, meant: &Incarnation) -> Result<(), LinkError> {
        if *meant == self.me.incarnation {
            return Ok(());
        }
        Err(LinkError::OtherIncarnation {
            ours: self.me.incarnation.clone(),
            meant: meant.clone(),
        })
    }
}
