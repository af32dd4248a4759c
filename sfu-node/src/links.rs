//! Links as the operator drives them: `PUT /admin/v1/links/{peer}` and `POST /admin/v1/links/close`.
//!
//! The decisions are [`sfumato_admin_api::server::link_rules`]; here they are carried out, one call at a time for each peer.

use crate::deadline::MediaError;
use crate::link::Link;
use crate::node::Node;
use crate::problem::Problem;
use axum::http::StatusCode;
use sfumato_admin_api::server::link_rules::{Decision, Existing, decide};
use sfumato_admin_api::types::{
    CloseLinks, Incarnation, LaneRequest, LinkEnd, LinkId, Links, NodeName, Peer, PutLinks,
};
use std::sync::Arc;
use std::time::Instant;

impl Node {
    /// Makes or connects the links with one peer that are asked for, all lanes.
    pub async fn put_links(self: &Arc<Self>, peer: &NodeName, request: &PutLinks) -> Result<Links, Problem> {
        self.check_incarnation(&request.incarnation)?;
        if request.peer.name != *peer {
            let detail = format!("peer.name is {}, the path says {peer}", request.peer.name);
            return Err(Problem::new(StatusCode::BAD_REQUEST, "Bad request", detail).field("peer.name"));
        }
        if *peer == self.me.name {
            let detail = "a node has no link to itself: name another peer";
            return Err(Problem::new(StatusCode::BAD_REQUEST, "Bad request", detail).field("peer"));
        }
        let lanes = self.options.worker_count();
        if let Some(bad) = request.lanes.iter().find(|wanted| wanted.lane.0 >= lanes) {
            let detail = format!("lane {} is beyond the {lanes} workers of this node", bad.lane);
            return Err(Problem::new(StatusCode::BAD_REQUEST, "Bad request", detail).field("lanes"));
        }
        let lock = Arc::clone(self.link_locks.lock().entry(peer.clone()).or_default());
        let _one = lock.lock().await;
        self.drop_links(&request.close, "closed by the operator").await;
        let mut links = Vec::with_capacity(request.lanes.len());
        for wanted in &request.lanes {
            links.push(self.put_lane(request, wanted).await?);
        }
        self.peers.learn(self, &request.peer);
        Ok(Links { links })
    }

    async fn put_lane(self: &Arc<Self>, request: &PutLinks, wanted: &LaneRequest) -> Result<LinkEnd, Problem> {
        let peer = &request.peer;
        let existing = self.link_to(peer, wanted);
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
            (Decision::Conflict(detail), _) => return Err(Problem::conflict(detail)),
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
                return Err(Problem::conflict("the link went away while it was asked for"));
            }
        };
        link.end()
            .map_err(|error| Problem::internal("describing a link", error))
    }

    fn link_to(&self, peer: &Peer, wanted: &LaneRequest) -> Option<Arc<Link>> {
        let links = self.links.lock();
        links
            .values()
            .find(|l| l.peer.name == peer.name && l.peer.incarnation == peer.incarnation && l.lane == wanted.lane)
            .cloned()
    }

    async fn open_link(&self, peer: &Peer, wanted: &LaneRequest, encrypted: bool) -> Result<Arc<Link>, Problem> {
        let id = LinkId::try_from(uuid::Uuid::new_v4().simple().to_string())?;
        let index = usize::from(wanted.lane.0);
        let link = Link::open(
            id.clone(),
            peer.clone(),
            wanted.lane,
            &self.workers[index],
            &self.beats[index],
            &self.link_listen(encrypted),
            self.options.beat_interval,
        )
        .await?;
        let link = Arc::new(link);
        self.links.lock().insert(id.clone(), Arc::clone(&link));
        tracing::info!(peer = %peer.name, incarnation = %peer.incarnation, lane = %wanted.lane, link = %id, "link made");
        self.touch();
        Ok(link)
    }

    async fn connect_link(self: &Arc<Self>, link: &Arc<Link>, wanted: &LaneRequest) -> Result<(), Problem> {
        let Some(remote) = &wanted.remote else { return Ok(()) };
        if let Err(error) = link.connect(remote, self.link_events()).await {
            // A pipe connects once in its life: one that failed half-way would refuse every later attempt.
            self.drop_links(std::slice::from_ref(&link.id), "dropped: it could not be connected")
                .await;
            return Err(match error {
                MediaError::Refused { .. } => {
                    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "Unusable end of a link", error)
                        .field("lanes.remote")
                }
                MediaError::Late { .. } => Problem::from(error),
            });
        }
        self.touch();
        Ok(())
    }

    /// Closes ends by id; unknown ids count as closed.
    pub async fn close_links(self: &Arc<Self>, request: &CloseLinks) -> Result<(), Problem> {
        self.check_incarnation(&request.incarnation)?;
        self.drop_links(&request.links, "closed by the operator").await;
        Ok(())
    }

    /// Drops links and everything that crosses them.
    async fn drop_links(self: &Arc<Self>, ids: &[LinkId], why: &'static str) {
        for id in ids {
            let present = self.links.lock().get(id).cloned();
            if let Some(link) = present {
                link.sample().await;
            }
            let Some(link) = self.take_link(id) else {
                continue;
            };
            tracing::info!(peer = %link.peer.name, lane = %link.lane, link = %id, state = ?link.state(), "link {why}");
            self.drop_carried_over(id, "the link that carried the stream was closed")
                .await;
            link.outgoing.lock().await.clear();
            let left = self
                .links
                .lock()
                .values()
                .any(|l| l.peer.incarnation == link.peer.incarnation);
            if !left {
                self.forget_peer(&link.peer, "its links were closed").await;
            }
            self.touch();
        }
    }

    /// Takes a link out, and keeps what it has carried in the node's sums. Both under one lock: to whoever adds up the
    /// links nothing is missing and nothing is there twice.
    fn take_link(&self, id: &LinkId) -> Option<Arc<Link>> {
        let mut links = self.links.lock();
        let link = links.remove(id)?;
        self.tally.links_before.lock().add(&link.report(Instant::now()));
        Some(link)
    }

    fn check_incarnation(&self, meant: &Incarnation) -> Result<(), Problem> {
        if *meant == self.me.incarnation {
            return Ok(());
        }
        let detail = format!(
            "this is incarnation {}, not {meant}: read the node's report again",
            self.me.incarnation
        );
        Err(Problem::conflict(detail).field("incarnation"))
    }
}
