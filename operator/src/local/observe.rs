//! From processes and mesh to what [`crate::cluster`] decides upon and tells. Pure.

use super::keeper::{Phase, State};
use crate::cluster::remark::Remark;
use crate::cluster::rollout::{Leaving, Observation, ObservedNode, ObservedReport};
use crate::cluster::status::NodeFacts;
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
            leaving_for: leaving.get(self.id).map(|since| now.saturating_duration_since(*since)),
            // Of pods only: a process cannot be lost with its machine, and nobody annotates it.
            heard: false,
            overdue: None,
            drain_wanted: None,
        }
    }

    /// What the status says of it.
    pub fn facts(&self) -> NodeFacts {
        NodeFacts {
            name: self.name.to_owned(),
            host: String::new(),
            ready: self.is_ready(),
            trouble: trouble(self.name, &self.state),
        }
    }
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
pub fn trouble(name: &str, state: &State) -> Option<Remark> {
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
