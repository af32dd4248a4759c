//! Fits what was built to what runs: the number of nodes while some are still being emptied, and the templates that an
//! upgrade policy keeps.

use super::upgrade::{PodKind, keep};
use crate::controller::build::{Children, Ports, Wish, widen};
use crate::controller::watch::caches::Caches;
use crate::controller::watch::ownership::may_have;
use crate::controller::watch::seen::{Pod, is_node};
use kube::Resource;
use kube::core::ObjectMeta;
use kube::runtime::reflector::{ObjectRef, Store};
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
pub fn adjust(mut children: Children, wish: &Wish, replicas: i32, caches: &Caches, pods: &[Arc<Pod>]) -> Prepared {
    if let Some(nodes) = &mut children.nodes.spec {
        nodes.replicas = Some(replicas);
    }
    let nodes = pods.iter().filter(|pod| is_node(pod));
    let running = nodes.filter_map(|pod| Ports::of(|name| pod.spec.argument(name)));
    widen(&mut children.policies, wish, running);
    let upgrade = keep_templates(&mut children, wish, caches);
    Prepared { children, upgrade }
}

/// Keeps the templates of what runs, where the upgrade policy says so. Answers an image that is kept back.
fn keep_templates(children: &mut Children, wish: &Wish, caches: &Caches) -> Option<String> {
    let spec = &wish.spec;
    let sets = &caches.stateful_sets;
    let mut kept_back = None;
    if let Some(nodes) = &mut children.nodes.spec {
        let live = live(sets, &wish.id.nodes(), wish);
        let metadata = &mut children.nodes.metadata;
        let kind = (spec, PodKind::Nodes);
        kept_back = keep(metadata, &mut nodes.template, live.as_ref(), kind);
    }
    if let Some(redis) = &mut children.redis
        && let Some(redis_spec) = &mut redis.stateful_set.spec
    {
        let live = live(sets, &wish.id.redis(), wish);
        let metadata = &mut redis.stateful_set.metadata;
        let image = keep(
            metadata,
            &mut redis_spec.template,
            live.as_ref(),
            (spec, PodKind::Redis),
        );
        kept_back = kept_back.or(image);
    }
    if let Some(web) = &mut children.web.spec {
        let live = live(&caches.deployments, &wish.id.web(), wish);
        let metadata = &mut children.web.metadata;
        let image = keep(metadata, &mut web.template, live.as_ref(), (spec, PodKind::Web));
        kept_back = kept_back.or(image);
    }
    kept_back
}

/// What the live object of this name says of itself, if it is ours or is adopted.
fn live<K>(cache: &Store<K>, name: &str, wish: &Wish) -> Option<ObjectMeta>
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    let live = cache.get(&ObjectRef::new(name).within(&wish.id.namespace))?;
    may_have(live.meta(), &wish.id).then(|| live.meta().clone())
}
