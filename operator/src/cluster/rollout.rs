//! How a living node leaves: it is drained first. Decides from what is seen now, and remembers nothing: an operator that
//! dies in the middle of a roll is followed by one that goes on where it was.
//!
//! Rolls take one node at a time: drain it, replace it, wait until the new one is ready and all pairs are linked. On
//! Kubernetes the pod is evicted, so the disruption budget arbitrates with `kubectl drain`. Scale-downs drain all surplus
//! nodes at once. The nodes themselves end their publishers at the deadline.

use super::remark::Remark;
use sfumato_admin_api::types::DrainReason;
use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

/// Since when nodes have been on their way out, by [`ObservedNode::id`].
pub type Leaving = BTreeMap<String, Instant>;

/// What is seen of a cluster.
#[derive(Debug, Clone, Default)]
pub struct Observation {
    pub desired: i32,
    /// Nodes that the platform keeps at present; `None` when there is nothing yet.
    pub live: Option<i32>,
    /// How long publishers may stay.
    pub deadline: Duration,
    /// What a node gets beyond its deadline before it is taken away although it says nothing or is not drained.
    pub patience: Duration,
    /// How long after the end of its grace a pod that is being deleted is taken for lost with its Kubernetes node.
    pub lost_after: Duration,
    /// Whether every pair of nodes is linked.
    pub mesh_whole: bool,
    /// By number.
    pub nodes: Vec<ObservedNode>,
}

/// A pod or a process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ObservedNode {
    pub name: String,
    pub ordinal: i32,
    /// Tells it from its predecessor of the same name: the pod's UID.
    pub id: String,
    /// Whether it runs as is wanted now: same template, same arguments. `None` while the platform has not said.
    pub current: Option<bool>,
    /// Whether it takes sessions.
    pub ready: bool,
    /// Whether it has been told to end.
    pub ending: bool,
    /// How long ago the grace of its deletion ended, if it is being deleted and that has ended.
    pub overdue: Option<Duration>,
    /// Whether a person wants it drained, as an annotation says.
    pub drain_wanted: Option<bool>,
    /// What it says; `None` when it does not answer.
    pub report: Option<ObservedReport>,
    /// Whether another node hears it.
    pub heard: bool,
    /// Whether its replacement has been refused for so long that it takes sessions meanwhile.
    pub held_up: bool,
    /// How long it has been on its way out, as far as this process has seen; `None` when it has not been.
    pub leaving_for: Option<Duration>,
}

/// What a node says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ObservedReport {
    /// Why it is drained.
    pub reasons: Vec<DrainReason>,
    pub sessions: u32,
}

/// Something to do about one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// Have it drained for one more reason.
    Drain(String, DrainReason),
    /// Lift a reason.
    Undrain(String, DrainReason),
    /// Have it replaced by one that runs as is wanted. The id keeps it from hitting its successor.
    Replace { node: String, id: String },
    /// Find out whether it may be replaced now, and leave it as it is.
    AskToReplace { node: String, id: String },
    /// Remove what is left of a lost Kubernetes node: its kubelet will never say that the pod is gone.
    ForceDelete { node: String, id: String },
    /// Have a StatefulSet made anew with its volume, which is where no pod of it can run.
    MakeAnew { set: String, id: String },
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Drain(node, reason) => write!(f, "drain {node} ({})", reason.as_str()),
            Self::Undrain(node, reason) => write!(f, "lift the drain of {node} ({})", reason.as_str()),
            Self::Replace { node, .. } => write!(f, "replace {node}"),
            Self::AskToReplace { node, .. } => write!(f, "ask whether {node} may be replaced"),
            Self::ForceDelete { node, .. } => write!(f, "remove the lost {node}"),
            Self::MakeAnew { set, .. } => write!(f, "make {set} anew with another volume"),
        }
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Decision {
    /// Number of nodes to keep for now, for a platform that gives up its highest numbers first.
    pub replicas: i32,
    /// Surplus nodes that may end now, for a platform that can end any of them.
    pub surplus: Vec<String>,
    /// What to do, in any order.
    pub acts: Vec<Act>,
    pub progress: Option<Remark>,
    /// Nodes on their way out.
    pub leaving: Vec<String>,
}

