//! From pods, StatefulSet and mesh to what [`crate::cluster::rollout`] decides upon. Pure.

use crate::cluster::rollout::{Act, Leaving, Observation, ObservedNode, ObservedReport};
use crate::controller::build::Wish;
use crate::controller::pace::Pace;
use crate::controller::watch::seen::{Pod, StatefulSet, is_node, is_ready};
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use sfumato_admin_api::types::LinkState;
use sfumato_mesh::{MemberSnapshot, MeshSnapshot};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Annotation of a pod that has its node emptied (`true`) or lets it take sessions again (`false`).
pub const DRAIN_ANNOTATION: &str = "sfumato.dev/drain";
/// Label of the StatefulSet controller with the revision of the template that a pod was made from.
pub const REVISION: &str = "controller-revision-hash";

/// What a node gets beyond its deadline.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is seen of a cluster. `live` is the nodes' StatefulSet, and `held_up` are UIDs of pods whose eviction has been refused for
/// long.
#[must_use]
pub fn observe(
    wish: &Wish,
    live: Option<&StatefulSet>,
    pods: &[Arc<Pod>],
    mesh: &MeshSnapshot,
    (leaving, held_up): (&Leaving, &BTreeSet<String>),
    pace: Pace,
    (now, instant): (Timestamp, Instant),
) -> Observation {
    // A revision that the StatefulSet controller has not computed anew yet would make every pod look up to date.
    let settled = live.filter(|live| live.status.observed_generation == live.metadata.generation);
    let revision = settled.and_then(|live| live.status.update_revision.as_ref());
    let mut observed: Vec<ObservedNode> = pods
        .iter()
        .filter(|pod| is_node(pod))
        .filter_map(|pod| observed_pod(pod, revision, mesh, (leaving, held_up), (now, instant)))
        .collect();
    observed.sort_by_key(|pod| pod.ordinal);
    Observation {
        desired: wish.spec.replicas,
        live: live.and_then(|live| live.spec.replicas),
        deadline: wish.spec.drain.deadline.0,
        patience: PATIENCE,
        mesh_whole: mesh.is_whole() && mesh.members.len() == observed.len(),
        lost_after: pace.lost_after,
        nodes: observed,
    }
}

fn observed_pod(
    pod: &Pod,
    revision: Option<&String>,
    mesh: &MeshSnapshot,
    (leaving, held_up): (&Leaving, &BTreeSet<String>),
    (now, instant): (Timestamp, Instant),
) -> Option<ObservedNode> {
    let name = pod.name_any();
    let ordinal = name.rsplit_once('-')?.1.parse().ok()?;
    let uid = pod.uid()?;
    let member = mesh.members.iter().find(|member| member.name.as_str() == name);
    Some(ObservedNode {
        ordinal,
        current: pod
            .labels()
            .get(REVISION)
            .zip(revision)
            .map(|(made, wanted)| made == wanted),
        ready: is_ready(pod),
        overdue: overdue(pod, now),
        ending: pod.metadata.deletion_timestamp.is_some(),
        drain_wanted: pod
            .annotations()
            .get(DRAIN_ANNOTATION)
            .and_then(|value| value.parse().ok()),
        report: member.and_then(MemberSnapshot::current).map(|report| ObservedReport {
            reasons: report.drain.reasons.clone(),
            sessions: report.publishers.saturating_add(report.viewers),
        }),
        heard: is_heard(&name, mesh),
        held_up: held_up.contains(&uid),
        leaving_for: leaving.get(&uid).map(|since| instant.saturating_duration_since(*since)),
        id: uid,
        name,
    })
}

/// What to do about pods that a StatefulSet which is no more has left: those of a lost Kubernetes node would keep their names for
/// ever. They were told to end, and their cluster is gone, so nobody asks whether they are heard.
#[must_use]
pub fn give_up_overdue(in_the_way: &[Arc<Pod>], pace: Pace, now: Timestamp) -> Vec<Act> {
    let lost = |pod: &&Arc<Pod>| overdue(pod, now).is_some_and(|overdue| overdue >= pace.lost_after);
    let remove = |pod: &Arc<Pod>| {
        Some(Act::ForceDelete {
            node: pod.name_any(),
            id: pod.uid()?,
        })
    };
    in_the_way.iter().filter(lost).filter_map(remove).collect()
}

/// How long ago the grace of a pod's deletion ended, if it is being deleted and that has ended.
#[must_use]
pub fn overdue(pod: &Pod, now: Timestamp) -> Option<Duration> {
    let ends = pod.metadata.deletion_timestamp.as_ref()?.0;
    Duration::try_from(now.duration_since(ends)).ok()
}

/// Whether a node that answers has a fresh link with the one of this name.
fn is_heard(name: &str, mesh: &MeshSnapshot) -> bool {
    let reports = mesh.members.iter().filter_map(MemberSnapshot::current);
    reports
        .flat_map(|report| &report.links)
        .any(|link| link.peer.as_str() == name && link.state == LinkState::Fresh)
}
