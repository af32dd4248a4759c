//! One pod at a time may be taken away by others, such as `kubectl drain`.

use super::labels::{Component, selector};
use super::wish::Wish;
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

/// Of the nodes.
pub fn nodes(wish: &Wish) -> Option<PodDisruptionBudget> {
    budget(wish, wish.id.nodes(), Component::Node, wish.spec.replicas)
}

/// Of a front door of so many pods.
pub fn web(wish: &Wish, replicas: i32) -> Option<PodDisruptionBudget> {
    budget(wish, wish.id.web(), Component::Web, replicas)
}

/// None for a single pod: it could never be moved.
fn budget(wish: &Wish, name: String, component: Component, replicas: i32) -> Option<PodDisruptionBudget> {
    (replicas > 1).then(|| PodDisruptionBudget {
        metadata: wish.meta(name, component),
        spec: Some(PodDisruptionBudgetSpec {
            max_unavailable: Some(IntOrString::Int(1)),
            selector: Some(selector(&wish.id.name, component)),
            // A pod that is broken already must not hold up the drain of its host.
            unhealthy_pod_eviction_policy: Some("AlwaysAllow".to_owned()),
            ..PodDisruptionBudgetSpec::default()
        }),
        ..PodDisruptionBudget::default()
    })
}
