//! From processes and mesh to what [`crate::cluster`] decides upon and tells. Pure.

use super::keeper::{Phase, State};
use crate::cluster::remark::{Remark, SLOW};
use crate::cluster::rollout::{Leaving, Observation, ObservedNode, ObservedReport};
use crate::cluster::status::{FrontDoorFacts, NodeFacts};
use sfumato_admin_api::types::NodeReport;
use sfumato_mesh::MeshSnapshot;
use std::time::{Duration, Instant};

/// How long a node may take to end beyond the deadline of its drain.
pub const END_SLACK: Duration = Duration::from_secs(5);
/// A process that waits this long for its next start has died several times in a row.
const CRASHING: Duration = Duration::from_secs(1);

/// A node that exists.
#[derive(Debug)]
pub struct SeenProcess<'a> {
    pub name: &'a str,
    pub ordinal: u16,
    /// Tells this process slot from an earlier one of the same name.
    pub id: &'a str,
    pub state: State,
    /// Whether it has been told to end.
    pub ending: bool,
    /// Whether it runs as is wanted now: same program, same arguments.
    pub current: bool,
    pub mesh: &'a MeshSnapshot,
}

impl SeenProcess<'_> {
    /// What the life of it that runs now said last.
    pub fn report(&self) -> Option<&NodeReport> {
        let mut members = self.mesh.members.iter();
        let report = members.find(|member| member.name.as_str() == self.name)?.current()?;
        let pid = self.state.pid?;
        (i32::try_from(report.pid) == Ok(pid)).then_some(report)
    }

    pub fn is_draining(&self) -> bool {
        self.report().is_some_and(|report| report.draining)
    }

    fn is_ready(&self) -> bool {
        self.state.phase == Phase::Ready && !self.ending && !self.is_draining()
    }

    fn observed(&self, leaving: &Leaving, now: Instant) -> ObservedNode {
        ObservedNode {
            name: self.name.to_owned(),
            ordinal: i32::from(self.ordinal),
            id: self.id.to_owned(),
            current: Some(self.current),
            ready: self.is_ready(),
            ending: self.ending,
            report: self.report().map(|report| ObservedReport {
                reasons: report.drain.reasons.clone(),
                sessions: report.publishers.saturating_add(report.viewers),
            }),
            held_up: false,
            leaving_for: leaving.get(self.id).map(|since| now.saturating_duration_since(*since)),
            // Of pods only: a process cannot be lost with its machine, and nobody annotates it.
            heard: false,
            overdue: None,
            drain_wanted: None,
        }
    }

    /// What the status says of it.
    pub fn facts(&self, now: Instant) -> NodeFacts {
        NodeFacts {
            name: self.name.to_owned(),
            host: String::new(),
            ready: self.is_ready(),
            trouble: trouble(self.name, &self.state, now),
        }
    }
}

/// The front door, if there is one.
#[derive(Debug)]
pub struct SeenDoor<'a> {
    pub name: &'a str,
    pub state: State,
    /// Whether it runs as is wanted now.
    pub current: bool,
}

impl SeenDoor<'_> {
    /// What the status says of it.
    pub fn facts(seen: Option<&Self>, now: Instant) -> FrontDoorFacts {
        FrontDoorFacts {
            desired: 1,
            ready: i32::from(seen.is_some_and(|door| door.state.phase == Phase::Ready)),
            trouble: seen.and_then(|door| trouble(door.name, &door.state, now)),
        }
    }
}

/// Whether what runs is what is wanted: `wanted` nodes, counted from 0, and the front door, each as it should be.
pub fn is_as_wanted(wanted: u16, nodes: &[SeenProcess<'_>], door: Option<&SeenDoor<'_>>) -> bool {
    let is_node = |node: &SeenProcess<'_>| node.ordinal < wanted && node.current && !node.ending;
    let is_door = |door: &SeenDoor<'_>| door.current && !matches!(door.state.phase, Phase::Stopping | Phase::Gone);
    nodes.len() == usize::from(wanted) && nodes.iter().all(is_node) && door.is_some_and(is_door)
}

/// What is seen of the nodes. `deadline`: how long publishers may stay.
pub fn observe(
    desired: u16,
    deadline: Duration,
    seen: &[SeenProcess<'_>],
    leaving: &Leaving,
    now: Instant,
) -> Observation {
    let linked = |process: &SeenProcess<'_>| process.mesh.is_whole() && process.report().is_some();
    Observation {
        desired: i32::from(desired),
        live: seen.iter().map(|process| i32::from(process.ordinal) + 1).max(),
        deadline,
        patience: END_SLACK,
        lost_after: Duration::MAX,
        mesh_whole: seen.iter().all(linked),
        nodes: seen.iter().map(|process| process.observed(leaving, now)).collect(),
    }
}

/// Why a process does not get anywhere, in the words that a pod's trouble has.
pub fn trouble(name: &str, state: &State, now: Instant) -> Option<Remark> {
    crashing(name, state).or_else(|| unready(name, state, now))
}

fn crashing(name: &str, state: &State) -> Option<Remark> {
    if state.phase == Phase::Ready || state.pause < CRASHING {
        return None;
    }
    let words = state.trouble.as_deref().unwrap_or_default();
    Some(if state.was_started {
        let message = format!("{name} ends again and again: {words}; its log in the folder of the logs shows why");
        Remark::new("Crashing", message)
    } else {
        Remark::new("NotStarted", format!("{name} does not start: {words}"))
    })
}

/// One that runs, and has not become ready for longer than it may take.
fn unready(name: &str, state: &State, now: Instant) -> Option<Remark> {
    let runs = state.phase == Phase::Starting && state.pid.is_some();
    let lasts = now.saturating_duration_since(state.since);
    (runs && lasts >= SLOW.unsigned_abs())
        .then(|| Remark::not_ready(name, "its log in the folder of the logs shows why"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_runs_for_minutes_and_is_not_ready_is_told_as_a_pod_is() {
        let start = Instant::now();
        let told = |phase, pid, seconds| {
            let state = State {
                phase,
                since: start,
                pid,
                restarts: 0,
                trouble: None,
                was_started: false,
                pause: Duration::ZERO,
            };
            trouble("sfu-2", &state, start + Duration::from_secs(seconds))
        };
        assert_eq!(told(Phase::Starting, Some(7), 179), None);
        let message =
            "sfu-2 runs, and has not been ready for more than 3 minutes: its log in the folder of the logs shows why";
        assert_eq!(
            told(Phase::Starting, Some(7), 180),
            Some(Remark::new("NotReady", message))
        );
        assert_eq!(told(Phase::Ready, Some(7), 9_999), None);
        assert_eq!(told(Phase::Starting, None, 9_999), None, "it does not run");
    }
}
