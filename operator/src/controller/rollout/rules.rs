//! How a living node leaves: it is emptied first. Decides from what is seen now, and remembers nothing: an operator that
//! dies in the middle of a roll is followed by one that goes on where it was.
//!
//! Rolls take one node at a time: empty it, evict its pod (the disruption budget arbitrates with `kubectl drain`), wait
//! until the new one is ready and all pairs are linked. Scale-downs empty all surplus nodes at once, and the StatefulSet
//! shrinks from the highest number as they become empty. The nodes themselves end their publishers at the deadline.

use crate::controller::remark::Remark;
use sfumato_admin_api::types::DrainReason;
use std::time::Duration;

/// What a node gets beyond its deadline before its pod is taken away although it says nothing or is not empty.
pub const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Debug, Clone, Default)]
pub struct Observation {
    pub desired: i32,
    /// Nodes that the StatefulSet is told to have at present; `None` when there is none yet.
    pub live: Option<i32>,
    /// The template's revision that new pods get; `None` while the StatefulSet controller has not said.
    pub update_revision: Option<String>,
    /// How long publishers may stay.
    pub deadline: Duration,
    /// How long after the end of its grace a pod that is being deleted is taken for lost with its host.
    pub lost_after: Duration,
    /// Whether every pair of nodes is linked.
    pub mesh_whole: bool,
    pub pods: Vec<ObservedPod>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ObservedPod {
    pub name: String,
    pub ordinal: i32,
    pub uid: String,
    /// Revision of the template that it was made from.
    pub revision: Option<String>,
    pub ready: bool,
    /// How long ago the grace of its deletion ended, if it is being deleted and that has ended.
    pub overdue: Option<Duration>,
    pub deleting: bool,
    /// What its annotation `sfumato.dev/drain` says.
    pub drain_wanted: Option<bool>,
    /// What its node says; `None` when it does not answer.
    pub node: Option<ObservedNode>,
    /// Whether another node hears it.
    pub heard: bool,
    /// How long it has been on its way out, as far as this process has seen.
    pub leaving_for: Duration,
}

/// What a node says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ObservedNode {
    /// Why it is being emptied.
    pub reasons: Vec<DrainReason>,
    pub sessions: u32,
}

/// Something to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// Have a node emptied for one more reason.
    Drain(String, DrainReason),
    /// Lift a reason.
    Undrain(String, DrainReason),
    /// Have a pod replaced. The UID keeps it from hitting its successor.
    Evict { pod: String, uid: String },
    /// Remove the pod of a lost host: its kubelet will never say that it is gone.
    ForceDelete { pod: String, uid: String },
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Decision {
    /// Number of nodes that the StatefulSet is to have for now.
    pub replicas: i32,
    /// What to do, in any order.
    pub acts: Vec<Act>,
    pub progress: Option<Remark>,
    /// Pods on their way out.
    pub leaving: Vec<String>,
}

#[must_use]
pub fn decide(observed: &Observation) -> Decision {
    let mut decided = Decision {
        replicas: observed.desired,
        ..Decision::default()
    };
    scale_down(observed, &mut decided);
    if decided.leaving.is_empty() {
        roll(observed, &mut decided);
    }
    for pod in &observed.pods {
        lift(pod, observed, &decided.leaving, &mut decided.acts);
        by_hand(pod, &mut decided.acts);
        if is_lost(pod, observed.lost_after) {
            decided.acts.push(Act::ForceDelete {
                pod: pod.name.clone(),
                uid: pod.uid.clone(),
            });
        }
    }
    decided
}

fn scale_down(observed: &Observation, decided: &mut Decision) {
    let Some(live) = observed.live.filter(|live| *live > observed.desired) else {
        return;
    };
    let surplus: Vec<&ObservedPod> = observed
        .pods
        .iter()
        .filter(|pod| pod.ordinal >= observed.desired)
        .collect();
    for pod in &surplus {
        decided.leaving.push(pod.name.clone());
        ask(pod, DrainReason::ScaleDown, &mut decided.acts);
    }
    // A StatefulSet gives up its highest numbers first: it can shrink as far as those are done.
    let done = |ordinal: &i32| {
        let pod = surplus.iter().find(|pod| pod.ordinal == *ordinal);
        pod.is_none_or(|pod| may_go(pod, DrainReason::ScaleDown, observed.deadline))
    };
    let shrink = (observed.desired..live).rev().take_while(done).count();
    decided.replicas = live - i32::try_from(shrink).unwrap_or(0);
    if decided.replicas > observed.desired {
        let names: Vec<&str> = surplus
            .iter()
            .filter(|p| p.ordinal < decided.replicas)
            .map(|p| p.name.as_str())
            .collect();
        decided.progress = Some(Remark::new(
            "ScalingDown",
            format!("draining {} before the scale-down", names.join(", ")),
        ));
    }
}

