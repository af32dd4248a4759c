//! What an `SfuCluster` says of itself.
//!
//! It holds no clocks apart from the conditions' transition times: a status that changes by itself would start a
//! reconcile with every write.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `status.observedGeneration` of an object that no operator has looked at.
pub const UNOBSERVED: i64 = -1;

/// State of a cluster, as last observed.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct SfuClusterStatus {
    /// Generation of the object that this status describes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The operator that looks after this cluster, by the namespace and the name of its installation. Others leave it alone.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub operator: String,
    /// Nodes that exist.
    pub replicas: i32,
    /// Nodes that are ready for new sessions.
    pub ready_replicas: i32,
    /// Ready nodes of desired nodes, for people: `3/3`.
    pub nodes_summary: String,
    /// Publications on all nodes.
    pub streams: i32,
    /// Viewers on all nodes.
    pub viewers: i32,
    /// Share of a core that the busiest worker of any node uses, in steps of 10 %, for people: `40%`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub load: String,
    /// Release of the nodes, for people: `0.1.0`. More than one while nodes are replaced.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// Label selector of the nodes' pods, for the scale subresource.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub selector: String,
    /// The links.
    pub mesh: MeshStatus,
    /// The nodes, ordered by number.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub nodes: Vec<NodeStatus>,
    /// `Ready` (the manifest is carried out, and what it asks for works), and what it is made of: `NodesReady`, `MeshReady` and
    /// `FrontDoorReady`. Besides `RedisReady`, `Paused`, `Degraded` (something needs a person) and `UpgradeAvailable`.
    /// `Reconciling` is there while the manifest is being carried out, and `Stalled` while that gets nowhere. `Unprotected` is
    /// there while NetworkPolicies do not find the nodes (exposure HostNetwork).
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

/// State of the links between the nodes.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct MeshStatus {
    /// Node pairs that there should be: N(N-1)/2.
    pub desired_pairs: i32,
    /// Node pairs whose links are fresh at both ends, on all lanes.
    pub established_pairs: i32,
    /// Linked pairs of desired pairs, for people: `3/3`.
    pub summary: String,
}

/// One node.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeStatus {
    /// Name of the node, which is its pod's.
    pub name: String,
    /// Kubernetes node that it runs on.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub host: String,
    /// Life of the node that answered last.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub incarnation: String,
    /// Whether it takes new sessions.
    pub ready: bool,
    /// Whether it is being emptied.
    #[serde(skip_serializing_if = "is_false")]
    pub draining: bool,
    /// Nodes that it has whole links with.
    pub pairs: i32,
    /// Publications whose origin it is.
    pub streams: i32,
    /// Viewers that are connected to it.
    pub viewers: i32,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(value: &bool) -> bool {
    !value
}