impl Decision {
    /// What may be done while nodes have not been asked yet: nothing that rests upon what they say. `live` is how many there are.
    #[must_use]
    pub fn unasked(self, live: Option<i32>) -> Self {
        Self {
            replicas: live.map_or(self.replicas, |live| live.max(self.replicas)),
            progress: self.progress,
            ..Self::default()
        }
    }
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
    for node in &observed.nodes {
        lift(node, observed, &decided.leaving, &mut decided.acts);
        by_hand(node, &mut decided.acts);
        if is_lost(node, observed.lost_after) {
            decided.acts.push(Act::ForceDelete {
                node: node.name.clone(),
                id: node.id.clone(),
            });
        }
    }
    decided
}

/// Keeps count of the time that nodes have been on their way out.
pub fn count_leaving(leaving: &mut Leaving, observation: &Observation, names: &[String], now: Instant) {
    let on_their_way = |id: &String| {
        observation
            .nodes
            .iter()
            .any(|node| node.id == *id && names.contains(&node.name))
    };
    leaving.retain(|id, _| on_their_way(id));
    for node in observation.nodes.iter().filter(|node| names.contains(&node.name)) {
        leaving.entry(node.id.clone()).or_insert(now);
    }
}

fn scale_down(observed: &Observation, decided: &mut Decision) {
    let Some(live) = observed.live.filter(|live| *live > observed.desired) else {
        return;
    };
    let surplus = || observed.nodes.iter().filter(|node| node.ordinal >= observed.desired);
    for node in surplus() {
        decided.leaving.push(node.name.clone());
        ask(node, DrainReason::ScaleDown, &mut decided.acts);
    }
    let done = |node: &ObservedNode| may_go(node, DrainReason::ScaleDown, observed);
    // A StatefulSet gives up its highest numbers first: it can shrink as far as those are done.
    let is_done = |ordinal: &i32| surplus().find(|node| node.ordinal == *ordinal).is_none_or(done);
    let shrink = (observed.desired..live).rev().take_while(is_done).count();
    decided.replicas = live - i32::try_from(shrink).unwrap_or(0);
    let ends = surplus().filter(|node| done(node) && !node.ending);
    decided.surplus = ends.map(|node| node.name.clone()).collect();
    let names: Vec<&str> = surplus()
        .filter(|node| node.ordinal < decided.replicas)
        .map(|node| node.name.as_str())
        .collect();
    if !names.is_empty() {
        decided.progress = Some(Remark::new(
            "ScalingDown",
            format!("draining {} before the scale-down", names.join(", ")),
        ));
    }
}

fn roll(observed: &Observation, decided: &mut Decision) {
    let outdated: Vec<&ObservedNode> = observed
        .nodes
        .iter()
        .filter(|node| !node.ending && node.current == Some(false))
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
    let is_broken = |node: &&&ObservedNode| !node.ready && node.report.is_none();
    let broken: Vec<&&ObservedNode> = outdated.iter().filter(is_broken).collect();
    for node in &broken {
        decided.leaving.push(node.name.clone());
        decided.acts.push(replace(node));
    }
    if let Some(first) = broken.first() {
        decided.progress = Some(Remark::new(
            "Rolling",
            format!("replacing {}, which does not run; {left}", first.name),
        ));
        return;
    }
    // One that falls silent while it leaves is still the one whose turn it is.
    let is_begun = |node: &&&ObservedNode| {
        has(node, DrainReason::Roll) || node.held_up || (node.report.is_none() && node.leaving_for.is_some())
    };
    let begun = outdated.iter().find(is_begun);
    let others_well = |victim: &ObservedNode| {
        let others = observed.nodes.iter().filter(|node| node.name != victim.name);
        observed.mesh_whole
            && observed.nodes.len() == usize::try_from(observed.desired).unwrap_or(0)
            && others.into_iter().all(|node| node.ready)
    };
    let victim = begun.or_else(|| outdated.iter().rev().find(|node| others_well(node)));
    let Some(victim) = victim else {
        decided.progress = Some(Remark::new(
            "Rolling",
            format!("waiting until all nodes are ready and linked; {left}"),
        ));
        return;
    };
    if victim.held_up {
        // Not on its way out: nobody has to leave it for as long as it may not go.
        if has(victim, DrainReason::Roll) {
            decided.acts.push(Act::Undrain(victim.name.clone(), DrainReason::Roll));
        }
        decided.acts.push(Act::AskToReplace {
            node: victim.name.clone(),
            id: victim.id.clone(),
        });
        let name = &victim.name;
        let message = format!("waiting until {name} may be replaced, which takes sessions meanwhile; {left}");
        decided.progress = Some(Remark::new("Rolling", message));
        return;
    }
    decided.leaving.push(victim.name.clone());
    if may_go(victim, DrainReason::Roll, observed) {
        decided.acts.push(replace(victim));
        decided.progress = Some(Remark::new("Rolling", format!("replacing {}; {left}", victim.name)));
    } else {
        ask(victim, DrainReason::Roll, &mut decided.acts);
        decided.progress = Some(Remark::new("Rolling", format!("draining {}; {left}", victim.name)));
    }
}

