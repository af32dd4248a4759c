//! From pods, StatefulSet and mesh to what [`super::rules`] decides upon. Pure.

use super::rules::{NodeSeen, PodSeen, Scene};
use crate::controller::watch::seen::{Pod, StatefulSet, is_node, is_ready};
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use sfumato_admin_api::types::LinkState;
use sfumato_mesh::{MemberSnapshot, MeshSnapshot};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Annotation of a pod that has its node emptied (`true`) or lets it take sessions again (`false`).
pub const DRAIN_ANNOTATION: &str = "sfumato.dev/drain";
/// Label of the StatefulSet controller with the revision of the template that a pod was made from.
const REVISION: &str = "controller-revision-hash";

/// Since when pods have been on their way out, by UID.
pub type Leaving = BTreeMap<String, Instant>;

/// What is seen of a cluster.
#[must_use]
pub fn scene(
    desired: i32,
    deadline: Duration,
    stateful_set: Option<&StatefulSet>,
    pods: &[Arc<Pod>],
    mesh: &MeshSnapshot,
    leaving: &Leaving,
    (now, instant): (Timestamp, Instant),
) -> Scene {
    let mut seen: Vec<PodSeen> = pods
        .iter()
        .filter(|pod| is_node(pod))
        .filter_map(|pod| pod_seen(pod, mesh, leaving, now, instant))
        .collect();
    seen.sort_by_key(|pod| pod.ordinal);
    let status = stateful_set.map(|set| &set.status);
    // A revision that the StatefulSet controller has not computed anew yet would make every pod look up to date.
    let current =
        status.filter(|status| status.observed_generation == stateful_set.and_then(|s| s.metadata.generation));
    Scene {
        desired,
        live: stateful_set.and_then(|set| set.spec.replicas),
        update_revision: current.and_then(|status| status.update_revision.clone()),
        deadline,
        mesh_whole: mesh.is_whole() && mesh.members.len() == seen.len(),
        pods: seen,
    }
}

fn pod_seen(pod: &Pod, mesh: &MeshSnapshot, leaving: &Leaving, now: Timestamp, instant: Instant) -> Option<PodSeen> {
    let name = pod.name_any();
    let ordinal = name.rsplit_once('-')?.1.parse().ok()?;
    let uid = pod.uid()?;
    let member = mesh.members.iter().find(|member| member.name.as_str() == name);
    let over = |ends: Timestamp| Duration::try_from(now.duration_since(ends)).ok();
    let grace_ended = pod.metadata.deletion_timestamp.as_ref().map(|time| time.0);
    Some(PodSeen {
        ordinal,
        revision: pod.labels().get(REVISION).cloned(),
        ready: is_ready(pod),
        overdue: grace_ended.and_then(over),
        deleting: grace_ended.is_some(),
        drain_wanted: pod
            .annotations()
            .get(DRAIN_ANNOTATION)
            .and_then(|value| value.parse().ok()),
        node: member.and_then(MemberSnapshot::current).map(|report| NodeSeen {
            reasons: report.drain.reasons.clone(),
            sessions: report.publishers.saturating_add(report.viewers),
        }),
        heard: is_heard(&name, mesh),
        leaving_for: leaving
            .get(&uid)
            .map_or(Duration::ZERO, |since| instant.saturating_duration_since(*since)),
        uid,
        name,
    })
}

/// Whether a node that answers has a fresh link with the one of this name.
fn is_heard(name: &str, mesh: &MeshSnapshot) -> bool {
    let reports = mesh.members.iter().filter_map(MemberSnapshot::current);
    reports
        .flat_map(|report| &report.links)
        .any(|link| link.peer.as_str() == name && link.state == LinkState::Fresh)
}

/// Keeps count of the time that pods have been on their way out.
pub fn count_leaving(leaving: &mut Leaving, scene: &Scene, names: &[String], now: Instant) {
    let on_their_way = |uid: &String| {
        scene
            .pods
            .iter()
            .any(|pod| pod.uid == *uid && names.contains(&pod.name))
    };
    leaving.retain(|uid, _| on_their_way(uid));
    for pod in scene.pods.iter().filter(|pod| names.contains(&pod.name)) {
        leaving.entry(pod.uid.clone()).or_insert(now);
    }
}
