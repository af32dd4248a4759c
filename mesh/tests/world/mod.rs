//! A world of fake nodes for the tests of planner, driver and mesh task: nodes that decide as real ones do
//! ([`link_rules::decide`]), media that flows or is cut, and calls that get lost, come late, or come twice.
//!
//! It is a [`NodeAdmin`] itself; `http.rs` puts the same world behind real sockets. Time is tokio's, so a test may pause it.

#![allow(dead_code, clippy::unwrap_used)]

mod faults;
pub mod http;
mod node;
pub mod rounds;

pub use faults::{Fault, Faults};
pub use node::{FakeNode, Refusal};

use async_trait::async_trait;
use parking_lot::Mutex;
use sfumato_admin_api::client::{AdminError, NodeAdmin, Reach};
use sfumato_admin_api::types::{
    CloseLinks, DrainReason, DrainRequest, DrainState, LinkState, Links, NameReport, NodeName, NodeReport,
    PublicationId, Publications, PutLinks, RenewSubscriptions, RenewedSubscriptions, StreamName, Subscribe, Subscribed,
};
use sfumato_mesh::Target;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// An end that has heard nothing for this long is stale: three beats of 500 ms.
pub const STALE_AFTER: Duration = Duration::from_millis(1500);
/// How often a waiting long poll looks at the world.
const LOOK: Duration = Duration::from_millis(25);

pub fn name(n: usize) -> NodeName {
    format!("sfu-{n:03}").parse().unwrap()
}

#[derive(Clone, Default)]
pub struct World(Arc<Mutex<State>>);

#[derive(Default)]
pub struct State {
    pub nodes: BTreeMap<NodeName, FakeNode>,
    /// Node pairs between which no media flows; names in order.
    pub cut: BTreeSet<(NodeName, NodeName)>,
    /// Nodes whose admin API the caller cannot reach.
    pub hidden: BTreeSet<NodeName>,
    pub faults: Faults,
    /// Calls that reached for a node, by kind.
    pub puts: u32,
    pub closes: u32,
    /// `PutLinks` calls in progress by pair, and how many ever ran at once for one.
    pub busy: BTreeMap<(NodeName, NodeName), u32>,
    pub most_at_once: u32,
    /// The most pairs that were ever called about at once.
    pub most_pairs: usize,
    /// Where each node's API is served, in tests over HTTP.
    pub urls: BTreeMap<NodeName, String>,
    lives: u64,
    links: u64,
}

/// How a call went, apart from an answer.
#[derive(Debug)]
pub enum Failure {
    Refused,
    NoAnswer,
    Problem(Refusal),
}

#[derive(Debug, Clone)]
pub enum Request {
    Report { after: Option<u64>, wait: Duration },
    Put { peer: NodeName, request: PutLinks },
    Close(CloseLinks),
}

#[derive(Debug)]
pub enum Reply {
    Report(Box<NodeReport>),
    Links(Links),
    Closed,
}