/// Whether a node that was asked to drain is done: it is empty, or does not run, or has had its time.
fn may_go(node: &ObservedNode, reason: DrainReason, observed: &Observation) -> bool {
    let time = observed.deadline.saturating_add(observed.patience);
    let out_of_time = node.leaving_for.is_some_and(|leaving| leaving >= time);
    match &node.report {
        Some(report) => (report.reasons.contains(&reason) && report.sessions == 0) || out_of_time,
        None => node.ending || !node.ready || out_of_time,
    }
}

fn has(node: &ObservedNode, reason: DrainReason) -> bool {
    node.report
        .as_ref()
        .is_some_and(|report| report.reasons.contains(&reason))
}

/// One that has been told to end drains by itself.
fn ask(node: &ObservedNode, reason: DrainReason, acts: &mut Vec<Act>) {
    if node.report.is_some() && !node.ending && !has(node, reason) {
        acts.push(Act::Drain(node.name.clone(), reason));
    }
}

fn replace(node: &ObservedNode) -> Act {
    Act::Replace {
        node: node.name.clone(),
        id: node.id.clone(),
    }
}

/// A node that was on its way out and is wanted again stays. Only reasons of ours are lifted, and that of a roll only where
/// the node is known to run as is wanted: a roll that pauses, for a scale-down or for a StatefulSet that has not said its
/// revision yet, goes on afterwards, and must not let sessions in between.
fn lift(node: &ObservedNode, observed: &Observation, leaving: &[String], acts: &mut Vec<Act>) {
    if leaving.contains(&node.name) || node.ending || node.ordinal >= observed.desired {
        return;
    }
    let is_over = |reason: DrainReason| match reason {
        DrainReason::ScaleDown => true,
        DrainReason::Roll => node.current == Some(true),
        _ => false,
    };
    for reason in [DrainReason::ScaleDown, DrainReason::Roll] {
        if has(node, reason) && is_over(reason) {
            acts.push(Act::Undrain(node.name.clone(), reason));
        }
    }
}

/// The annotation holds across restarts of the container, which forgets.
fn by_hand(node: &ObservedNode, acts: &mut Vec<Act>) {
    match node.drain_wanted {
        Some(true) => ask(node, DrainReason::Manual, acts),
        Some(false) if has(node, DrainReason::Manual) => {
            acts.push(Act::Undrain(node.name.clone(), DrainReason::Manual));
        }
        _ => {}
    }
}

/// Nobody has heard of it for long enough after its time. Removing its object is safe even if it still runs: it holds no
/// volume, and its successor is another incarnation.
fn is_lost(node: &ObservedNode, lost_after: Duration) -> bool {
    node.overdue.is_some_and(|overdue| overdue >= lost_after) && node.report.is_none() && !node.heard
}

#[cfg(test)]
#[path = "rollout_tests.rs"]
mod tests;
