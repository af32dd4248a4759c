//! The `SfuCluster` object: the one manifest that Kubernetes and `sfu-operator local` both take.
//!
//! A field is here because some code honours it. Bounds stand twice on purpose: `range` becomes the schema that the
//! API server and `kubectl explain` use, and the CEL rules hold what a schema cannot say (one field against
//! another). [`crate::manifest`] applies both to a file, so a manifest that local mode takes is one that a cluster takes.

pub mod duration;
pub mod status;

use duration::GoDuration;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use status::SfuClusterStatus;

/// Most nodes of one cluster: a full mesh of more costs too many links.
pub const MAX_NODES: i32 = 32;
/// Ports that each node may use from `media.port` upwards, and again from `mesh.portBase` upwards.
/// Literal in the CEL rules below; a test holds them together.
pub const PORTS_PER_NODE: i32 = 100;
/// First of Kubernetes' default NodePorts; the kernel's ephemeral ports (32768 and up) lie above.
/// Literal in the CEL rules below; a test holds them together.
#[cfg(test)]
pub const FIRST_RESERVED_PORT: i32 = 30_000;

/// A cluster of WebRTC media nodes whose streams can be watched on every node.
#[allow(clippy::duplicated_attributes, reason = "several columns have the same type")]
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "sfumato.dev",
    version = "v1alpha1",
    kind = "SfuCluster",
    plural = "sfuclusters",
    singular = "sfucluster",
    shortname = "sfu",
    namespaced,
    status = "SfuClusterStatus",
    derive = "PartialEq",
    cel,
    doc = "A cluster of WebRTC media nodes (SFUs) in a full mesh: what is published on one node can be watched on all.",
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].status"#,
        description = "Whether all nodes are ready and every pair of them is linked"
    ),
    printcolumn(
        name = "Nodes",
        type_ = "string",
        json_path = ".status.nodesSummary",
        description = "Ready nodes of desired nodes"
    ),
    printcolumn(
        name = "Mesh",
        type_ = "string",
        json_path = ".status.mesh.summary",
        description = "Linked node pairs of desired pairs"
    ),
    printcolumn(
        name = "Streams",
        type_ = "integer",
        json_path = ".status.streams",
        description = "Publications on all nodes"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new(
        "self.media.port + 100 * self.replicas <= self.mesh.portBase || self.mesh.portBase + 100 * self.replicas <= self.media.port"
    ).message("media.port and mesh.portBase are too close: each needs 100 ports for every replica, and the two ranges may not overlap")
        .field_path(".mesh.portBase"),
    validation = Rule::new("self.media.port + 100 * self.replicas <= 30000")
        .message("the media ports (100 for every replica) must end below 30000, where NodePorts and then ephemeral ports begin")
        .field_path(".media.port"),
    validation = Rule::new("self.mesh.portBase + 100 * self.replicas <= 30000")
        .message("the pipe ports (100 for every replica) must end below 30000, where NodePorts and then ephemeral ports begin")
        .field_path(".mesh.portBase"),
    validation = Rule::new(
        "!has(self.workersPerNode) || (has(self.mesh.lanes) && self.mesh.lanes < self.workersPerNode) || (self.replicas - 1) * self.workersPerNode <= 100"
    ).message("a node has 100 ports for its links, and needs (replicas - 1) x workersPerNode of them: lower workersPerNode or set mesh.lanes")
        .field_path(".workersPerNode"),
    validation = Rule::new(
        "!has(self.mesh.lanes) || (has(self.workersPerNode) && self.workersPerNode <= self.mesh.lanes) || (self.replicas - 1) * self.mesh.lanes <= 100"
    ).message("a node has 100 ports for its links, and needs (replicas - 1) x lanes of them: lower mesh.lanes")
        .field_path(".mesh.lanes")
)]
pub struct SfuClusterSpec {
    /// Number of media nodes, 1 to 32. A full mesh has N(N-1)/2 node pairs.
    #[serde(default = "default_replicas")]
    #[schemars(range(min = 1, max = 32))]
    pub replicas: i32,
    /// mediasoup workers of each node: threads, each with a core's worth of media. By default one for each core
    /// that the node may use, in local mode at most 4.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i32", range(min = 1, max = 64))]
    pub workers_per_node: Option<i32>,
    /// How publishers and viewers reach the nodes with their media.
    #[serde(default)]
    pub media: MediaSpec,
    /// The links between the nodes.
    #[serde(default)]
    pub mesh: MeshSpec,
    /// The front door: dashboard, and the HTTP entry for WHIP and WHEP.
    #[serde(default)]
    pub web: WebSpec,
}

