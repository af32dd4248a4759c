//! Fits what was built to what runs: the number of nodes while some are still being emptied, and the templates that an
//! upgrade policy keeps.

use super::observe::{count_leaving, scene};
use super::rules::{Retirement, retirement};
use super::upgrade::{Part, keep};
use crate::controller::build::{Children, Wish};
use crate::controller::context::Context;
use crate::controller::watch::queue::Key;
use crate::controller::watch::seen::Pod;
use k8s_openapi::jiff::Timestamp;
use kube::core::ObjectMeta;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Resource, ResourceExt};
use sfumato_mesh::MeshSnapshot;
use std::sync::Arc;
use std::time::Instant;

/// Who has to leave, and how far that is.
pub fn retire(key: &Key, wish: &Wish, pods: &[Arc<Pod>], mesh: &MeshSnapshot, context: &Context) -> Retirement {
    let set = ObjectRef::new(&wish.id.nodes()).within(&wish.id.namespace);
    let live = context.caches.stateful_sets.get(&set);
    let deadline = wish.spec.drain.deadline.0;
    let now = (Timestamp::now(), Instant::now());
    context.remember(key, |memory| {
        let scene = scene(
            wish.spec.replicas,
            deadline,
            live.as_deref(),
            pods,
            mesh,
            &memory.leaving,
            now,
        );
        let decided = retirement(&scene);
        count_leaving(&mut memory.leaving, &scene, &decided.leaving, now.1);
        decided
    })
}

/// Keeps as many nodes as are not empty yet.
pub fn keep_nodes(children: &mut Children, replicas: i32) {
    if let Some(spec) = &mut children.nodes.spec {
        spec.replicas = Some(replicas);
    }
}

/// Keeps the templates of what runs, where the upgrade policy says so. Answers an image that is kept back.
pub fn keep_templates(children: &mut Children, wish: &Wish, context: &Context) -> Option<String> {
    let spec = &wish.spec;
    let sets = &context.caches.stateful_sets;
    let mut kept_back = None;
    if let Some(nodes) = &mut children.nodes.spec {
        let live = live(sets, &wish.id.nodes(), wish);
        let metadata = &mut children.nodes.metadata;
        let part = (spec, Part::Nodes);
        kept_back = keep(metadata, &mut nodes.template, live.as_ref(), part);
    }
    if let Some(redis) = &mut children.redis
        && let Some(redis_spec) = &mut redis.stateful_set.spec
    {
        let live = live(sets, &wish.id.redis(), wish);
        let metadata = &mut redis.stateful_set.metadata;
        let image = keep(metadata, &mut redis_spec.template, live.as_ref(), (spec, Part::Redis));
        kept_back = kept_back.or(image);
    }
    if let Some(web) = &mut children.web.spec {
        let live = live(&context.caches.deployments, &wish.id.web(), wish);
        let metadata = &mut children.web.metadata;
        let image = keep(metadata, &mut web.template, live.as_ref(), (spec, Part::Web));
        kept_back = kept_back.or(image);
    }
    kept_back
}

/// What the live object of this name says of itself, if it is ours.
fn live<K>(cache: &Store<K>, name: &str, wish: &Wish) -> Option<ObjectMeta>
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    let live = cache.get(&ObjectRef::new(name).within(&wish.id.namespace))?;
    let ours = live.owner_references().iter().any(|owner| owner.uid == wish.id.uid);
    ours.then(|| live.meta().clone())
}
