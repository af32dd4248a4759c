//! The links between the nodes, in a manifest.

use super::duration::GoDuration;
use super::rules;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
    #[serde(default = "default_encryption")]
    pub encryption: bool,
    /// When a stream is carried to another node: for its first viewer there, or as soon as it is published.
    #[serde(default)]
    pub fan_out: FanOut,
    /// How long a stream is still carried to a node after its last viewer there has left.
    #[serde(default = "default_idle_timeout")]
    #[x_kube(validation = rules::duration("1s", "1h", "30s"))]
    pub fan_out_idle_timeout: GoDuration,
    /// Time between two beats, the RTP packets that prove that a link carries media. Three missed ones make it stale.
    #[serde(default = "default_beat_interval")]
    #[x_kube(validation = rules::duration("100ms", "5s", "500ms"))]
    pub beat_interval: GoDuration,
    /// How long a link may be stale before it is replaced, which disconnects the viewers behind it.
    #[serde(default = "default_link_grace")]
    #[x_kube(validation = rules::duration("2s", "10m", "10s"))]
    pub link_grace: GoDuration,
}

/// When a stream is carried to another node.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FanOut {
    #[default]
    OnDemand,
    Eager,
}

impl Default for MeshSpec {
    fn default() -> Self {
        Self {
            lanes: None,
            port_base: default_port_base(),
            encryption: default_encryption(),
            fan_out: FanOut::default(),
            fan_out_idle_timeout: default_idle_timeout(),
            beat_interval: default_beat_interval(),
            link_grace: default_link_grace(),
        }
    }
}

fn default_port_base() -> i32 {
    24_000
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
fn default_encryption() -> bool {
    true
}
