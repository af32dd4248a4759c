//! A reconcile, from an object to its status. The stages run in this order, and each is given what those before it found:
//! validate -> dereference -> look after the mesh -> observe and decide -> build -> adjust -> apply -> act -> write the status.
//!
//! Whoever is not in order stops after the first of them, and what ran before runs on.

use super::build::{ClusterId, Wish, build};
use super::context::Context;
use super::error::{DEADLINE, Error};
use super::pace::Pace;
use super::process::events::about;
use super::rollout::adjust::adjust;
use super::rollout::held_back::held_back;
use super::rollout::kept_prefix::kept_prefix;
use super::rollout::last_good::last_good;
use super::rollout::observe::{give_up_overdue, observe};
use super::rollout::redis::{redis_acts, redis_kept, redis_leaving};
use super::secret::Data;
use super::stages::apply::Applied;
use super::stages::apply_error::ApplyError;
use super::stages::dereference::Dereferenced;
use super::stages::facts::{Desired, facts, unprotected, written};
use super::stages::installation::{left_alone, of_another};
use super::stages::validate::Invalid;
use super::watch::queue::{Key, cluster_key};
use super::watch::seen::{Pod, StatefulSet, is_node, is_ready, owned, resource};
use crate::cluster::convergence::{Effort, Refusal};
use crate::cluster::note::{Note, Tone};
use crate::cluster::remark::Remark;
use crate::cluster::rollout::{Decision, count_leaving, decide};
use crate::cluster::status::{COUNTS_EVERY, Facts, is_busy, overlaid, status};
use crate::crd::status::SfuClusterStatus;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt as _;
use kube::api::DynamicObject;
use kube::runtime::controller::Action;
use kube::runtime::reflector::ObjectRef;
use sfumato_admin_api::files::TlsError;
use sfumato_mesh::MeshSnapshot;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How soon is looked again at what somebody else was changing.
const SOON: Duration = Duration::from_secs(1);

