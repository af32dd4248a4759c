//! The shapes of `GET /api/v1/cluster` and of the `cluster` event: what the page draws and what scripts read.

use serde::Serialize;
use sfumato_admin_api::types::{Incarnation, Lane, LinkId, NodeName, PublicationId, StreamName, TrackReport};

/// `GET /api/v1/cluster`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ClusterJson {
    /// The front door itself, and sums.
    pub cluster: Summary,
    /// Every known node, by name.
    pub nodes: Vec<Node>,
    /// Every lane of every pair, by pair and lane.
    pub links: Vec<Link>,
    /// Every publication, by stream name.
    pub streams: Vec<Stream>,
    /// Whether the mesh is whole.
    pub mesh: Mesh,
}

/// The front door itself, and sums over the nodes.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// Release of this front door.
    pub version: &'static str,
    /// Nodes that take new sessions.
    pub nodes_ready: usize,
    /// Nodes that answer.
    pub nodes_reachable: usize,
    /// Whether every node that answers reaches Redis.
    pub redis: bool,
    /// Where this front door began.
    pub seeds: Vec<SeedAddress>,
}

/// An address that a seed resolves to.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SeedAddress {
    /// Admin URL.
    pub url: String,
    /// The node that answered there last.
    pub node: Option<NodeName>,
    /// Why nothing answers there, if so.
    pub error: Option<String>,
}

/// One node. Figures of a node that is not reachable are the last known ones.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "the fields are those of NodeReport")]
pub struct Node {
    pub name: NodeName,
    pub incarnation: Incarnation,
    pub ready: bool,
    pub draining: bool,
    pub reachable: bool,
    pub workers: u16,
    pub version: String,
    pub pid: u32,
    pub publishers: u32,
    pub viewers: u32,
    pub load: f64,
    pub client_url: String,
}

/// State of a link or of one end. The order is from best to worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Beats come, and echo ours.
    Fresh,
    /// Beats come, and packets as large as those of pictures do not.
    Narrow,
    /// No beat has come back yet.
    Connecting,
    /// Three beats missed.
    Stale,
    /// Its transport has failed.
    Dead,
    /// No reachable node reports this end.
    Missing,
}

/// One lane of a pair; `a` is the smaller name.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Link {
    /// The node with the smaller name.
    pub a: NodeName,
    /// The other one.
    pub b: NodeName,
    /// Which link of the pair.
    pub lane: Lane,
    /// The worse of both ends.
    pub state: State,
    /// Mean of what both ends measure, in microseconds.
    pub rtt_us: Option<u64>,
    /// RTP packets lost in both directions since the link was made.
    pub packets_lost: u64,
    /// What `a` sees.
    pub a_state: State,
    /// What `b` sees.
    pub b_state: State,
    /// Id of the end at `a`.
    pub a_id: Option<LinkId>,
    /// Id of the end at `b`.
    pub b_id: Option<LinkId>,
}

/// One publication.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Stream {
    /// Name to watch it by.
    pub name: StreamName,
    /// Id of this sending.
    pub publication: PublicationId,
    /// Node that it is published on.
    pub origin: NodeName,
    /// What is sent; empty while the origin has not been heard.
    pub tracks: Vec<TrackReport>,
    /// Viewers on all nodes.
    pub viewers: u32,
    /// Nodes other than the origin that carry it.
    pub carried_by: Vec<NodeName>,
    /// The same node by node, the origin first.
    pub per_node: Vec<OnNode>,
}

/// A publication on one node.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OnNode {
    pub node: NodeName,
    /// Viewers there.
    pub viewers: u32,
    /// RTP packets lost on the way to it; 0 at the origin.
    pub packets_lost: u64,
    /// RTP packets received over the link; 0 at the origin.
    pub packets_received: u64,
}

/// Node pairs: wanted, and linked on all lanes with both ends fresh.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Mesh {
    /// n(n-1)/2 of the known nodes.
    pub desired_pairs: usize,
    /// Pairs whose every lane is fresh at both ends.
    pub established_pairs: usize,
}