impl World {
    pub fn with<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
        f(&mut self.0.lock())
    }

    pub fn of(nodes: usize, workers: u16) -> Self {
        let world = Self::default();
        for n in 0..nodes {
            world.join(&name(n), workers);
        }
        world
    }

    /// A new node, or a new life of one.
    pub fn join(&self, name: &NodeName, workers: u16) {
        self.with(|s| {
            s.lives += 1;
            let url = s.urls.get(name).cloned().unwrap_or_else(|| format!("mem://{name}"));
            s.nodes
                .insert(name.clone(), FakeNode::new(name.clone(), s.lives, workers, url));
        });
    }

    /// The process is gone; its name stays in the world.
    pub fn crash(&self, name: &NodeName) {
        self.with(|s| {
            if let Some(node) = s.nodes.get_mut(name) {
                node.up = false;
            }
        });
    }

    pub fn restart(&self, name: &NodeName) {
        let workers = self.with(|s| s.nodes.get(name).map(|n| n.workers));
        if let Some(workers) = workers {
            self.join(name, workers);
        }
    }

    /// The pod is gone.
    pub fn leave(&self, name: &NodeName) {
        self.with(|s| s.nodes.remove(name));
    }

    pub fn targets(&self) -> Vec<Target> {
        self.with(|s| {
            s.nodes
                .values()
                .map(|n| Target {
                    name: n.name.clone(),
                    admin_url: n.url.clone(),
                    uid: "pod".to_owned(),
                })
                .collect()
        })
    }

    /// Ends every fault except those of nodes that are down.
    pub fn heal(&self) {
        self.with(|s| {
            s.cut.clear();
            s.hidden.clear();
            s.faults = Faults::default();
        });
    }

    /// One call, with whatever happens to it on the way.
    pub async fn call(&self, node: &NodeName, request: Request) -> Result<Reply, Failure> {
        let (fault, latency) = self.with(|s| {
            match &request {
                Request::Put { .. } => s.puts += 1,
                Request::Close(_) => s.closes += 1,
                Request::Report { .. } => {}
            }
            s.faults.draw(matches!(request, Request::Report { .. }))
        });
        let _busy = match &request {
            Request::Put { peer, .. } => Some(Busy::new(self, node, peer)),
            _ => None,
        };
        travel(latency).await;
        match fault {
            Fault::LoseRequest => return Err(Failure::NoAnswer),
            Fault::Late(delay) => {
                let (world, node) = (self.clone(), node.clone());
                tokio::spawn(async move {
                    tokio::time::sleep(delay).await;
                    let _ = world.perform(&node, request).await;
                });
                return Err(Failure::NoAnswer);
            }
            Fault::Twice => {
                let _ = self.perform(node, request.clone()).await;
            }
            Fault::LoseAnswer | Fault::None => {}
        }
        let reply = self.perform(node, request).await;
        travel(latency).await;
        if fault == Fault::LoseAnswer {
            Err(Failure::NoAnswer)
        } else {
            reply
        }
    }

    async fn perform(&self, node: &NodeName, request: Request) -> Result<Reply, Failure> {
        match request {
            Request::Report { after, wait } => {
                let until = Instant::now() + wait;
                loop {
                    let (report, now) = self.with(|s| {
                        s.beat();
                        let now = Instant::now();
                        s.reachable(node).map(|n| (n.report(now), now))
                    })?;
                    if after != Some(report.revision) || now >= until {
                        return Ok(Reply::Report(Box::new(report)));
                    }
                    tokio::time::sleep(LOOK).await;
                }
            }
            Request::Put { peer, request } => self.with(|s| {
                let mut ids = s.links;
                let done = s.reachable(node)?.put_links(&peer, &request, &mut ids);
                s.links = ids;
                done.map(Reply::Links).map_err(Failure::Problem)
            }),
            Request::Close(request) => self.with(|s| {
                s.reachable(node)?.close_links(&request).map_err(Failure::Problem)?;
                Ok(Reply::Closed)
            }),
        }
    }
}

/// Without latency no time passes at all.
async fn travel(latency: Duration) {
    if !latency.is_zero() {
        tokio::time::sleep(latency).await;
    }
}

impl State {
    fn reachable(&mut self, name: &NodeName) -> Result<&mut FakeNode, Failure> {
        if self.hidden.contains(name) {
            return Err(Failure::NoAnswer);
        }
        self.nodes.get_mut(name).filter(|n| n.up).ok_or(Failure::Refused)
    }

    /// Lets beats cross every link that is whole, and every end judge what it hears.
    pub fn beat(&mut self) {
        let now = Instant::now();
        let mut hearing = BTreeSet::new();
        for node in self.nodes.values().filter(|n| n.up) {
            for ((peer, life, lane), link) in &node.links {
                let pair = (node.name.clone().min(peer.clone()), node.name.clone().max(peer.clone()));
                let other = self
                    .nodes
                    .get(peer)
                    .filter(|p| p.up && p.incarnation == *life && !self.cut.contains(&pair));
                let back = other.and_then(|p| p.links.get(&(node.name.clone(), node.incarnation.clone(), *lane)));
                let whole = back.is_some_and(|back| {
                    link.remote.as_ref() == Some(&back.id) && back.remote.as_ref() == Some(&link.id)
                });
                let alive = link.state != LinkState::Dead && back.is_some_and(|back| back.state != LinkState::Dead);
                if whole && alive {
                    hearing.insert(link.id.clone());
                }
            }
        }
        for node in self.nodes.values_mut().filter(|n| n.up) {
            node.judge(now, &hearing);
        }
    }
}

