//! How clients outside of the pod network reach the media ports, in a manifest.

use super::web::ExternalTrafficPolicy;
use super::{pods, rules};
use kube::KubeSchema;
use kube::core::Rule;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Ports that each node may use from `media.nodePortBase` or `media.loadBalancer.portBase` upwards: as many as it may have workers,
/// so that a change of their number moves no port. The bounds of both leave room for those of the most nodes.
pub const OUTER_PORTS_PER_NODE: i32 = 64;
/// Most addresses of one node.
const MAX_ADDRESSES: u32 = 4;

/// How clients reach the media ports.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Exposure {
    /// At the addresses of the pods, for clients whose network routes to them.
    #[default]
    PodIP,
    /// At the same ports of the host that the pod runs on. There can be one node on a host.
    HostPort,
    /// At the host, whose network the pod uses: with all its ports, also those that are not for clients.
    HostNetwork,
    /// At ports of the host that the pod runs on, which a Service of type NodePort for each pod opens.
    NodePort,
    /// At a load balancer, by a Service of type LoadBalancer for each pod.
    LoadBalancer,
}

impl Exposure {
    /// As manifests write it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PodIP => "PodIP",
            Self::HostPort => "HostPort",
            Self::HostNetwork => "HostNetwork",
            Self::NodePort => "NodePort",
            Self::LoadBalancer => "LoadBalancer",
        }
    }

    /// The one of this name.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        [
            Self::PodIP,
            Self::HostPort,
            Self::HostNetwork,
            Self::NodePort,
            Self::LoadBalancer,
        ]
        .into_iter()
        .find(|exposure| exposure.as_str() == name)
    }
}

/// Which addresses clients are told.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("(self.from == 'Static') == has(self.addresses)")
    .message("addresses and `from: Static` come together: name the addresses of the nodes, such as `sfu-{ordinal}.example.net`"))]
#[x_kube(validation = Rule::new("(self.from == 'Stun') == has(self.stunServer)")
    .message("stunServer and `from: Stun` come together: name a STUN server, such as `stun.example.net:3478`"))]
pub struct AnnounceSpec {
    /// Where they come from. By default the load balancer's with exposure LoadBalancer, and the host's with HostPort and NodePort.
    #[serde(default)]
    pub from: AnnounceFrom,
    /// With `from: Static`: IP addresses or host names, the preferred one first. `{ordinal}` stands for the number of the
    /// pod. Ports are those of the exposure.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "addresses_schema")]
    pub addresses: Vec<String>,
    /// With `from: Stun`: `HOST:PORT` of a STUN server (UDP), which each node asks every minute. Ports are those of the exposure: an
    /// address translation on the way must keep them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(min = 1, max = 253))]
    #[x_kube(validation = rules::text(r"^([A-Za-z0-9]([-A-Za-z0-9.]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\]):[1-9][0-9]{0,4}$", "HOST:PORT of a STUN server, such as `stun.example.net:3478`"))]
    pub stun_server: Option<String>,
}

/// TCP ports of a node's listeners.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new(
        "self.client != self.secureClient && self.client != self.admin && self.client != self.health && self.secureClient != self.admin && self.secureClient != self.health && self.admin != self.health")
    .message("each listener needs a port of its own: choose four different ones"))]
pub struct PortsSpec {
    /// WHIP and WHEP.
    #[serde(default = "default_client_port")]
    #[schemars(range(min = 1024, max = 65535))]
    pub client: i32,
    /// WHIP and WHEP for front doors, in HTTPS.
    #[serde(default = "default_secure_client_port")]
    #[schemars(range(min = 1024, max = 65535))]
    pub secure_client: i32,
    /// Admin API.
    #[serde(default = "default_admin_port")]
    #[schemars(range(min = 1024, max = 65535))]
    pub admin: i32,
    /// Health and metrics.
    #[serde(default = "default_health_port")]
    #[schemars(range(min = 1024, max = 65535))]
    pub health: i32,
}

impl Default for PortsSpec {
    fn default() -> Self {
        Self {
            client: default_client_port(),
            secure_client: default_secure_client_port(),
            admin: default_admin_port(),
            health: default_health_port(),
        }
    }
}

fn default_client_port() -> i32 {
    3001
}
fn default_secure_client_port() -> i32 {
    3443
}
fn default_admin_port() -> i32 {
    4001
}
fn default_health_port() -> i32 {
    5001
}

