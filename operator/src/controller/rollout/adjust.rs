//! Fits what was built to what runs: the number of nodes while some are still being emptied, and the templates that an
//! upgrade policy keeps.

use super::password;
use super::upgrade::{PodKind, keep, kept_template};
use crate::controller::build::{Children, Redis, RedisWorkload, Wish, set_of_the_release_before};
use crate::controller::secret::Data;
use crate::controller::watch::caches::Caches;
use crate::controller::watch::seen::owned;

/// What is to be applied.
#[derive(Debug)]
#[must_use]
pub struct Prepared {
    pub children: Children,
    /// An image of this release that is kept back.
    pub upgrade: Option<String>,
}

/// Fits what was built of a wish to what runs: `replicas` nodes for now, and templates as the upgrade policy says.
///
/// `secret` is the admin Secret.
pub fn adjust(mut children: Children, wish: &Wish, replicas: i32, caches: &Caches, secret: &Data) -> Prepared {
    if let Some(nodes) = &mut children.nodes.spec {
        nodes.replicas = Some(replicas);
    }
    let upgrade = keep_templates(&mut children, wish, caches, secret);
    Prepared { children, upgrade }
}

/// Keeps the templates of what runs, where the upgrade policy says so. Answers an image that is kept back.
fn keep_templates(children: &mut Children, wish: &Wish, caches: &Caches, secret: &Data) -> Option<String> {
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
        let live = owned(&caches.deployments, &wish.id, &wish.id.web());
        let live = live.as_ref().map(|live| &live.metadata);
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
    let live = deployment.as_ref().map(|live| &live.metadata);
    let live = live.or(set.as_ref().map(|live| &live.metadata));
    let (metadata, template) = redis.workload.parts_mut();
    let template = template?;
    let image = keep(metadata, template, live, kind);
    password::follow(metadata, template, live, secret);
    image
}
