//! The `SfuCluster` object: the one manifest that Kubernetes and `sfu-operator local` both take.
//!
//! A field is here because some code honours it. Bounds stand twice on purpose: `range` becomes the schema that the
//! API server and `kubectl explain` use, and the CEL rules hold what a schema cannot say (one field against
//! another). [`crate::manifest`] applies both to a file, so a manifest that local mode takes is one that a cluster takes.

pub mod auth;
pub mod duration;
pub mod exposure;
pub mod ice;
pub mod mesh;
pub mod pods;
pub mod quantity;
pub mod redis;
pub mod rules;
pub mod status;
pub mod web;

use auth::AuthSpec;
use clap::ValueEnum;
use duration::GoDuration;
use exposure::{AnnounceSpec, Exposure, LoadBalancerSpec, PortsSpec};
use ice::IceServerSpec;
use k8s_openapi::api::core::v1::{
    Affinity, EnvVar, LocalObjectReference, ResourceRequirements, Toleration, TopologySpreadConstraint,
};
use kube::{CustomResource, KubeSchema};
use mesh::MeshSpec;
use pods::UserIds;
use redis::RedisSpec;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use status::SfuClusterStatus;
use std::collections::BTreeMap;
use web::WebSpec;

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
    category = "sfumato",
    namespaced,
    status = "SfuClusterStatus",
    derive = "PartialEq",
    cel,
    scale(
        spec_replicas_path = ".spec.replicas",
        status_replicas_path = ".status.replicas",
        label_selector_path = ".status.selector"
    ),
    validation = rules::name(),
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
    printcolumn(
        name = "Viewers",
        type_ = "integer",
        json_path = ".status.viewers",
        priority = 1,
        description = "Viewers on all nodes"
    ),
    printcolumn(
        name = "Load",
        type_ = "string",
        json_path = ".status.load",
        priority = 1,
        description = "Share of a core that the busiest worker of any node uses, in steps of 10 %"
    ),
    printcolumn(
        name = "Version",
        type_ = "string",
        json_path = ".status.version",
        priority = 1,
        description = "Release of the nodes; more than one while they are replaced"
    ),
    printcolumn(
        name = "Redis",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="RedisReady")].status"#,
        priority = 1,
        description = "Whether every node reaches Redis"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new(
        "self.replicas > 32 || self.media.port + 100 * self.replicas <= self.mesh.portBase || self.mesh.portBase + 100 * self.replicas <= self.media.port"
    ).message("media.port and mesh.portBase are too close: each needs 100 ports for every replica, and the two ranges may not overlap: 20000 and 24000 suit 32 replicas")
        .field_path(".mesh.portBase"),
    validation = Rule::new("self.replicas > 32 || self.media.port > 29900 || self.media.port + 100 * self.replicas <= 30000")
        .message("the media ports (100 for every replica) must end below 30000, where NodePorts and then ephemeral ports begin: choose a lower one, such as `20000`")
        .field_path(".media.port"),
    validation = Rule::new("self.replicas > 32 || self.mesh.portBase > 29900 || self.mesh.portBase + 100 * self.replicas <= 30000")
        .message("the pipe ports (100 for every replica) must end below 30000, where NodePorts and then ephemeral ports begin: choose a lower one, such as `24000`")
        .field_path(".mesh.portBase"),
    validation = Rule::new(
        "self.replicas > 32 || !has(self.workersPerNode) || self.workersPerNode > 64 || (has(self.mesh.lanes) && self.mesh.lanes < self.workersPerNode) || (self.replicas - 1) * self.workersPerNode <= 100"
    ).message("a node has 100 ports for its links, and needs (replicas - 1) x workersPerNode of them: lower workersPerNode or set mesh.lanes")
        .field_path(".workersPerNode"),
    validation = Rule::new(
        "self.replicas > 32 || !has(self.mesh.lanes) || self.mesh.lanes > 64 || (has(self.workersPerNode) && self.workersPerNode <= self.mesh.lanes) || (self.replicas - 1) * self.mesh.lanes <= 100"
    ).message("a node has 100 ports for its links, and needs (replicas - 1) x lanes of them: lower mesh.lanes")
        .field_path(".mesh.lanes"),
    validation = Rule::new(
        "[self.ports.client, self.ports.secureClient, self.ports.admin, self.ports.health].all(p, p < self.media.port || p >= self.media.port + 64)"
    ).message("no listener may have one of the 64 ports from media.port on: choose others")
        .field_path(".ports"),
    validation = Rule::new(
        "self.media.exposure != 'NodePort' || !has(self.web.service.nodePort) || self.web.service.nodePort < self.media.nodePortBase || self.web.service.nodePort >= self.media.nodePortBase + 64 * self.replicas"
    ).message("the front door's port is one of those of the media nodes, which have 64 for every replica from media.nodePortBase on: choose another")
        .field_path(".web.service.nodePort")
)]
pub struct SfuClusterSpec {
    /// Number of media nodes. A full mesh has N(N-1)/2 node pairs.
    #[serde(default = "default_replicas")]
    #[schemars(range(min = 1, max = 32))]
    pub replicas: i32,
    /// mediasoup workers of each node: threads, each with a core's worth of media. By default one for each core
    /// of `resources` (the limit, else the request), and one without these; in local mode one for each core, at most 4.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i32", range(min = 1, max = 64))]
    pub workers_per_node: Option<i32>,
    /// How publishers and viewers reach the nodes with their media.
    #[serde(default)]
    pub media: MediaSpec,
    /// The links between the nodes.
    #[serde(default)]
    pub mesh: MeshSpec,
    /// TCP ports of the nodes' listeners: with exposure HostNetwork they are those of the host, and two clusters may share hosts
    /// if all their ports differ. Local mode has options for them.
    #[serde(default)]
    pub ports: PortsSpec,
    /// The front door: dashboard, and the HTTP entry for WHIP and WHEP.
    #[serde(default)]
    pub web: WebSpec,
    /// Who may publish and watch. By default everybody.
    #[serde(default)]
    pub auth: AuthSpec,
    /// Redis, which holds the claims on stream names. Local mode has its own.
    #[serde(default)]
    pub redis: RedisSpec,
    /// How nodes are emptied before they go.
    #[serde(default)]
    pub drain: DrainSpec,
    /// Whether NetworkPolicies are made: links between nodes of this cluster only, the admin port for operator, nodes and
    /// front door only.
    #[serde(default)]
    pub network_policy: NetworkPolicySpec,
    /// Stops every change by the operator: nothing is applied, drained or rolled. Links are still healed.
    #[serde(default)]
    pub paused: bool,
    /// Image of the nodes. By default the one of the operator's own release, see `upgradePolicy`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(min = 1, max = 512))]
    pub image: Option<String>,
    /// What an upgrade of the operator does to nodes that run. `Manual` leaves them as they are and says so
    /// (UpgradeAvailable) until `image` is set; `Automatic` rolls them, one at a time.
    #[serde(default)]
    pub upgrade_policy: UpgradePolicy,
    /// When the images of nodes, front door and Redis are pulled. By default as Kubernetes does: `Always` for `latest`,
    /// else `IfNotPresent`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "PullPolicy")]
    pub image_pull_policy: Option<PullPolicy>,
    /// Secrets of the same namespace with the credentials of registries.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "pods::list_of::<LocalObjectReference>")]
    pub image_pull_secrets: Vec<LocalObjectReference>,
    /// Processor and memory of each node. A node forwards about as much as its workers have cores.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "pods::resources_schema")]
    pub resources: Option<ResourceRequirements>,
    /// Who says as which user and group the containers of all pods run: `Fixed`, which is 65532 and for Redis 999, or the
    /// `Platform`, as OpenShift does. Never root. By default what the operator gives to all its clusters, else `Fixed`.
    #[serde(default)]
    #[schemars(transform = pods::without_default)]
    pub user_ids: UserIds,
    /// Labels that a host must have to run nodes, besides `kubernetes.io/os: linux`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "pods::map_schema")]
    pub node_selector: BTreeMap<String, String>,
    /// Taints of hosts that nodes put up with. Without others of these keys, `not-ready` and `unreachable` are tolerated
    /// for 90 s.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "pods::list_of::<Toleration>")]
    pub tolerations: Vec<Toleration>,
    /// Which hosts nodes prefer, need or avoid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub affinity: Option<Affinity>,
    /// How nodes are spread. By default over hosts and, unless `affinity.podAntiAffinity` is given, over zones, where that is
    /// possible.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "pods::list_of::<TopologySpreadConstraint>")]
    pub topology_spread_constraints: Vec<TopologySpreadConstraint>,
    /// PriorityClass of the nodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(min = 1, max = 253))]
    pub priority_class_name: Option<String>,
    /// Environment variables of the nodes, such as `SFUMATO_LOG`. Those that the operator sets itself are refused, and so
    /// are those under `SFUMATO_AUTH_`, `SFUMATO_ICE_` and `SFUMATO_REDIS_`, which have fields of their own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "pods::list_of::<EnvVar>")]
    #[x_kube(validation = Rule::new("self.all(e, !(e.name in ['SFUMATO_NAME', 'SFUMATO_POD_UID', 'SFUMATO_MEDIA_IP', 'SFUMATO_PIPE_IP', 'SFUMATO_ADVERTISE_IP', 'SFUMATO_FRONT_DOOR_TOKEN_FILE', 'SFUMATO_SECURE_LISTEN', 'SFUMATO_LOG_FIELDS', 'SFUMATO_MEDIA_ANNOUNCED', 'SFUMATO_MEDIA_ANNOUNCED_FILE']) && !e.name.startsWith('SFUMATO_AUTH_') && !e.name.startsWith('SFUMATO_ICE_') && !e.name.startsWith('SFUMATO_REDIS_'))")
        .message("the operator sets SFUMATO_NAME, SFUMATO_POD_UID, SFUMATO_MEDIA_IP, SFUMATO_PIPE_IP, SFUMATO_ADVERTISE_IP, SFUMATO_FRONT_DOOR_TOKEN_FILE, SFUMATO_SECURE_LISTEN, SFUMATO_LOG_FIELDS, SFUMATO_MEDIA_ANNOUNCED, SFUMATO_MEDIA_ANNOUNCED_FILE and all under SFUMATO_AUTH_, SFUMATO_ICE_ and SFUMATO_REDIS_ itself, from spec.auth, spec.media and spec.redis"))]
    pub env: Vec<EnvVar>,
    /// Annotations of the nodes' pods.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "pods::map_schema")]
    #[x_kube(validation = rules::keys_of_others())]
    pub pod_annotations: BTreeMap<String, String>,
    /// Labels of the nodes' pods, besides the operator's own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "pods::map_schema")]
    #[x_kube(validation = rules::keys_of_others())]
    pub pod_labels: BTreeMap<String, String>,
}

