//! What an `SfuCluster` says of itself.
//!
//! It holds no clocks apart from the conditions' transition times: a status that changes by itself would start a
//! reconcile with every write.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// State of a cluster, as last observed.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct SfuClusterStatus {
    /// Generation of the object that this status describes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Nodes that exist.
    pub replicas: i32,
    /// Nodes that are ready for new sessions.
    pub ready_replicas: i32,
    /// Ready nodes of desired nodes, for people: `3/3`.
    pub nodes_summary: String,
    /// Publications on all nodes.
    pub streams: i32,
    /// The links.
    pub mesh: MeshStatus,
    /// `Ready`, and what it is made of: `NodesReady` and `MeshReady`.
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
