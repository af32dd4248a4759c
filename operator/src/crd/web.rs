//! The front door in a manifest.

use super::pods::{self, PodOptions};
use super::rules;
use k8s_openapi::api::core::v1::ResourceRequirements;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Pods of a front door whose manifest names no number, to begin with.
pub const FIRST_REPLICAS: i32 = 2;
/// Certificate chain in a Secret of type `kubernetes.io/tls`, PEM.
pub const TLS_CERT: &str = "tls.crt";
/// Its key, PEM.
pub const TLS_KEY: &str = "tls.key";

/// The front door.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct WebSpec {
    /// Pods of the front door. Without it there are 2 at first, and then as many as an autoscaler or `kubectl scale`
    /// asks of the Deployment `NAME-web`. Local mode has one process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i32", range(min = 0, max = 16))]
    pub replicas: Option<i32>,
    /// Image of the front door. By default the one of the operator's own release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(min = 1, max = 512))]
    pub image: Option<String>,
    /// Processor and memory of each pod of the front door.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "pods::resources_schema")]
    pub resources: Option<ResourceRequirements>,
    /// Where the pods of the front door run, their labels and annotations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pods: Option<PodOptions>,
    /// How the front door is reached.
    #[serde(default)]
    pub service: WebServiceSpec,
    /// HTTPS instead of HTTP at the port of the front door. Without it, TLS is up to an Ingress or a Gateway before it. Local
    /// mode serves HTTP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<WebTlsSpec>,
}

/// TLS of the front door.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct WebTlsSpec {
    /// Secret of the same namespace, of type `kubernetes.io/tls`: the certificate chain in `tls.crt` and its key in `tls.key`,
    /// both PEM. It may change without a restart.
    #[schemars(length(max = 253))]
    #[x_kube(validation = rules::text("^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$", "the name of a Secret: 1 to 253 of a-z, 0-9, `-` and `.`, such as `front-door-tls`"))]
    pub secret_name: String,
}

/// How the front door is reached: the Service `NAME-web`.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.type == 'LoadBalancer' || !has(self.loadBalancerClass)")
        .message("loadBalancerClass is for type LoadBalancer only: set type to `LoadBalancer`, or leave the class out")
        .field_path(".loadBalancerClass"),
    validation = Rule::new("self.type == 'LoadBalancer' || !has(self.loadBalancerSourceRanges) || self.loadBalancerSourceRanges.size() == 0")
        .message("loadBalancerSourceRanges is for type LoadBalancer only: set type to `LoadBalancer`, or leave the networks out")
        .field_path(".loadBalancerSourceRanges"),
    validation = Rule::new("self.type != 'ClusterIP' || !has(self.nodePort) || self.nodePort == 0")
        .message("nodePort is for types NodePort and LoadBalancer only: set type to one of them, or leave the port out")
        .field_path(".nodePort"),
    validation = Rule::new("self.type != 'ClusterIP' || !has(self.externalTrafficPolicy)")
        .message("externalTrafficPolicy is for types NodePort and LoadBalancer only: set type to one of them, or leave the policy out")
        .field_path(".externalTrafficPolicy")
)]
pub struct WebServiceSpec {
    /// Type of the Service.
    #[serde(default, rename = "type")]
    pub type_: ServiceType,
    /// TCP port of the front door.
    #[serde(default = "default_port")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: i32,
    /// Port of every Kubernetes node that leads to the front door, with types NodePort and LoadBalancer. It must be in the API
    /// server's range, by default 30000 to 32767. With 0 or without it, the API server chooses one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i32", range(min = 0, max = 65535))]
    pub node_port: Option<i32>,
    /// Which load balancer looks after the Service, with type LoadBalancer. By default the platform's. Kubernetes refuses another
    /// class for a Service that keeps this type: delete the Service, and the operator makes one of the new class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(max = 317))]
    #[x_kube(validation = rules::text("^([a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$", "the name of a class of load balancers, such as `tailscale` or `service.k8s.aws/nlb`"))]
    pub load_balancer_class: Option<String>,
    /// Networks from which clients may come, with type LoadBalancer, where the load balancer heeds it. By default all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "rules::source_ranges_schema")]
    pub load_balancer_source_ranges: Vec<String>,
    /// Which front doors are reached at a Kubernetes node, with types NodePort and LoadBalancer: those of the whole `Cluster`, or
    /// its own (`Local`). Only with `Local` do limits see the addresses of clients. By default as Kubernetes does: `Cluster`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "ExternalTrafficPolicy")]
    pub external_traffic_policy: Option<ExternalTrafficPolicy>,
    /// Annotations of the Service, for load balancers that are configured by them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "pods::map_schema")]
    pub annotations: BTreeMap<String, String>,
}

/// Type of a Service.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ServiceType {
    #[default]
    ClusterIP,
    NodePort,
    LoadBalancer,
}

impl ServiceType {
    /// As Kubernetes writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ClusterIP => "ClusterIP",
            Self::NodePort => "NodePort",
            Self::LoadBalancer => "LoadBalancer",
        }
    }
}

/// Which front doors are reached at a Kubernetes node.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExternalTrafficPolicy {
    Cluster,
    Local,
}

impl ExternalTrafficPolicy {
    /// As Kubernetes writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cluster => "Cluster",
            Self::Local => "Local",
        }
    }
}

impl Default for WebServiceSpec {
    fn default() -> Self {
        Self {
            type_: ServiceType::default(),
            port: default_port(),
            node_port: None,
            load_balancer_class: None,
            load_balancer_source_ranges: Vec::new(),
            external_traffic_policy: None,
            annotations: BTreeMap::new(),
        }
    }
}

fn default_port() -> i32 {
    2020
}