/// Longest time for telling that the API server takes long.
const TELLING_DEADLINE: Duration = Duration::from_secs(10);

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
    // What changed between the scheduler's look and this moment was asked for when it was already waiting, so nobody asks again: the
    // object that the scheduler has given may be old, and this one is not.
    let Some(object) = context
        .caches
        .clusters
        .get(&ObjectRef::from_obj_with(&*object, resource()))
    else {
        context.forget(&key);
        return Ok(Action::await_change());
    };
    context.metrics.running.inc();
    let ended = tokio::time::timeout(DEADLINE, stages(&object, &key, &context)).await;
    context.metrics.running.dec();
    let result = match ended {
        Ok(result) => result,
        Err(_) => Err(too_slow(&object, &key, &context).await),
    };
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
    if !context.selector.matches(object.labels()) {
        return Ok(leave_out(key, context));
    }
    let before = written(object);
    if let Some(other) = of_another(object, &before, &context.installation) {
        return Ok(leave_to(&other, object, key, context));
    }
    // Nothing is written of what belongs to it before others can see whose it is.
    if before.operator != context.installation && !context.status_writer.claim(object, &context.installation).await? {
        return Ok(Action::requeue(SOON));
    }
    let pods = context.caches.pods.of(key);

    let mut wish = match context.validator.validate(key, object).await {
        Ok(wish) => wish,
        Err(invalid) => return leave_as_it_is(object, &invalid, &pods, &before, context).await,
    };

    let live = context.caches.nodes_of(&wish.id);
    wish.redis_prefix = kept_prefix(&wish.id, live.as_deref(), &context.caches.pods.uncontrolled(&wish.id));
    let redis = owned(&context.caches.stateful_sets, &wish.id, &wish.id.redis());
    let sets = (live.as_deref(), redis.as_deref());
    let dereferencing = context.dereferencer.dereference(&wish, sets, &pods, is_busy(&before));
    let Dereferenced {
        secret,
        trouble,
        obstacle,
    } = match dereferencing.await {
        Ok(dereferenced) => dereferenced,
        Err(error) => return told(error.into(), object, &wish, &pods, &before, context).await,
    };
    if let Err(error) = look_after(&wish, &secret, context) {
        return told(error.into(), object, &wish, &pods, &before, context).await;
    }
    let mesh = context.meshes.snapshot(key);
    // A new leader knows no node yet: what a node says keeps it from being given up, emptied or counted as gone.
    let known = is_known(key, &mesh, &pods, &before, context);

    // Looked up once more: the calls before may have taken seconds.
    let live = context.caches.nodes_of(&wish.id);
    let now = (Timestamp::now(), Instant::now());
    let held_up = context.actor.held_up(&pods);
    let decision = context.remember(key, |memory| {
        memory.left_to = None;
        memory.left_out = false;
        let observation = observe(
            &wish,
            live.as_deref(),
            &pods,
            &mesh,
            (&memory.leaving, &held_up),
            context.pace,
            now,
        );
        let decision = decide(&observation);
        let decision = if known {
            decision
        } else {
            decision.unasked(observation.live)
        };
        count_leaving(&mut memory.leaving, &observation, &decision.leaving, now.1);
        decision
    });
    // Without `..`: a decision that nobody heeds does not compile.
    let Decision {
        replicas,
        surplus: _, // The StatefulSet ends them, as `replicas` says.
        mut acts,
        progress,
        leaving,
    } = decision;

    let built = build(&wish, &context.settings);
    let prepared = adjust(
        built,
        &wish,
        replicas,
        (&context.caches, &context.settings),
        (&secret, &pods),
    );
    let (mut held_up, mut held) = (None, Vec::new());
    let mut redis_is_kept = None;
    let applied = if wish.spec.paused {
        held = context.applier.held(&wish.id, &prepared, &context.caches).await;
        Applied::default()
    } else {
        if live.is_none() {
            let in_the_way = context.caches.pods.in_the_way(&wish.id, &wish.id.nodes());
            acts.extend(give_up_overdue(&in_the_way, context.pace, now.0));
        }
        let applied = context.applier.apply(&wish.id, &prepared, &context.caches).await;
        let name = wish.id.redis();
        let redis = owned(&context.caches.stateful_sets, &wish.id, &name);
        let lost = (context.pace.lost_after, now.0);
        let is_managed = wish.spec.redis.external.is_none();
        let reached = is_managed.then_some(&mesh);
        if known {
            // A former StatefulSet's pod on a lost host would keep its name from the next one for ever.
            let left = redis.is_none().then(|| context.caches.pods.in_the_way(&wish.id, &name));
            let left = left
                .into_iter()
                .flatten()
                .filter(|pod| !pods.iter().any(|it| it.uid() == pod.uid()));
            let of_redis: Vec<Arc<Pod>> = pods.iter().cloned().chain(left).collect();
            acts.extend(redis_acts(&of_redis, (&name, redis.as_deref()), reached, lost));
            redis_is_kept = redis_kept(&of_redis, &name, reached, lost);
        }
        held_up = context.actor.carry_out(&acts, &wish, &pods).await;
        Applied {
            waits: redis_leaving(&pods, &name, is_managed, applied.waits),
            ..applied
        }
    };
    let Applied {
        upgrade,
        refused,
        waits,
        scaled,
        lacking,
        unwatched,
        again_after,
        again,
    } = context
        .applier
        .announce(
            &wish,
            &pods,
            (&prepared, &context.caches),
            (applied, context.pace),
            &mut held,
        )
        .await;

    let (held_up, held_up_long) = held_up.map_or((None, None), |held_up| (held_up.under_way, held_up.degraded));
    let mut facts = Facts {
        operator: context.installation.clone(),
        paused: wish.spec.paused,
        degraded: [
            refused.as_ref().map(ApplyError::remark),
            redis_is_kept,
            held_up_long,
            trouble,
            scaled,
            lacking,
        ]
        .into_iter()
        .flatten()
        .collect(),
        effort: Effort {
            under_way: if wish.spec.paused {
                held_back(&wish, &context.caches, progress.is_some(), &held)
            } else {
                let behind = || context.applier.behind(&wish.id, live.as_deref(), &context.caches);
                held_up.or(waits).or(progress).or_else(behind)
            },
            refused: refused
                .as_ref()
                .map(ApplyError::refusal)
                .or(again.then(Refusal::changed)),
            standstill: Duration::ZERO,
        },
        upgrade,
        unprotected: unprotected(&wish.spec),
        ..facts(
            object,
            Desired::of(&wish.spec),
            (&pods, &context.caches.deployments_of(&wish.id)),
            &mesh,
            (context.pace, now.0),
        )
    };
    if let Some(obstacle) = obstacle {
        obstacle.add_to(&mut facts);
    }
    // That a pod which is to end is overdue is no event.
    let is_ending = pods.iter().any(|pod| pod.metadata.deletion_timestamp.is_some());
    let is_under_way = facts.effort.under_way.is_some() || is_ending;
    context.remember(key, |memory| {
        let waits = !leaving.is_empty() || wish.spec.paused;
        facts.note_standstill(&mut memory.standstill, waits, now.1);
    });
    if refused.is_none() && !known {
        return Ok(Action::requeue(context.pace.believed(true)));
    }
    let now = told_of(&facts, &before, known);
    context.status_writer.write(&wish.id, &before, &now).await?;
    match refused {
        Some(error) => Err(error.into()),
        None if again || unwatched => Ok(Action::requeue(SOON)),
        None => Ok(look_again(&now, (is_under_way, again_after), context.pace)),
    }
}

