//! Fits what was built to what runs: the number of nodes while some are still being emptied, that of front doors where
//! somebody else scales them, and the templates that an upgrade policy keeps.

use super::password;
use super::upgrade::{PodKind, keep, kept_template};
use crate::controller::build::{
    Children, Ports, Reached, Redis, RedisWorkload, Settings, Wish, media_services, policies,
    set_of_the_release_before, web_budget,
};
use crate::controller::secret::Data;
use crate::controller::watch::caches::Caches;
use crate::controller::watch::owned_fields::scaled_by;
use crate::controller::watch::seen::{self, Deployment, Pod, is_node, owned};
use k8s_openapi::api::apps::v1::StatefulSet;
use std::sync::Arc;

/// What is to be applied.
#[derive(Debug)]
#[must_use]
pub struct Prepared {
    pub children: Children,
    /// An image of this release that is kept back.
    pub upgrade: Option<String>,
}

/// Fits what was built of a wish to what runs: `replicas` nodes for now, templates as the upgrade policy says, and policies
/// that let in what the nodes in these pods need.
///
/// `secret` is the admin Secret.
pub fn adjust(
    mut children: Children,
    wish: &Wish,
    replicas: i32,
    (caches, settings): (&Caches, &Settings),
    (secret, pods): (&Data, &[Arc<Pod>]),
) -> Prepared {
    if let Some(nodes) = &mut children.nodes.spec {
        nodes.replicas = Some(replicas);
    }
    let nodes = || pods.iter().filter(|pod| is_node(pod));
    // What is still emptied, or was made from a former manifest, is still reached.
    let reached = nodes().filter_map(|pod| Reached::running(wish, &pod.metadata, &pod.spec));
    children.media_services = media_services(wish, replicas, reached);
    children.policies = policies(wish, settings, nodes().filter_map(|pod| Ports::of(&pod.spec)));
    let door = owned(&caches.deployments, &wish.id, &wish.id.web());
    let doors = front_doors(wish.spec.web.replicas, door.as_deref());
    if let Some(web) = &mut children.web.spec
        && let Some(Doors { applied, expected }) = doors
    {
        web.replicas = applied;
        children.web_budget = web_budget(wish, expected);
    }
    let upgrade = keep_templates(&mut children, wish, (caches, door.as_deref()), secret);
    Prepared { children, upgrade }
}

/// Pods of the front door.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Doors {
    /// What is applied: nothing, where somebody else has set it.
    applied: Option<i32>,
    expected: i32,
}

/// How many front doors there are to be, where a manifest that names no number leaves that to what runs.
fn front_doors(named: Option<i32>, live: Option<&Deployment>) -> Option<Doors> {
    let live = live.filter(|_| named.is_none())?;
    let expected = live.spec.replicas?;
    Some(Doors {
        // As long as nobody else has set it, a field that is not applied any more would be reset.
        applied: scaled_by(&live.metadata).is_none().then_some(expected),
        expected,
    })
}

/// Keeps the templates of what runs, where the upgrade policy says so. Answers an image that is kept back.
/// `door` is the live front door.
fn keep_templates(
    children: &mut Children,
    wish: &Wish,
    (caches, door): (&Caches, Option<&Deployment>),
    secret: &Data,
) -> Option<String> {
    let spec = &wish.spec;
    let mut kept_back = None;
    if let Some(nodes) = &mut children.nodes.spec {
        let live = owned(&caches.stateful_sets, &wish.id, &wish.id.nodes());
        let live = live.as_ref().map(|live| &live.metadata);
        let metadata = &mut children.nodes.metadata;
        kept_back = keep(metadata, &mut nodes.template, live, (spec, PodKind::Nodes));
    }
    if let Some(redis) = &mut children.redis {
        kept_back = kept_back.or(keep_redis(redis, wish, caches, secret));
    }
    if let Some(web) = &mut children.web.spec {
        let live = door.map(|live| &live.metadata);
        let metadata = &mut children.web.metadata;
        let image = keep(metadata, &mut web.template, live, (spec, PodKind::Web));
        kept_back = kept_back.or(image);
    }
    kept_back
}

/// The same of Redis, whose workload may be one of the release before; it also follows the password.
fn keep_redis(redis: &mut Redis, wish: &Wish, caches: &Caches, secret: &Data) -> Option<String> {
    let kind = (&wish.spec, PodKind::Redis);
    let set = owned(&caches.stateful_sets, &wish.id, &wish.id.redis());
    let deployment = owned(&caches.deployments, &wish.id, &wish.id.redis());
    let before = set.as_deref().filter(|set| set.spec.volume_claim_templates.is_empty());
    if matches!(redis.workload, RedisWorkload::Deployment(_))
        && deployment.is_none()
        && let Some(template) = before.and_then(|before| kept_template(&before.metadata, kind))
    {
        // An upgrade of the operator replaces no pod: it stays what it is until the manifest says something else of it.
        redis.workload = RedisWorkload::StatefulSet(set_of_the_release_before(wish, template));
    }
    if let (RedisWorkload::StatefulSet(built), Some(live)) = (&mut redis.workload, &set)
        && kept_template(&live.metadata, kind).is_some()
    {
        keep_order(built, live);
    }
    let live = deployment.as_ref().map(|live| &live.metadata);
    let live = live.or(set.as_ref().map(|live| &live.metadata));
    let (metadata, template) = redis.workload.parts_mut();
    let template = template?;
    let image = keep(metadata, template, live, kind);
    password::follow(metadata, template, live, secret);
    image
}

/// An upgrade of the operator makes no StatefulSet anew either: those of the release before are ordered until their manifest
/// changes.
fn keep_order(built: &mut StatefulSet, live: &seen::StatefulSet) {
    if let (Some(spec), Some(live)) = (&mut built.spec, &live.spec.pod_management_policy) {
        spec.pod_management_policy = Some(live.clone());
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::controller::watch::owned_fields::condense;
    use serde_json::json;

    #[test]
    fn the_number_of_front_doors_is_the_manifests_or_that_of_what_runs_until_somebody_else_sets_it() {
        let live = |manager: &str, operation: &str| {
            let replicas = json!({ "f:spec": { "f:replicas": {} } });
            let mut live: Deployment = serde_json::from_value(json!({
                "metadata": { "managedFields": [{ "manager": manager, "operation": operation, "fieldsV1": replicas }] },
                "spec": { "replicas": 5 },
            }))
            .unwrap();
            condense(&mut live.metadata);
            live
        };
        let (ours, scaled) = (live("sfu-operator", "Apply"), live("autoscaler", "Update"));
        let doors = |applied| Some(Doors { applied, expected: 5 });
        assert_eq!(front_doors(None, None), None, "as it was built");
        assert_eq!(front_doors(None, Some(&ours)), doors(Some(5)));
        assert_eq!(front_doors(None, Some(&scaled)), doors(None));
        assert_eq!(front_doors(Some(3), Some(&scaled)), None, "as the manifest says");
    }
}
