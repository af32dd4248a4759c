//! From an object and its pods to what a status is made of. Pure.

use super::pod_trouble::{first_trouble, refused_of, trouble};
use crate::cluster::convergence::Effort;
use crate::cluster::remark::Remark;
use crate::cluster::status::{Facts, FrontDoorFacts, NodeFacts};
use crate::controller::build::{ClusterId, Component, selector_text};
use crate::controller::pace::Pace;
use crate::controller::watch::seen::{Deployment, Pod, is_node, is_of, is_ready};
use crate::crd::SfuClusterSpec;
use crate::crd::exposure::{Exposure, PortsSpec};
use crate::crd::status::{SfuClusterStatus, UNOBSERVED};
use crate::crd::web::FIRST_REPLICAS;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use kube::api::DynamicObject;
use sfumato_mesh::MeshSnapshot;
use std::sync::Arc;

/// The status that an object was given: only who looks after it, where the rest is what the definition says of an object before
/// that.
#[must_use]
pub fn written(object: &DynamicObject) -> SfuClusterStatus {
    let status = object.data.get("status").cloned().unwrap_or_default();
    let status: SfuClusterStatus = serde_json::from_value(status).unwrap_or_default();
    if status.observed_generation == Some(UNOBSERVED) {
        return SfuClusterStatus {
            operator: status.operator,
            ..SfuClusterStatus::default()
        };
    }
    status
}

/// How many of each there are to be.
#[derive(Debug, Clone, Copy, Default)]
pub struct Desired {
    pub nodes: i32,
    /// As many as run, where the manifest names no number.
    pub front_doors: Option<i32>,
}

impl Desired {
    #[must_use]
    pub fn of(spec: &SfuClusterSpec) -> Self {
        Self {
            nodes: spec.replicas,
            front_doors: spec.web.replicas,
        }
    }

    /// Of a manifest that never ran.
    #[must_use]
    pub fn nothing() -> Self {
        Self {
            nodes: 0,
            front_doors: Some(0),
        }
    }
}

/// What pods and mesh say, and the Deployments of front door and Redis. What the stages have found is added by the caller.
#[must_use]
pub fn facts<'a>(
    object: &DynamicObject,
    desired: Desired,
    (pods, deployments): (&[Arc<Pod>], &[Arc<Deployment>]),
    mesh: &'a MeshSnapshot,
    (pace, now): (Pace, Timestamp),
) -> Facts<'a> {
    let (nodes, others): (Vec<&Arc<Pod>>, Vec<&Arc<Pod>>) = pods.iter().partition(|pod| is_node(pod));
    let id = ClusterId::of(&object.metadata);
    let door = deployments.iter().find(|it| it.name_any() == id.web());
    let of_redis = others.iter().copied().filter(|pod| is_of(pod, Component::Redis));
    let patience = pace.host_patience;
    let of_redis = first_trouble(of_redis, patience, now);
    let doors = others.iter().copied().filter(|pod| is_of(pod, Component::Web));
    let of_doors = first_trouble(doors, patience, now);
    let front_door = front_door(desired.front_doors, door.map(AsRef::as_ref), of_doors);
    Facts {
        generation: object.metadata.generation,
        operator: String::new(),
        desired: desired.nodes,
        nodes: nodes
            .into_iter()
            .map(|pod| node(pod, trouble(pod, patience, now)))
            .collect(),
        selector: selector_text(&id.name, Component::Node),
        mesh,
        paused: false,
        degraded: Vec::new(),
        others: of_redis
            .or_else(|| front_door.trouble.clone())
            .or_else(|| deployments.iter().find_map(|it| refused_of(it))),
        front_door,
        effort: Effort::default(),
        upgrade: None,
        unprotected: None,
    }
}

/// What NetworkPolicies do not do for nodes in the networks of their hosts.
#[must_use]
pub fn unprotected(spec: &SfuClusterSpec) -> Option<Remark> {
    let is_open = spec.network_policy.enabled && spec.media.exposure == Exposure::HostNetwork;
    let PortsSpec { admin, health, .. } = spec.ports;
    let message = format!(
        "the nodes use the networks of their hosts, where no NetworkPolicy finds them: tokens and TLS alone protect their admin API and \
         links, and managed Redis is open to all pods with its password; let no one from outside reach TCP ports {admin} and {health} and \
         UDP ports from {} on",
        spec.mesh.port_base
    );
    is_open.then(|| Remark::new("HostNetwork", message))
}

/// `named` is what the manifest says, and `trouble` that of its pods, which only tells why there are too few.
fn front_door(named: Option<i32>, live: Option<&Deployment>, trouble: Option<Remark>) -> FrontDoorFacts {
    let running = live.and_then(|live| live.spec.replicas);
    FrontDoorFacts {
        desired: named.or(running).unwrap_or(FIRST_REPLICAS),
        ready: live.map_or(0, |live| live.status.ready_replicas),
        trouble: trouble.or_else(|| live.and_then(refused_of)),
    }
}

fn node(pod: &Pod, trouble: Option<Remark>) -> NodeFacts {
    NodeFacts {
        name: pod.name_any(),
        host: pod.spec.node_name.clone().unwrap_or_default(),
        ready: is_ready(pod),
        trouble,
    }
}

#[cfg(test)]
#[path = "facts_tests.rs"]
mod tests;