/// Counts the calls about one pair that are in progress.
struct Busy(World, (NodeName, NodeName));

impl Busy {
    fn new(world: &World, node: &NodeName, peer: &NodeName) -> Self {
        let pair = (node.clone().min(peer.clone()), node.clone().max(peer.clone()));
        world.with(|s| {
            let busy = s.busy.entry(pair.clone()).or_default();
            *busy += 1;
            s.most_at_once = s.most_at_once.max(*busy);
            s.most_pairs = s.most_pairs.max(s.busy.values().filter(|calls| **calls > 0).count());
        });
        Self(world.clone(), pair)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.with(|s| *s.busy.get_mut(&self.1).unwrap() -= 1);
    }
}

/// The world without sockets: `mem://{name}`.
#[async_trait]
impl NodeAdmin for World {
    async fn node_report(&self, url: &str, after: Option<u64>, wait: Duration) -> Result<NodeReport, AdminError> {
        match self.by_url(url, Request::Report { after, wait }).await? {
            Reply::Report(report) => Ok(*report),
            other => panic!("{other:?}"),
        }
    }

    async fn put_links(&self, url: &str, peer: &NodeName, request: &PutLinks) -> Result<Links, AdminError> {
        match self
            .by_url(
                url,
                Request::Put {
                    peer: peer.clone(),
                    request: request.clone(),
                },
            )
            .await?
        {
            Reply::Links(links) => Ok(links),
            other => panic!("{other:?}"),
        }
    }

    async fn close_links(&self, url: &str, request: &CloseLinks) -> Result<(), AdminError> {
        self.by_url(url, Request::Close(request.clone())).await.map(drop)
    }

    async fn publications(&self, _: &str, _: Option<u64>, _: Duration) -> Result<Publications, AdminError> {
        unreachable!("the mesh has no business with publications")
    }

    async fn name(&self, _: &str, _: &StreamName) -> Result<NameReport, AdminError> {
        unreachable!("the mesh has no business with names")
    }

    async fn subscribe(&self, _: &str, _: &PublicationId, _: &Subscribe) -> Result<Subscribed, AdminError> {
        unreachable!("the mesh has no business with subscriptions")
    }

    async fn renew(&self, _: &str, _: &RenewSubscriptions) -> Result<RenewedSubscriptions, AdminError> {
        unreachable!("the mesh has no business with subscriptions")
    }

    async fn drain(&self, _: &str, _: &DrainRequest) -> Result<DrainState, AdminError> {
        unreachable!("the mesh drains nobody")
    }

    async fn undrain(&self, _: &str, _: DrainReason) -> Result<DrainState, AdminError> {
        unreachable!("the mesh drains nobody")
    }
}

impl World {
    async fn by_url(&self, url: &str, request: Request) -> Result<Reply, AdminError> {
        let node: NodeName = url.strip_prefix("mem://").unwrap().parse().unwrap();
        let call = format!("calling {url}");
        self.call(&node, request).await.map_err(|failure| match failure {
            Failure::Refused => AdminError::Unreachable {
                call,
                reach: Reach::Refused,
                source: "nobody listens".into(),
            },
            Failure::NoAnswer => AdminError::Timeout {
                call,
                after: Duration::ZERO,
            },
            Failure::Problem(Refusal { status: 409, detail }) => AdminError::Conflict { call, detail },
            Failure::Problem(Refusal { status, detail }) => AdminError::Status { call, status, detail },
        })
    }
}