/// Where the addresses come from that clients are told.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AnnounceFrom {
    /// As is usual for the exposure: those of the pod with PodIP and HostNetwork, those of the load balancer with LoadBalancer,
    /// else those of the host.
    #[default]
    Auto,
    /// Those of the host, as the pod's status names them (`status.hostIPs`).
    HostIP,
    /// Those of type ExternalIP in the status of the Kubernetes node. Its annotation `sfumato.dev/media-addresses` goes before
    /// them. The operator needs the right to read Kubernetes nodes: `rbac.kubernetesNodes` of its chart.
    NodeExternalIP,
    /// Those of type InternalIP, likewise.
    NodeInternalIP,
    /// Those that a load balancer has given to the Services. Host names are resolved, and followed.
    ServiceIngress,
    /// The one that a STUN server outside sees requests of the node come from.
    Stun,
    /// Those that the manifest names.
    Static,
}

/// The Services of type LoadBalancer, one for each pod. In texts, `{ordinal}` stands for the number of the pod.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new(
        "!has(self.healthPort) || !has(self.portBase) || self.healthPort + 31 < self.portBase || self.healthPort >= self.portBase + 2048")
    .message("healthPort lies among the media ports: pods have 64 each from portBase on; choose one outside of them")
    .field_path(".healthPort"))]
pub struct LoadBalancerSpec {
    /// Which load balancer looks after the Services (`loadBalancerClass`). By default the platform's. Kubernetes changes that of no
    /// Service which there is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(min = 1, max = 253))]
    pub class: Option<String>,
    /// Annotations of the Services, for load balancers that are configured by them. `{ordinal}` in a value stands for the number of
    /// the pod.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "pods::map_schema")]
    pub annotations: BTreeMap<String, String>,
    /// The address to ask for (`loadBalancerIP`), where the load balancer heeds it. `{ordinal}` stands for the number of the pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(min = 1, max = 64))]
    pub ip: Option<String>,
    /// Networks from which clients may come (`loadBalancerSourceRanges`). By default all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "rules::source_ranges_schema")]
    pub source_ranges: Vec<String>,
    /// First of 64 ports of pod 0 at the load balancer; pod i has those from `portBase + 64 i` on: for pods that share one
    /// address. Without it, each pod has an address of its own, and its ports there are those from `media.port` on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i32", range(min = 1, max = 63488))]
    pub port_base: Option<i32>,
    /// TCP port at the load balancer that leads to the health port of the node (`/readyz`, and `/metrics`), for load balancers that
    /// judge a pod by a TCP port of its Service. For pods that share one address (`portBase`) it is that of pod 0; pod i has
    /// `healthPort + i`. With `separateProtocols` the Service for TCP has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i32", range(min = 1, max = 65504))]
    pub health_port: Option<i32>,
    /// Which hosts the load balancer may send to: that of the pod (`Local`), or any (`Cluster`), which hides the addresses of
    /// clients. Some load balancers let Services share an address with `Cluster` only.
    #[serde(default = "local")]
    pub external_traffic_policy: ExternalTrafficPolicy,
    /// Whether UDP and TCP have a Service each, for load balancers that cannot have both at one.
    #[serde(default)]
    pub separate_protocols: bool,
}

impl Default for LoadBalancerSpec {
    fn default() -> Self {
        Self {
            class: None,
            annotations: BTreeMap::new(),
            ip: None,
            source_ranges: Vec::new(),
            port_base: None,
            health_port: None,
            external_traffic_policy: local(),
            separate_protocols: false,
        }
    }
}

fn local() -> ExternalTrafficPolicy {
    ExternalTrafficPolicy::Local
}

fn addresses_schema(_: &mut SchemaGenerator) -> Schema {
    // The last label of a host name begins with a letter: what ends in a number is an address, or a slip.
    let (edge, inner) = (r"([A-Za-z0-9]|\{ordinal\})", r"([A-Za-z0-9-]|\{ordinal\})*");
    let host = format!(r"^({edge}({inner}{edge})?\.)*[A-Za-z]({inner}{edge})?$");
    let rule = Rule::new(format!(
        "isIP(self) ? !ip(self).isUnspecified() : self.matches(r'{host}')"
    ))
    .message(
        "must be an IP address or a host name without a port, such as `203.0.113.7` or `sfu-{ordinal}.example.net`",
    );
    json_schema!({
        "type": "array",
        "minItems": 1,
        "maxItems": MAX_ADDRESSES,
        "items": { "type": "string", "minLength": 1, "maxLength": 253, "x-kubernetes-validations": [rule] },
    })
}