fn roll(observed: &Observation, decided: &mut Decision) {
    let Some(revision) = &observed.update_revision else {
        return;
    };
    let outdated: Vec<&ObservedPod> = observed
        .pods
        .iter()
        .filter(|pod| !pod.deleting && pod.revision.is_some() && pod.revision.as_ref() != Some(revision))
        .collect();
    if outdated.is_empty() {
        return;
    }
    let left = format!(
        "{} of {} nodes have an older template",
        outdated.len(),
        observed.desired
    );
    // Those that serve nobody cost nothing, and one of them may be why the rest is not well.
    let broken: Vec<&&ObservedPod> = outdated.iter().filter(|pod| !pod.ready && pod.node.is_none()).collect();
    for pod in &broken {
        decided.leaving.push(pod.name.clone());
        decided.acts.push(evict(pod));
    }
    if let Some(first) = broken.first() {
        decided.progress = Some(Remark::new(
            "Rolling",
            format!("replacing {}, which does not run; {left}", first.name),
        ));
        return;
    }
    let begun = outdated.iter().find(|pod| has(pod, DrainReason::Roll));
    let others_well = |victim: &ObservedPod| {
        let others = observed.pods.iter().filter(|pod| pod.name != victim.name);
        observed.mesh_whole
            && observed.pods.len() == usize::try_from(observed.desired).unwrap_or(0)
            && others.into_iter().all(|p| p.ready)
    };
    let victim = begun.or_else(|| outdated.iter().rev().find(|pod| others_well(pod)));
    let Some(victim) = victim else {
        decided.progress = Some(Remark::new(
            "Rolling",
            format!("waiting until all nodes are ready and linked; {left}"),
        ));
        return;
    };
    decided.leaving.push(victim.name.clone());
    if may_go(victim, DrainReason::Roll, observed.deadline) {
        decided.acts.push(evict(victim));
        decided.progress = Some(Remark::new("Rolling", format!("replacing {}; {left}", victim.name)));
    } else {
        ask(victim, DrainReason::Roll, &mut decided.acts);
        decided.progress = Some(Remark::new("Rolling", format!("draining {}; {left}", victim.name)));
    }
}

/// Whether a node that was asked to empty itself is done: it is empty, or does not run, or has had its time.
fn may_go(pod: &ObservedPod, reason: DrainReason, deadline: Duration) -> bool {
    let out_of_time = pod.leaving_for >= deadline.saturating_add(PATIENCE);
    match &pod.node {
        Some(node) => (node.reasons.contains(&reason) && node.sessions == 0) || out_of_time,
        None => pod.deleting || !pod.ready || out_of_time,
    }
}

fn has(pod: &ObservedPod, reason: DrainReason) -> bool {
    pod.node.as_ref().is_some_and(|node| node.reasons.contains(&reason))
}

fn ask(pod: &ObservedPod, reason: DrainReason, acts: &mut Vec<Act>) {
    if pod.node.is_some() && !has(pod, reason) {
        acts.push(Act::Drain(pod.name.clone(), reason));
    }
}

fn evict(pod: &ObservedPod) -> Act {
    Act::Evict {
        pod: pod.name.clone(),
        uid: pod.uid.clone(),
    }
}

/// A node that was on its way out and is wanted again stays. Only reasons of ours are lifted.
fn lift(pod: &ObservedPod, observed: &Observation, leaving: &[String], acts: &mut Vec<Act>) {
    if leaving.contains(&pod.name) || pod.deleting {
        return;
    }
    for reason in [DrainReason::ScaleDown, DrainReason::Roll] {
        if has(pod, reason) && pod.ordinal < observed.desired {
            acts.push(Act::Undrain(pod.name.clone(), reason));
        }
    }
}

/// The annotation holds across restarts of the container, which forgets.
fn by_hand(pod: &ObservedPod, acts: &mut Vec<Act>) {
    match pod.drain_wanted {
        Some(true) => ask(pod, DrainReason::Manual, acts),
        Some(false) if has(pod, DrainReason::Manual) => {
            acts.push(Act::Undrain(pod.name.clone(), DrainReason::Manual));
        }
        _ => {}
    }
}

/// Nobody has heard of it for long enough after its time. Removing its object is safe even if it still runs: it holds no
/// volume, and its successor is another incarnation.
fn is_lost(pod: &ObservedPod, lost_after: Duration) -> bool {
    pod.overdue.is_some_and(|overdue| overdue >= lost_after) && pod.node.is_none() && !pod.heard
}

#[cfg(test)]
#[path = "rules_tests.rs"]
mod tests;
