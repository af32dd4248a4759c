//! Decides which nodes to start, to drain and to end: a pure function of what is wanted and what is there.

use super::keeper::Phase;
use sfumato_admin_api::types::DrainReason;
use std::collections::{BTreeMap, BTreeSet};

/// What is there under one ordinal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeNow {
    pub phase: Phase,
    /// Whether it runs as is wanted now: same program, same arguments.
    pub current: bool,
    /// Why it is drained, as it says itself.
    pub reasons: Vec<DrainReason>,
    /// Whether there is nothing to wait for any more: it is drained and has no session, or its time is over.
    pub done: bool,
}

impl NodeNow {
    fn is_drained_for(&self, reason: DrainReason) -> bool {
        self.reasons.contains(&reason)
    }
}

/// What to do with one node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeStep {
    Start(u16),
    /// Have it emptied for this reason, which it does not know of yet.
    Drain(u16, DrainReason),
    /// Lift this reason: it does not hold any more.
    Lift(u16, DrainReason),
    /// End it; what is wanted comes back with a later `Start`.
    End(u16),
}

impl NodeStep {
    /// Whether it takes this node away, at once or by draining it first.
    #[must_use]
    pub fn leaves(self, ordinal: u16) -> bool {
        match self {
            Self::Drain(which, _) | Self::End(which) => which == ordinal,
            Self::Start(_) | Self::Lift(..) => false,
        }
    }
}

/// The steps that are due now.
///
/// Missing nodes are started at once. Surplus ones are drained together, highest ordinals first, and each ends when it is
/// done; one that is wanted again before that stays. Nodes whose arguments have changed are replaced one at a time, and
/// the next only when all are ready and the mesh is whole again, so that the rest carries on. Nodes that are not ready
/// have nothing to lose and go at once.
#[must_use]
pub fn next_steps(wanted: &BTreeSet<u16>, there: &BTreeMap<u16, NodeNow>, mesh_is_whole: bool) -> Vec<NodeStep> {
    let mut steps: Vec<NodeStep> = wanted
        .iter()
        .filter(|ordinal| !there.contains_key(ordinal))
        .map(|o| NodeStep::Start(*o))
        .collect();
    let mut calm = steps.is_empty();
    let alive = || there.iter().rev().filter(|(_, seen)| seen.phase != Phase::Stopping);
    for (&ordinal, seen) in alive() {
        if !wanted.contains(&ordinal) {
            calm = false;
            steps.extend(leave(ordinal, seen, DrainReason::ScaleDown));
            continue;
        }
        if seen.is_drained_for(DrainReason::ScaleDown) {
            steps.push(NodeStep::Lift(ordinal, DrainReason::ScaleDown));
        }
        if seen.current && seen.is_drained_for(DrainReason::Roll) {
            steps.push(NodeStep::Lift(ordinal, DrainReason::Roll));
        }
    }
    if !calm {
        return steps;
    }
    let outdated = || alive().filter(|(_, seen)| !seen.current);
    steps.extend(
        outdated()
            .filter(|(_, seen)| seen.phase != Phase::Ready)
            .map(|(o, _)| NodeStep::End(*o)),
    );
    let begun = outdated().find(|(_, seen)| seen.phase == Phase::Ready && seen.is_drained_for(DrainReason::Roll));
    let quiet = mesh_is_whole && there.values().all(|seen| seen.phase == Phase::Ready);
    if let Some((ordinal, seen)) = begun.or_else(|| outdated().next().filter(|_| quiet)) {
        steps.extend(leave(*ordinal, seen, DrainReason::Roll));
    }
    steps
}

/// The next step of a node that should go.
fn leave(ordinal: u16, seen: &NodeNow, reason: DrainReason) -> Option<NodeStep> {
    if seen.phase != Phase::Ready || seen.done {
        Some(NodeStep::End(ordinal))
    } else if seen.is_drained_for(reason) {
        None
    } else {
        Some(NodeStep::Drain(ordinal, reason))
    }
}

#[cfg(test)]
#[path = "next_steps_tests.rs"]
mod tests;