/// How nodes are emptied before they go.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct DrainSpec {
    /// How long publishers of a node that is to go may stay. Viewers move at once.
    #[serde(default = "default_drain_deadline")]
    #[x_kube(validation = rules::duration("1s", "24h", "5m"))]
    pub deadline: GoDuration,
}

/// NetworkPolicies of the cluster.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct NetworkPolicySpec {
    /// Whether they are made.
    #[serde(default = "yes")]
    pub enabled: bool,
}

/// What an upgrade of the operator does to nodes that run.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UpgradePolicy {
    #[default]
    Manual,
    Automatic,
}

/// When an image is pulled.
#[derive(Serialize, Deserialize, JsonSchema, ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
#[value(rename_all = "PascalCase")]
pub enum PullPolicy {
    Always,
    IfNotPresent,
    Never,
}

impl PullPolicy {
    /// As Kubernetes writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Always => "Always",
            Self::IfNotPresent => "IfNotPresent",
            Self::Never => "Never",
        }
    }
}

/// How publishers and viewers reach the nodes with their media.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.exposure != 'PodIP' || !(self.announce.from in ['HostIP', 'NodeExternalIP', 'NodeInternalIP', 'Stun'])")
        .message("pods are not reached at their hosts with exposure PodIP: choose `HostPort` or `NodePort`, or leave announce.from out")
        .field_path(".announce.from"),
    validation = Rule::new("self.exposure != 'LoadBalancer' || self.announce.from in ['Auto', 'ServiceIngress', 'Static']")
        .message("pods are reached at a load balancer with exposure LoadBalancer: choose `ServiceIngress` or `Static`, or leave announce.from out")
        .field_path(".announce.from"),
    validation = Rule::new("self.announce.from != 'ServiceIngress' || self.exposure == 'LoadBalancer'")
        .message("only Services of load balancers have an ingress: choose exposure `LoadBalancer`, or leave announce.from out")
        .field_path(".announce.from"),
    validation = Rule::new("!has(self.loadBalancer) || self.exposure == 'LoadBalancer'")
        .message("there is no load balancer without exposure `LoadBalancer`: choose it, or leave loadBalancer out")
        .field_path(".loadBalancer"),
    validation = Rule::new("!has(self.loadBalancer) || !has(self.loadBalancer.healthPort) || has(self.loadBalancer.portBase) || self.loadBalancer.healthPort < self.port || self.loadBalancer.healthPort >= self.port + 64")
        .message("healthPort is one of the media ports, 64 from media.port on: choose another")
        .field_path(".loadBalancer.healthPort")
)]
pub struct MediaSpec {
    /// Port on which worker 0 receives WebRTC media; worker w uses `port + w`. In local mode node i (from 0) starts
    /// at `port + 100 i`.
    #[serde(default = "default_media_port")]
    #[schemars(range(min = 1024, max = 29900))]
    pub port: i32,
    /// Whether media may also come over TCP on the same port number, for networks that block UDP.
    #[serde(default = "yes")]
    pub tcp: bool,
    /// How clients reach the media ports: at the addresses of the `PodIP`s, which a network outside of the cluster seldom
    /// routes to; at a `HostPort`; in the `HostNetwork`; at a `NodePort` of a Service for each pod; or at a `LoadBalancer`. A
    /// change replaces the nodes, one at a time.
    #[serde(default)]
    pub exposure: Exposure,
    /// Which addresses clients are told.
    #[serde(default)]
    pub announce: AnnounceSpec,
    /// With exposure NodePort: the first of 64 ports of pod 0; pod i has those from `nodePortBase + 64 i` on, and worker w
    /// the one that is w higher. They must be in the API server's range, by default 30000 to 32767.
    #[serde(default = "default_node_port_base")]
    #[schemars(range(min = 1024, max = 63488))]
    pub node_port_base: i32,
    /// With exposure LoadBalancer: the Services before the pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load_balancer: Option<LoadBalancerSpec>,
    /// STUN and TURN servers that publishers and viewers are told of by `Link` headers. By default none: nodes need none, only
    /// clients behind networks that block their way to the nodes do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub ice_servers: Vec<IceServerSpec>,
}

