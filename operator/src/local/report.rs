//! The state of the cluster as data: the status that Kubernetes will show, and the file of `--status-json`.

use super::processes::ProcessView;
use crate::crd::SfuCluster;
use crate::crd::status::{MeshStatus, SfuClusterStatus};
use crate::platform::NodeState;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};
use sfumato_mesh::MeshSnapshot;
use std::io;
use std::path::{Path, PathBuf};

/// The status of `cluster`. Conditions keep the time of their last transition from `before`.
#[must_use]
pub fn status(
    cluster: &SfuCluster,
    nodes: &[NodeState],
    mesh: &MeshSnapshot,
    before: &SfuClusterStatus,
    now: Timestamp,
) -> SfuClusterStatus {
    let desired = i64::from(cluster.spec.replicas);
    let ready = nodes.iter().filter(|node| node.ready).count();
    let nodes_ready = nodes.len() == ready && i64::try_from(ready) == Ok(desired);
    let pairs = desired * (desired - 1) / 2;
    let mesh_ready = mesh.is_whole() && i64::from(mesh.desired_pairs) == pairs && nodes.len() == mesh.members.len();
    let reports = mesh.members.iter().filter_map(|member| member.current());
    let streams: usize = reports.map(|report| report.publications.len()).sum();
    let nodes_summary = format!("{ready}/{desired}");
    let mesh_summary = format!("{}/{}", mesh.established_pairs, mesh.desired_pairs);
    let facts = [
        (
            "Ready",
            nodes_ready && mesh_ready,
            format!("nodes {nodes_summary}, mesh {mesh_summary}"),
        ),
        ("NodesReady", nodes_ready, format!("{nodes_summary} nodes are ready")),
        ("MeshReady", mesh_ready, format!("{mesh_summary} node pairs are linked")),
    ];
    SfuClusterStatus {
        observed_generation: cluster.metadata.generation,
        replicas: count(nodes.len()),
        ready_replicas: count(ready),
        nodes_summary,
        streams: count(streams),
        mesh: MeshStatus {
            desired_pairs: count(mesh.desired_pairs),
            established_pairs: count(mesh.established_pairs),
            summary: mesh_summary,
        },
        conditions: facts
            .map(|fact| condition(fact, cluster.metadata.generation, before, now))
            .into(),
        ..SfuClusterStatus::default()
    }
}

fn condition(
    (kind, holds, message): (&str, bool, String),
    observed_generation: Option<i64>,
    before: &SfuClusterStatus,
    now: Timestamp,
) -> Condition {
    let status = if holds { "True" } else { "False" };
    let reason = if holds { "AsDesired" } else { "InProgress" };
    let same = before.conditions.iter().find(|c| c.type_ == kind && c.status == status);
    Condition {
        type_: kind.to_owned(),
        status: status.to_owned(),
        reason: reason.to_owned(),
        message,
        observed_generation,
        last_transition_time: same.map_or(Time(now), |c| c.last_transition_time.clone()),
    }
}

fn count(number: impl TryInto<i32>) -> i32 {
    number.try_into().unwrap_or(i32::MAX)
}

/// Keeps a file in step with the cluster. Written only when something has changed, and always whole: under another name
/// first, then renamed.
#[derive(Debug)]
pub struct StatusFile {
    path: PathBuf,
    written: Value,
}

impl StatusFile {
    #[must_use]
    pub fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            written: Value::Null,
        }
    }

    /// Brings the file up to date.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(
        &mut self,
        page: &str,
        logs: &Path,
        processes: &[ProcessView],
        status: &SfuClusterStatus,
    ) -> io::Result<()> {
        let process = |view: &ProcessView| {
            json!({
                "name": view.name,
                "pid": view.state.pid,
                "phase": view.state.phase.as_str(),
                "draining": view.draining,
                "restarts": view.state.restarts,
            })
        };
        let value = json!({
            "page": page,
            "logs": logs,
            "processes": processes.iter().map(process).collect::<Vec<_>>(),
            "status": status,
        });
        if value != self.written {
            let mut draft = self.path.as_os_str().to_owned();
            draft.push(".new");
            std::fs::write(&draft, format!("{value:#}\n"))?;
            std::fs::rename(&draft, &self.path)?;
            self.written = value;
        }
        Ok(())
    }

    /// Removes the file: nothing runs any more.
    pub fn remove(&self) {
        let _ = std::fs::remove_file(&self.path);
    }
}
