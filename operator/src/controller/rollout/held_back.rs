//! What a pause keeps from being carried out: whoever waits for a manifest must not take it for done.

use super::upgrade::{PodKind, is_built_from};
use crate::cluster::remark::Remark;
use crate::controller::build::Wish;
use crate::controller::watch::caches::Caches;
use crate::controller::watch::seen::owned;
use crate::crd::SfuClusterSpec;
use kube::core::ObjectMeta;

/// A child with pods that runs.
struct Live<'a> {
    metadata: &'a ObjectMeta,
    replicas: Option<i32>,
}

/// Says that a manifest has pods, or numbers of them, that what runs was not built with, or that a roll or scale-down has begun.
/// Where nothing of it is in pods, as with the front door's Service, nobody is told.
#[must_use]
pub fn held_back(wish: &Wish, caches: &Caches, has_begun: bool) -> Option<Remark> {
    let id = &wish.id;
    let nodes = caches.nodes_of(id);
    let door = owned(&caches.deployments, id, &id.web());
    let (redis_set, redis) = (
        owned(&caches.stateful_sets, id, &id.redis()),
        owned(&caches.deployments, id, &id.redis()),
    );
    let redis = redis.as_ref().map(|live| &live.metadata);
    let nodes = nodes.as_ref().map(|live| Live {
        metadata: &live.metadata,
        replicas: live.spec.replicas,
    });
    let door = door.as_ref().map(|live| Live {
        metadata: &live.metadata,
        replicas: live.spec.replicas,
    });
    let redis = redis.or(redis_set.as_ref().map(|live| &live.metadata));
    let is_held = has_begun || !runs(&wish.spec, (nodes.as_ref(), door.as_ref(), redis));
    let message = "spec.paused holds changes back: they are carried out when it is false";
    is_held.then(|| Remark::new("Paused", message))
}

/// Whether what runs is what a manifest says.
fn runs(spec: &SfuClusterSpec, live: (Option<&Live<'_>>, Option<&Live<'_>>, Option<&ObjectMeta>)) -> bool {
    let (nodes, door, redis) = live;
    let is_same = |live: &Live<'_>, kind, replicas: Option<i32>| {
        (replicas.is_none() || live.replicas == replicas) && is_built_from(live.metadata, (spec, kind))
    };
    let redis_is_same = match redis {
        Some(_) if spec.redis.external.is_some() => false,
        Some(live) => is_built_from(live, (spec, PodKind::Redis)),
        None => spec.redis.external.is_some(),
    };
    redis_is_same
        && nodes.is_some_and(|live| is_same(live, PodKind::Nodes, Some(spec.replicas)))
        && door.is_some_and(|live| is_same(live, PodKind::Web, spec.web.replicas))
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
        let [nodes, door] = [(&nodes, 3), (&door, 2)].map(|(metadata, replicas)| Live {
            metadata,
            replicas: Some(replicas),
        });
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
            let live = (Some(&nodes), Some(&door), Some(&redis));
            assert_eq!(runs(&spec(now.clone()), live), expected, "{now}");
        }
        assert!(
            !runs(&then, (None, Some(&door), Some(&redis))),
            "the nodes are not there"
        );
    }
}
