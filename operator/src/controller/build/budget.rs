//! One node at a time may be taken away by others, such as `kubectl drain`.

use super::labels::{Component, selector};
use super::wish::Wish;
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

/// None for a single node: it could never be moved.
pub fn budget(wish: &Wish) -> Option<PodDisruptionBudget> {
    (wish.spec.replicas > 1).then(|| PodDisruptionBudget {
        metadata: wish.meta(wish.id.nodes(), Component::Node),
        spec: Some(PodDisruptionBudgetSpec {
            max_unavailable: Some(IntOrString::Int(1)),
            selector: Some(selector(&wish.id.name, Component::Node)),
            // A pod that is broken already must not hold up the drain of its host.
            unhealthy_pod_eviction_policy: Some("AlwaysAllow".to_owned()),
            ..PodDisruptionBudgetSpec::default()
        }),
        ..PodDisruptionBudget::default()
    })
}