impl Default for SfuClusterSpec {
    fn default() -> Self {
        Self {
            replicas: default_replicas(),
            workers_per_node: None,
            media: MediaSpec::default(),
            mesh: MeshSpec::default(),
            ports: PortsSpec::default(),
            web: WebSpec::default(),
            auth: AuthSpec::default(),
            redis: RedisSpec::default(),
            drain: DrainSpec::default(),
            network_policy: NetworkPolicySpec::default(),
            paused: false,
            image: None,
            upgrade_policy: UpgradePolicy::default(),
            image_pull_policy: None,
            image_pull_secrets: Vec::new(),
            resources: None,
            user_ids: UserIds::default(),
            node_selector: BTreeMap::new(),
            tolerations: Vec::new(),
            affinity: None,
            topology_spread_constraints: Vec::new(),
            priority_class_name: None,
            env: Vec::new(),
            pod_annotations: BTreeMap::new(),
            pod_labels: BTreeMap::new(),
        }
    }
}

impl Default for MediaSpec {
    fn default() -> Self {
        Self {
            port: default_media_port(),
            tcp: yes(),
            exposure: Exposure::default(),
            announce: AnnounceSpec::default(),
            node_port_base: default_node_port_base(),
            load_balancer: None,
            ice_servers: Vec::new(),
        }
    }
}

impl Default for DrainSpec {
    fn default() -> Self {
        Self {
            deadline: default_drain_deadline(),
        }
    }
}

impl Default for NetworkPolicySpec {
    fn default() -> Self {
        Self { enabled: yes() }
    }
}

fn default_drain_deadline() -> GoDuration {
    GoDuration::from_millis(300_000)
}
fn default_replicas() -> i32 {
    3
}
fn default_media_port() -> i32 {
    20_000
}
fn default_node_port_base() -> i32 {
    30_100
}
fn yes() -> bool {
    true
}

#[cfg(test)]
mod tests;