/// How publishers and viewers reach the nodes with their media.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct MediaSpec {
    /// Port on which worker 0 receives WebRTC media; worker w uses `port + w`. In local mode node i (from 0) starts
    /// at `port + 100 i`.
    #[serde(default = "default_media_port")]
    #[schemars(range(min = 1024, max = 29900))]
    pub port: i32,
    /// Whether media may also come over TCP on the same port number, for networks that block UDP.
    #[serde(default = "yes")]
    pub tcp: bool,
}

/// The links between the nodes.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct MeshSpec {
    /// Links of each node pair, so that media between two nodes is not tied to one core. By default as many as the
    /// node with fewer workers has workers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i32", range(min = 1, max = 64))]
    pub lanes: Option<i32>,
    /// First UDP port of the links; a node has 100. In local mode node i (from 0) starts at `portBase + 100 i`.
    #[serde(default = "default_port_base")]
    #[schemars(range(min = 1024, max = 29900))]
    pub port_base: i32,
    /// Whether links are encrypted with SRTP (AES-256-GCM).
    #[serde(default = "yes")]
    pub encryption: bool,
    /// When a stream is carried to another node: for its first viewer there, or as soon as it is published.
    #[serde(default)]
    pub fan_out: FanOut,
    /// How long a stream is still carried to a node after its last viewer there has left.
    #[serde(default = "default_idle_timeout")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('1s') && duration(self) <= duration('1h')")
        .message("must be between 1s and 1h"))]
    pub fan_out_idle_timeout: GoDuration,
    /// Time between two beats, the RTP packets that prove that a link carries media. Three missed ones make it stale.
    #[serde(default = "default_beat_interval")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('100ms') && duration(self) <= duration('5s')")
        .message("must be between 100ms and 5s"))]
    pub beat_interval: GoDuration,
    /// How long a link may be stale before it is replaced, which disconnects the viewers behind it.
    #[serde(default = "default_link_grace")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('2s') && duration(self) <= duration('10m')")
        .message("must be between 2s and 10m"))]
    pub link_grace: GoDuration,
}

/// When a stream is carried to another node.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FanOut {
    #[default]
    OnDemand,
    Eager,
}

/// The front door.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct WebSpec {
    /// How the front door is reached.
    #[serde(default)]
    pub service: WebServiceSpec,
}

/// How the front door is reached.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct WebServiceSpec {
    /// TCP port of the front door.
    #[serde(default = "default_web_port")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: i32,
}

impl Default for SfuClusterSpec {
    fn default() -> Self {
        Self {
            replicas: default_replicas(),
            workers_per_node: None,
            media: MediaSpec::default(),
            mesh: MeshSpec::default(),
            web: WebSpec::default(),
        }
    }
}

impl Default for MediaSpec {
    fn default() -> Self {
        Self {
            port: default_media_port(),
            tcp: yes(),
        }
    }
}

impl Default for MeshSpec {
    fn default() -> Self {
        Self {
            lanes: None,
            port_base: default_port_base(),
            encryption: yes(),
            fan_out: FanOut::default(),
            fan_out_idle_timeout: default_idle_timeout(),
            beat_interval: default_beat_interval(),
            link_grace: default_link_grace(),
        }
    }
}

impl Default for WebServiceSpec {
    fn default() -> Self {
        Self {
            port: default_web_port(),
        }
    }
}

fn default_replicas() -> i32 {
    3
}
fn default_media_port() -> i32 {
    20_000
}
fn default_port_base() -> i32 {
    24_000
}
fn default_web_port() -> i32 {
    2020
}
fn default_idle_timeout() -> GoDuration {
    GoDuration::from_millis(30_000)
}
fn default_beat_interval() -> GoDuration {
    GoDuration::from_millis(500)
}
fn default_link_grace() -> GoDuration {
    GoDuration::from_millis(10_000)
}
fn yes() -> bool {
    true
}

#[cfg(test)]
mod tests;
