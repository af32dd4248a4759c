//! From an object and its pods to what a status is made of. Pure.

use super::pod_trouble::{first_trouble, refused_of, trouble};
use crate::cluster::status::{Facts, NodeFacts};
use crate::controller::build::{ClusterId, Component, selector_text};
use crate::controller::watch::seen::{Deployment, Pod, is_node, is_ready};
use crate::crd::status::{SfuClusterStatus, UNOBSERVED};
use kube::ResourceExt;
use kube::api::DynamicObject;
use sfumato_mesh::MeshSnapshot;
use std::sync::Arc;

/// The status that an object was given: none, where it shows what the definition says of an object before that.
#[must_use]
pub fn written(object: &DynamicObject) -> SfuClusterStatus {
    let status = object.data.get("status").cloned().unwrap_or_default();
    let status: SfuClusterStatus = serde_json::from_value(status).unwrap_or_default();
    if status.observed_generation == Some(UNOBSERVED) {
        return SfuClusterStatus::default();
    }
    status
}

/// What pods and mesh say, and the Deployments of front door and Redis. What the stages have found is added by the caller.
#[must_use]
pub fn facts<'a>(
    object: &DynamicObject,
    desired: i32,
    (pods, deployments): (&[Arc<Pod>], &[Arc<Deployment>]),
    mesh: &'a MeshSnapshot,
) -> Facts<'a> {
    let (nodes, others): (Vec<&Arc<Pod>>, Vec<&Arc<Pod>>) = pods.iter().partition(|pod| is_node(pod));
    Facts {
        generation: object.metadata.generation,
        operator: String::new(),
        desired,
        nodes: nodes.into_iter().map(|pod| node(pod)).collect(),
        selector: selector_text(&ClusterId::of(&object.metadata).name, Component::Node),
        mesh,
        paused: false,
        degraded: None,
        others: first_trouble(others).or_else(|| deployments.iter().find_map(|it| refused_of(it))),
        progress: None,
        upgrade: None,
    }
}

fn node(pod: &Pod) -> NodeFacts {
    NodeFacts {
        name: pod.name_any(),
        host: pod.spec.node_name.clone().unwrap_or_default(),
        ready: is_ready(pod),
        trouble: trouble(pod),
    }
}

#[cfg(test)]
#[path = "facts_tests.rs"]
mod tests;
