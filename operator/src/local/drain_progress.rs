//! Tells how the draining of nodes comes along. Pure.

use super::messages::seconds;
use sfumato_admin_api::types::{DrainReason, NodeName, NodeReport};
use sfumato_mesh::MeshSnapshot;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// A node whose numbers change all the time is told of this often.
const TOLD_EVERY: Duration = Duration::from_secs(2);

/// What was told of each node that is drained.
#[derive(Debug, Default)]
pub struct DrainProgress {
    told: BTreeMap<NodeName, Told>,
}

#[derive(Debug)]
struct Told {
    since: Instant,
    at: Instant,
    publishers: u32,
    viewers: u32,
}

impl DrainProgress {
    /// The lines that have become due.
    pub fn lines(&mut self, mesh: &MeshSnapshot, now: Instant) -> Vec<String> {
        // A node that is gone has been told of by its end.
        self.told
            .retain(|name, _| mesh.members.iter().any(|member| member.name == *name));
        let reports = mesh.members.iter().filter_map(|member| member.current());
        reports.filter_map(|report| self.line(report, now)).collect()
    }

    fn line(&mut self, report: &NodeReport, now: Instant) -> Option<String> {
        let name = &report.node.name;
        let (publishers, viewers) = (report.publishers, report.viewers);
        // A node that was told to end says so with every line that its process writes.
        let ours = |reason: &&DrainReason| **reason != DrainReason::Sigterm;
        let reasons: Vec<&str> = report.drain.reasons.iter().filter(ours).map(|r| r.as_str()).collect();
        if reasons.is_empty() {
            let was_told = self.told.remove(name).is_some() && !report.draining;
            return was_told.then(|| format!("{name} takes sessions again"));
        }
        let left = Duration::from_millis(report.drain.remaining_ms.unwrap_or_default());
        let rest = match (publishers, viewers) {
            (0, 0) => "nobody is on it".to_owned(),
            (publishers, viewers) => format!(
                "{} and {} left, for at most {}",
                count(publishers, "publisher"),
                count(viewers, "viewer"),
                seconds(left)
            ),
        };
        let Some(told) = self.told.get_mut(name) else {
            let told = Told {
                since: now,
                at: now,
                publishers,
                viewers,
            };
            self.told.insert(name.clone(), told);
            return Some(format!("{name} is drained ({}): {rest}", reasons.join(", ")));
        };
        let changed = (told.publishers, told.viewers) != (publishers, viewers);
        let turned = (told.viewers > 0) != (viewers > 0) || (publishers, viewers) == (0, 0);
        if !changed || (!turned && now.saturating_duration_since(told.at) < TOLD_EVERY) {
            return None;
        }
        (told.at, told.publishers, told.viewers) = (now, publishers, viewers);
        Some(if (publishers, viewers) == (0, 0) {
            format!(
                "{name} is drained: nobody is left (after {})",
                seconds(now.saturating_duration_since(told.since))
            )
        } else {
            format!("{name}: {rest}")
        })
    }
}

fn count(number: u32, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {what}{plural}")
}

#[cfg(test)]
#[path = "drain_progress_tests.rs"]
mod tests;
