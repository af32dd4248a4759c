//! A reconcile, from an object to its status. The stages run in this order, and each is given what those before it found:
//! validate -> dereference -> look after the mesh -> observe and decide -> build -> adjust -> apply -> act -> write the status.
//!
//! Whoever is not in order stops after the first of them, and what ran before runs on.

use super::build::{ClusterId, build};
use super::context::Context;
use super::error::{DEADLINE, Error};
use super::pace::Pace;
use super::rollout::adjust::adjust;
use super::rollout::last_good::last_good;
use super::rollout::observe::observe;
use super::rollout::redis::redis_acts;
use super::stages::apply::{Applied, ApplyError};
use super::stages::dereference::Dereferenced;
use super::stages::facts::{facts, written};
use super::stages::validate::Invalid;
use super::watch::caches::{cluster_key, pods_of};
use super::watch::queue::Key;
use super::watch::seen::{Pod, owned};
use crate::cluster::remark::Remark;
use crate::cluster::rollout::{Decision, count_leaving, decide};
use crate::cluster::status::{COUNTS_EVERY, Facts, is_busy, status};
use crate::crd::status::SfuClusterStatus;
use k8s_openapi::jiff::Timestamp;
use kube::api::DynamicObject;
use kube::runtime::controller::Action;
use std::sync::Arc;
use std::time::Instant;

/// Carries out one object. The scheduler never runs two of these for the same object at once.
///
/// # Errors
/// What kept it; it is tried again after a growing pause.
pub async fn reconcile(object: Arc<DynamicObject>, context: Arc<Context>) -> Result<Action, Error> {
    let Some(key) = cluster_key(&object) else {
        return Ok(Action::await_change());
    };
    let began = Instant::now();
    context.queue.begun(&key);
    context.metrics.running.inc();
    let ended = tokio::time::timeout(DEADLINE, stages(&object, &key, &context)).await;
    context.metrics.running.dec();
    let result = ended.unwrap_or(Err(Error::Deadline));
    let (word, reason) = match &result {
        Ok(_) => ("ok", "None"),
        Err(error) => ("failed", error.reason()),
    };
    context.metrics.reconciled(word, reason, began.elapsed());
    if result.is_ok() {
        context.remember(&key, |memory| memory.failing = None);
    }
    result
}

async fn stages(object: &DynamicObject, key: &Key, context: &Context) -> Result<Action, Error> {
    if object.metadata.deletion_timestamp.is_some() {
        // Kubernetes removes the children, and the mesh goes with the object.
        return Ok(Action::await_change());
    }
    let before = written(object);
    let pods = pods_of(&context.caches.pods, key);

    let wish = match context.validator.validate(key, object).await {
        Ok(wish) => wish,
        Err(invalid) => return leave_as_it_is(object, &invalid, &pods, &before, context).await,
    };

    let live = context.caches.nodes_of(&wish.id);
    let redis = owned(&context.caches.stateful_sets, &wish.id, &wish.id.redis());
    let sets = (live.as_deref(), redis.as_deref());
    let dereferencing = context.dereferencer.dereference(&wish, sets, &pods, is_busy(&before));
    let Dereferenced { secret, trouble } = dereferencing.await?;

    context.meshes.look_after(&wish, &secret, &pods)?;
    let mesh = context.meshes.snapshot(key);

    // Looked up once more: the calls before may have taken seconds.
    let live = context.caches.nodes_of(&wish.id);
    let now = (Timestamp::now(), Instant::now());
    let decision = context.remember(key, |memory| {
        let observation = observe(&wish, live.as_deref(), &pods, &mesh, &memory.leaving, context.pace, now);
        let decision = decide(&observation);
        count_leaving(&mut memory.leaving, &observation, &decision.leaving, now.1);
        decision
    });
    // Without `..`: a decision that nobody heeds does not compile.
    let Decision {
        replicas,
        surplus: _, // The StatefulSet ends them, as `replicas` says.
        acts,
        progress,
        leaving: _,
    } = decision;

    let Applied {
        upgrade,
        refused,
        waiting,
    } = if wish.spec.paused {
        Applied::default()
    } else {
        let built = build(&wish, &context.settings);
        let prepared = adjust(built, &wish, replicas, &context.caches, &secret);
        let applied = context.applier.apply(&wish.id, &prepared, &context.caches).await;
        let redis = owned(&context.caches.stateful_sets, &wish.id, &wish.id.redis());
        let (lost_after, now) = (context.pace.lost_after, now.0);
        let of_redis = redis_acts(&pods, redis.as_deref(), &mesh, lost_after, now);
        context.actor.carry_out(&[acts, of_redis].concat(), &wish, &pods).await;
        applied
    };

    let facts = Facts {
        paused: wish.spec.paused,
        degraded: refused.as_ref().map(ApplyError::remark).or(trouble),
        progress: progress.filter(|_| !wish.spec.paused).or(waiting),
        upgrade,
        ..facts(
            object,
            wish.spec.replicas,
            (&pods, &context.caches.deployments_of(&wish.id)),
            &mesh,
        )
    };
    let now = status(&facts, &before, Timestamp::now());
    context.status_writer.write(&wish.id, &before, &now).await?;
    match refused {
        Some(error) => Err(error.into()),
        None => Ok(look_again(&now, context.pace)),
    }
}

/// An object that cannot be carried out changes nothing: what ran by the last good one runs on, and its mesh is healed.
async fn leave_as_it_is(
    object: &DynamicObject,
    invalid: &Invalid,
    pods: &[Arc<Pod>],
    before: &SfuClusterStatus,
    context: &Context,
) -> Result<Action, Error> {
    let id = ClusterId::of(&object.metadata);
    let kept = context.caches.nodes_of(&id).and_then(|live| last_good(object, &live));
    if let Some(wish) = &kept {
        let secret = context.dereferencer.admin_secret(wish, is_busy(before)).await?;
        context.meshes.look_after(wish, &secret, pods)?;
    }
    let mesh = context.meshes.snapshot(&Key::from(&id));
    let desired = kept.map_or(0, |wish| wish.spec.replicas);
    let facts = Facts {
        degraded: Some(Remark::invalid_spec(invalid)),
        ..facts(object, desired, (pods, &context.caches.deployments_of(&id)), &mesh)
    };
    let now = status(&facts, before, Timestamp::now());
    context.status_writer.write(&id, before, &now).await?;
    Ok(Action::requeue(context.pace.believed(false)))
}

/// Watches tell of every change. A further look is for what no watch can tell, which is what Secrets hold.
fn look_again(now: &SfuClusterStatus, pace: Pace) -> Action {
    let pause = pace.believed(is_busy(now));
    // Counts that were held back are written when they may be.
    let counts = now.streams > 0 || now.nodes.iter().any(|node| node.viewers > 0);
    Action::requeue(if counts { pause.min(COUNTS_EVERY) } else { pause })
}