/// The API server takes so long that a reconcile was given up. What it has done stays; that the rest is late is told.
async fn too_slow(object: &DynamicObject, key: &Key, context: &Context) -> Error {
    let error = Error::Deadline {
        waiting_for: context.applier.given_up_on(key),
    };
    let before = written(object);
    let Ok(wish) = context.validator.validate(key, object).await else {
        return error;
    };
    // It may have been claimed by this very reconcile.
    if of_another(object, &before, &context.installation).is_some() {
        return error;
    }
    let pods = context.caches.pods.of(key);
    let telling = told(error, object, &wish, &pods, &before, context);
    match tokio::time::timeout(TELLING_DEADLINE, telling).await {
        Ok(Err(error)) => error,
        // The log tells.
        Ok(Ok(_)) | Err(_) => Error::Deadline { waiting_for: None },
    }
}

/// Sees to it that the mesh is looked after. Of one that has just begun, nothing is known.
fn look_after(wish: &Wish, secret: &Data, context: &Context) -> Result<(), TlsError> {
    if context.meshes.look_after(wish, secret, &context.caches.pods)? {
        context.remember(&Key::from(&wish.id), |memory| memory.known = false);
    }
    Ok(())
}

/// The status that facts make; as far as nodes have said nothing yet, the one of before.
fn told_of(facts: &Facts<'_>, before: &SfuClusterStatus, known: bool) -> SfuClusterStatus {
    let now = status(facts, before, Timestamp::now());
    if known { now } else { overlaid(now, before) }
}

/// A cluster whose labels do not match is not touched. That is told once, until they match.
fn leave_out(key: &Key, context: &Context) -> Action {
    context.meshes.leave(key);
    if !context.remember(key, |memory| std::mem::replace(&mut memory.left_out, true)) {
        tracing::info!(
            namespace = key.namespace, cluster = key.name, selector = %context.selector,
            "the labels of this SfuCluster do not match --selector: this operator leaves it alone"
        );
    }
    Action::await_change()
}

/// A cluster of another operator is not touched. That is told once: whatever may change it, a watch shows.
fn leave_to(other: &str, object: &DynamicObject, key: &Key, context: &Context) -> Action {
    context.meshes.leave(key);
    let told = context.remember(key, |memory| memory.left_to.replace(other.to_owned()));
    if told.as_deref() != Some(other) {
        let note = Note {
            tone: Tone::Warning,
            reason: "OtherOperator",
            action: "Reconciling",
            text: left_alone(object, other, &context.installation),
        };
        context.events.tell(&about(&ClusterId::of(&object.metadata)), note);
    }
    Action::await_change()
}

