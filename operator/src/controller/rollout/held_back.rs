//! What a pause keeps from being carried out: whoever waits for a manifest must not take it for done.

use super::upgrade::{PodKind, is_built_from};
use crate::cluster::remark::Remark;
use crate::controller::build::Wish;
use crate::controller::watch::caches::Caches;
use crate::controller::watch::seen::{Deployment, StatefulSet, owned};
use crate::crd::SfuClusterSpec;
use kube::core::ObjectMeta;

/// Says that a manifest has pods, or numbers of them, that what runs was not built with, that a roll or scale-down has begun, or
/// that `others` are to change, which have no pods.
#[must_use]
pub fn held_back(wish: &Wish, caches: &Caches, has_begun: bool, others: &[String]) -> Option<Remark> {
    let id = &wish.id;
    let (nodes, door) = (caches.nodes_of(id), owned(&caches.deployments, id, &id.web()));
    let (redis_set, redis) = (
        owned(&caches.stateful_sets, id, &id.redis()),
        owned(&caches.deployments, id, &id.redis()),
    );
    let redis = redis.as_ref().map(|live| &live.metadata);
    let live = Live {
        nodes: nodes.as_deref(),
        door: door.as_deref(),
        redis: redis.or(redis_set.as_ref().map(|live| &live.metadata)),
    };
    live.held_back(&wish.spec, has_begun, others)
}

/// The children with pods that run.
#[derive(Debug, Clone, Copy)]
pub struct Live<'a> {
    pub nodes: Option<&'a StatefulSet>,
    pub door: Option<&'a Deployment>,
    /// Of whatever kind it is.
    pub redis: Option<&'a ObjectMeta>,
}

impl Live<'_> {
    /// What a pause of this manifest holds back.
    #[must_use]
    pub fn held_back(&self, spec: &SfuClusterSpec, has_begun: bool, others: &[String]) -> Option<Remark> {
        Remark::held_back(has_begun || !self.is_as(spec), others)
    }

    /// Whether what runs is what a manifest says.
    fn is_as(&self, spec: &SfuClusterSpec) -> bool {
        let is_built = |live: &ObjectMeta, kind| is_built_from(live, (spec, kind));
        let redis_is_same = match self.redis {
            Some(_) if spec.redis.external.is_some() => false,
            Some(live) => is_built(live, PodKind::Redis),
            None => spec.redis.external.is_some(),
        };
        let nodes_are_same =
            |live: &StatefulSet| live.spec.replicas == Some(spec.replicas) && is_built(&live.metadata, PodKind::Nodes);
        let door_is_same = |live: &Deployment| {
            let replicas = spec.web.replicas;
            (replicas.is_none() || live.spec.replicas == replicas) && is_built(&live.metadata, PodKind::Web)
        };
        redis_is_same && self.nodes.is_some_and(nodes_are_same) && self.door.is_some_and(door_is_same)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::upgrade::keep;
    use super::*;
    use k8s_openapi::api::core::v1::PodTemplateSpec;
    use serde_json::{Value, json};

    fn spec(spec: Value) -> SfuClusterSpec {
        serde_json::from_value(spec).unwrap()
    }

    fn built(from: &SfuClusterSpec, kind: PodKind) -> ObjectMeta {
        let mut metadata = ObjectMeta::default();
        keep(&mut metadata, &mut PodTemplateSpec::default(), None, (from, kind));
        metadata
    }

    #[test]
    fn a_manifest_is_held_back_where_its_pods_or_their_number_are_others_than_run() {
        let then = spec(json!({ "replicas": 3, "web": { "replicas": 2 } }));
        let [nodes, door, redis] = [PodKind::Nodes, PodKind::Web, PodKind::Redis].map(|kind| built(&then, kind));
        let (mut set, mut deployment) = (StatefulSet::default(), Deployment::default());
        (set.metadata, set.spec.replicas) = (nodes, Some(3));
        (deployment.metadata, deployment.spec.replicas) = (door, Some(2));
        let live = Live {
            nodes: Some(&set),
            door: Some(&deployment),
            redis: Some(&redis),
        };
        let url = json!({ "urlSecretRef": { "name": "redis", "key": "url" } });
        for (now, expected) in [
            (json!({ "replicas": 3, "web": { "replicas": 2 } }), true),
            (json!({ "replicas": 3, "web": { "replicas": 2 }, "paused": true }), true),
            (json!({ "replicas": 3 }), true),
            (json!({ "replicas": 4, "web": { "replicas": 2 } }), false),
            (json!({ "replicas": 3, "web": { "replicas": 3 } }), false),
            (json!({ "replicas": 3, "mesh": { "fanOut": "Eager" } }), false),
            (json!({ "replicas": 3, "web": { "image": "other" } }), false),
            (
                json!({ "replicas": 3, "redis": { "managed": { "image": "other" } } }),
                false,
            ),
            (json!({ "replicas": 3, "redis": { "external": url } }), false),
        ] {
            assert_eq!(live.is_as(&spec(now.clone())), expected, "{now}");
        }
        let without_nodes = Live { nodes: None, ..live };
        assert!(!without_nodes.is_as(&then), "the nodes are not there");
        let as_it_runs = |has_begun| live.held_back(&then, has_begun, &[]).map(|remark| remark.reason);
        assert_eq!((as_it_runs(false), as_it_runs(true)), (None, Some("Paused")));
    }
}