/// An error of a stage without which there is no going on is told as a refusal of a child is, and so is what it waits for.
async fn told(
    error: Error,
    object: &DynamicObject,
    wish: &Wish,
    pods: &[Arc<Pod>],
    before: &SfuClusterStatus,
    context: &Context,
) -> Result<Action, Error> {
    let effort = error.effort();
    if effort.refused.is_some() || effort.under_way.is_some() {
        let key = Key::from(&wish.id);
        let mesh = context.meshes.snapshot(&key);
        let mut facts = Facts {
            operator: context.installation.clone(),
            paused: wish.spec.paused,
            degraded: effort.refused.iter().map(|refusal| refusal.remark.clone()).collect(),
            effort,
            ..facts(
                object,
                Desired::of(&wish.spec),
                (pods, &context.caches.deployments_of(&wish.id)),
                &mesh,
                (context.pace, Timestamp::now()),
            )
        };
        context.remember(&key, |memory| {
            facts.note_standstill(&mut memory.standstill, wish.spec.paused, Instant::now());
        });
        let known = is_known(&key, &mesh, pods, before, context);
        let now = told_of(&facts, before, known);
        context.status_writer.write(&wish.id, before, &now).await?;
    }
    if error.is_passing() {
        Ok(Action::requeue(SOON))
    } else {
        Err(error)
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
    let live = context.caches.nodes_of(&id);
    let kept = live.as_ref().and_then(|live| last_good(object, live));
    let healed = match &kept {
        Some(wish) => heal(wish, live.as_deref(), before, context).await,
        None => Ok(()),
    };
    let key = Key::from(&id);
    let mesh = context.meshes.snapshot(&key);
    let known = is_known(&key, &mesh, pods, before, context);
    if healed.is_ok() && !known {
        return Ok(Action::requeue(context.pace.believed(true)));
    }
    let desired = kept.map_or_else(Desired::nothing, |wish| Desired::of(&wish.spec));
    let remark = Remark::invalid_spec(invalid);
    let facts = Facts {
        operator: context.installation.clone(),
        degraded: vec![remark.clone()],
        effort: Effort {
            refused: Some(Refusal { remark, is_final: true }),
            ..Effort::default()
        },
        ..facts(
            object,
            desired,
            (pods, &context.caches.deployments_of(&id)),
            &mesh,
            (context.pace, Timestamp::now()),
        )
    };
    let now = told_of(&facts, before, known);
    context.status_writer.write(&id, before, &now).await?;
    healed.map(|()| Action::requeue(context.pace.believed(false)))
}

/// Keeps the mesh of what runs in order.
async fn heal(
    wish: &Wish,
    live: Option<&StatefulSet>,
    before: &SfuClusterStatus,
    context: &Context,
) -> Result<(), Error> {
    let secret = context.dereferencer.admin_secret(wish, live, is_busy(before)).await?;
    look_after(wish, &secret, context)?;
    Ok(())
}

/// Whether enough is known to judge a cluster. A new leader has asked none of its nodes yet: what was told last stands until it
/// has. Their answers, or that there is none, lead to another look.
fn is_known(key: &Key, mesh: &MeshSnapshot, pods: &[Arc<Pod>], before: &SfuClusterStatus, context: &Context) -> bool {
    let ready = pods.iter().filter(|pod| is_node(pod) && is_ready(pod)).count();
    let all_asked = mesh.is_known() && mesh.members.len() >= ready;
    context.remember(key, |memory| {
        memory.known |= all_asked;
        memory.known || before.conditions.is_empty()
    })
}

/// Watches tell of every change. A further look is for what no watch can tell, which is what Secrets hold, and for what is under
/// way: that a pod is overdue is no change.
fn look_again(now: &SfuClusterStatus, (is_under_way, after): (bool, Option<Duration>), pace: Pace) -> Action {
    let believed = pace.believed(is_under_way || is_busy(now));
    let pause = after.map_or(believed, |after| after.min(believed));
    // Counts that were held back are written when they may be.
    let counts = now.streams > 0 || now.nodes.iter().any(|node| node.viewers > 0);
    Action::requeue(if counts { pause.min(COUNTS_EVERY) } else { pause })
}
