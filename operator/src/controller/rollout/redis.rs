//! Pods of managed Redis that do not get away by themselves. Pure.
//!
//! An ordered StatefulSet, as the release before made it, waits for a pod that does not run, also where its template has been put
//! right since; so does any where the feature `MaxUnavailableStatefulSet` is on. And every StatefulSet waits for a pod whose host
//! is lost. Nothing in Redis has to be kept, so neither is worth waiting for.

use super::observe::{REVISION, overdue};
use crate::cluster::remark::{HOST_LOST, Remark};
use crate::cluster::rollout::Act;
use crate::controller::build::Component;
use crate::controller::stages::pod_trouble::{is_of_a_volume_elsewhere, unplaced};
use crate::controller::watch::members::is_controlled;
use crate::controller::watch::seen::{Pod, StatefulSet, is_of, is_ready};
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use sfumato_mesh::{MemberSnapshot, MeshSnapshot};
use std::sync::Arc;
use std::time::Duration;

/// Reason of a change under way that takes Redis away for a moment.
pub const REPLACED: &str = "RedisReplaced";

/// So long, a volume may keep Redis from having a Kubernetes node: one that is started again is back by then. It is made anew after
/// that, since nothing in it has to be kept.
const WITHOUT_VOLUME: SignedDuration = SignedDuration::from_mins(5);

/// What is to be done about the pods of Redis, whose workloads have this name. `set` is its StatefulSet, if there is one of
/// this cluster, and `mesh` the nodes that use this Redis: none, where another one is named. A pod whose deletion is overdue by
/// `lost_after` is taken for lost with its host.
#[must_use]
pub fn redis_acts(
    pods: &[Arc<Pod>],
    (name, set): (&str, Option<&StatefulSet>),
    mesh: Option<&MeshSnapshot>,
    (lost_after, now): (Duration, Timestamp),
) -> Vec<Act> {
    let is_needed = is_needed(pods, name, mesh);
    let act = |pod: &Arc<Pod>| -> Option<Act> {
        let (node, id) = (pod.name_any(), pod.uid()?);
        if pod.metadata.deletion_timestamp.is_some() {
            let is_lost = is_lost(pod, lost_after, now);
            return (is_lost && !is_needed).then_some(Act::ForceDelete { node, id });
        }
        let set = set.filter(|_| !is_ready(pod))?;
        if is_outdated(pod, set) {
            return Some(Act::Replace { node, id });
        }
        let is_lost = !is_needed && is_made_from(pod, set) && has_lost_its_volume(pod, now);
        let (set, id) = (set.name_any(), set.uid()?);
        is_lost.then_some(Act::MakeAnew { set, id })
    };
    of_redis(pods, name).filter_map(act).collect()
}

/// What is told of a pod of Redis that is lost with its host and stays all the same.
#[must_use]
pub fn redis_kept(
    pods: &[Arc<Pod>],
    name: &str,
    mesh: Option<&MeshSnapshot>,
    (lost_after, now): (Duration, Timestamp),
) -> Option<Remark> {
    let mut lost = of_redis(pods, name).filter(|pod| is_lost(pod, lost_after, now));
    let pod = lost.next().filter(|_| is_needed(pods, name, mesh))?.name_any();
    let message = format!(
        "{pod} was told to end, and its Kubernetes node does not say that it has; it stays, since media nodes still reach it: \
         bring the Kubernetes node back, or end it there and `kubectl delete pod {pod} --force`"
    );
    Some(Remark::new(HOST_LOST, message))
}

/// Somebody may still hold claims in a Redis that goes on without its kubelet, unless there is a successor.
fn is_needed(pods: &[Arc<Pod>], name: &str, mesh: Option<&MeshSnapshot>) -> bool {
    let members = mesh.into_iter().flat_map(|mesh| &mesh.members);
    let mut reports = members.filter_map(MemberSnapshot::current);
    reports.any(|report| report.redis) && !of_redis(pods, name).any(|pod| is_ready(pod))
}

/// Whether a pod is taken for lost with its host.
fn is_lost(pod: &Pod, lost_after: Duration, now: Timestamp) -> bool {
    overdue(pod, now).is_some_and(|overdue| overdue >= lost_after)
}

/// What is told of Redis that gives way to another one: `waits` says what for, and this which pods are still to go. Where Redis
/// is not managed any more, nothing waits for them, but people do.
#[must_use]
pub fn redis_leaving(pods: &[Arc<Pod>], name: &str, is_managed: bool, waits: Option<Remark>) -> Option<Remark> {
    let going = of_redis(pods, name).filter(|pod| pod.metadata.deletion_timestamp.is_some());
    let names: Vec<String> = going.map(|pod| pod.name_any()).collect();
    let told = match waits {
        Some(remark) if remark.reason == REPLACED => remark.message,
        None if !is_managed && !names.is_empty() => format!("{name} gives way to the Redis of spec.redis.external"),
        other => return other,
    };
    match names.as_slice() {
        [] => Some(Remark::new(REPLACED, told)),
        names => {
            let message = format!("{told}; waiting for the end of {}", names.join(", "));
            Some(Remark::new(REPLACED, message))
        }
    }
}

fn of_redis<'a>(pods: &'a [Arc<Pod>], name: &'a str) -> impl Iterator<Item = &'a Arc<Pod>> {
    let is_redis = move |pod: &&Arc<Pod>| is_of(pod, Component::Redis) && is_controlled(pod, name);
    pods.iter().filter(is_redis)
}

/// Whether a pod has had no Kubernetes node for long since its volume is where it cannot run.
fn has_lost_its_volume(pod: &Pod, now: Timestamp) -> bool {
    unplaced(pod).is_some_and(|condition| {
        let words = condition.message.as_deref().unwrap_or_default();
        let since = condition.last_transition_time.as_ref();
        is_of_a_volume_elsewhere(words) && since.is_some_and(|since| now.duration_since(since.0) >= WITHOUT_VOLUME)
    })
}

fn is_made_from(pod: &Pod, set: &StatefulSet) -> bool {
    let mut owners = pod.owner_references().iter();
    owners.any(|owner| Some(&owner.uid) == set.uid().as_ref())
}

/// Whether a StatefulSet has another template by now than this pod of it was made from.
fn is_outdated(pod: &Pod, set: &StatefulSet) -> bool {
    let settled = set.status.observed_generation == set.metadata.generation;
    let made_from = pod.labels().get(REVISION);
    is_made_from(pod, set)
        && settled
        && made_from
            .zip(set.status.update_revision.as_ref())
            .is_some_and(|(made, wanted)| made != wanted)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const GRACE_ENDED: &str = "2026-01-01T00:00:00Z";

    /// A pod of Redis made from a revision; `change` is put into it.
    fn pod(name: &str, revision: &str, ready: bool, deleted: bool) -> Arc<Pod> {
        let status = if ready { "True" } else { "False" };
        let mut pod = json!({
            "metadata": {
                "name": name, "uid": format!("{name}-uid"), "ownerReferences": [
                    { "apiVersion": "apps/v1", "kind": "StatefulSet", "name": "live-redis", "uid": "set", "controller": true },
                ],
                "labels": {
                    "pod-template-hash": "6b7", "app.kubernetes.io/name": "sfumato", "app.kubernetes.io/instance": "live",
                    "app.kubernetes.io/component": "redis", "controller-revision-hash": revision,
                },
            },
            "status": { "conditions": [{ "type": "Ready", "status": status }] },
        });
        if deleted {
            pod["metadata"]["deletionTimestamp"] = json!(GRACE_ENDED);
        }
        Arc::new(serde_json::from_value(pod).unwrap())
    }

    fn set(uid: &str, observed: i64) -> StatefulSet {
        serde_json::from_value(json!({
            "metadata": { "name": "live-redis", "uid": uid, "generation": 2 },
            "status": { "observedGeneration": observed, "updateRevision": "new" },
        }))
        .unwrap()
    }

    /// A mesh with one node that reaches Redis, or does not.
    fn mesh(redis: bool) -> MeshSnapshot {
        let report: Value = json!({
            "apiVersion": 1, "version": "0.1.0", "name": "live-0", "incarnation": "u.1", "adminUrl": "https://a",
            "clientUrl": "http://c", "revision": 1, "workers": 1, "linkEncryption": true, "ready": true, "draining": false,
            "redis": redis, "peers": [], "links": [], "publications": [], "carried": [], "viewers": 0, "publishers": 0,
        });
        let member = MemberSnapshot {
            streams: 0,
            unusable: None,
            silent: None,
            name: "live-0".parse().unwrap(),
            incarnation: None,
            reachable: true,
            asked: true,
            report: Some(Arc::new(serde_json::from_value(report).unwrap())),
        };
        MeshSnapshot {
            members: vec![member],
            ..MeshSnapshot::default()
        }
    }

    fn replaced(pod: &Arc<Pod>, set: &StatefulSet) -> bool {
        let acts = redis_acts(
            &[Arc::clone(pod)],
            ("live-redis", Some(set)),
            Some(&mesh(false)),
            (Duration::from_secs(30), Timestamp::UNIX_EPOCH),
        );
        let (node, id) = (pod.name_any(), pod.uid().unwrap());
        assert!(acts.is_empty() || acts == [Act::Replace { node, id }], "{acts:?}");
        !acts.is_empty()
    }

    #[test]
    fn a_pod_that_does_not_run_is_replaced_when_its_template_is_another() {
        let (broken, runs) = (
            pod("live-redis-0", "old", false, false),
            pod("live-redis-0", "old", true, false),
        );
        assert!(replaced(&broken, &set("set", 2)));
        assert!(!replaced(&broken, &set("set", 1)), "its controller has not looked yet");
        assert!(!replaced(&broken, &set("another", 2)), "it is not of this one");
        assert!(!replaced(&runs, &set("set", 2)), "its controller replaces it");
        let current = pod("live-redis-0", "new", false, false);
        assert!(!replaced(&current, &set("set", 2)), "nothing would be better");
    }

    #[test]
    fn redis_is_made_anew_where_its_volume_has_kept_it_from_running_for_long_and_no_node_reaches_it() {
        let affinity = "0/3 nodes are available: 1 node(s) had untolerated taint {node.kubernetes.io/unreachable: }, 2 node(s) didn't \
                        match PersistentVolume's node affinity";
        let acts = |words: &str, reached: bool, after: i64, uid: &str| {
            let mut pod = Arc::unwrap_or_clone(pod("live-redis-0", "new", false, false));
            let unplaced = json!({
                "type": "PodScheduled", "status": "False", "message": words, "lastTransitionTime": "1970-01-01T00:00:00Z",
            });
            pod.status.conditions = vec![serde_json::from_value(unplaced).unwrap()];
            redis_acts(
                &[Arc::new(pod)],
                ("live-redis", Some(&set(uid, 2))),
                Some(&mesh(reached)),
                (
                    Duration::from_secs(30),
                    Timestamp::UNIX_EPOCH + SignedDuration::from_secs(after),
                ),
            )
        };
        let (set, id) = ("live-redis".to_owned(), "set".to_owned());
        assert_eq!(acts(affinity, false, 300, "set"), [Act::MakeAnew { set, id }]);
        assert_eq!(
            acts(affinity, false, 299, "set"),
            [],
            "its Kubernetes node may come back"
        );
        assert_eq!(acts(affinity, true, 300, "set"), [], "a node reaches it");
        assert_eq!(acts(affinity, false, 300, "another"), [], "the pod is of a former one");
        for words in [
            "3 Insufficient cpu",
            "pod has unbound immediate PersistentVolumeClaims",
            "1 node(s) didn't match Pod's node affinity/selector, 2 node(s) didn't find available persistent volumes to bind",
            "2 node(s) exceed max volume count, 1 node(s) didn't match Pod's node affinity/selector",
        ] {
            assert_eq!(acts(words, false, 300, "set"), [], "{words}");
        }
    }

    #[test]
    fn a_pod_of_a_lost_host_is_removed_unless_a_node_reaches_it() {
        let lost = pod("live-redis-0", "old", false, true);
        let at = |seconds| GRACE_ENDED.parse::<Timestamp>().unwrap() + Duration::from_secs(seconds);
        let removed_of = |pods: &[Arc<Pod>], mesh: Option<MeshSnapshot>, now| {
            let acts = redis_acts(
                pods,
                ("live-redis", None),
                mesh.as_ref(),
                (Duration::from_secs(30), now),
            );
            assert!(
                acts.iter()
                    .all(|act| matches!(act, Act::ForceDelete { node, .. } if node == "live-redis-0")),
                "{acts:?}"
            );
            !acts.is_empty()
        };
        let removed = |pods: &[Arc<Pod>], reached, now| removed_of(pods, Some(mesh(reached)), now);
        assert!(removed(&[Arc::clone(&lost)], false, at(30)));
        assert!(
            removed_of(&[Arc::clone(&lost)], None, at(30)),
            "nodes reach another Redis"
        );
        assert!(!removed_of(&[Arc::clone(&lost)], None, at(29)));
        assert!(
            !removed(&[Arc::clone(&lost)], false, at(29)),
            "its kubelet may come back"
        );
        assert!(!removed(&[Arc::clone(&lost)], true, at(30)), "a node reaches it");
        let kept = |pods: &[Arc<Pod>], reached, seconds| {
            let lost = (Duration::from_secs(30), at(seconds));
            redis_kept(pods, "live-redis", Some(&mesh(reached)), lost).map(|remark| remark.message)
        };
        let told = kept(&[Arc::clone(&lost)], true, 30).unwrap();
        assert!(
            told.starts_with("live-redis-0 was told to end") && told.contains("--force"),
            "{told}"
        );
        assert_eq!(kept(&[Arc::clone(&lost)], true, 29), None, "its kubelet may come back");
        assert_eq!(kept(&[Arc::clone(&lost)], false, 30), None, "it is removed");
        let of = |kind: &str, name: &str| {
            let mut pod = Arc::unwrap_or_clone(pod("live-redis-0", "new", true, true));
            let owner = &mut pod.metadata.owner_references.as_mut().unwrap()[0];
            (owner.kind, owner.name) = (kind.to_owned(), name.to_owned());
            [Arc::new(pod)]
        };
        for (kind, name) in [
            ("StatefulSet", "other"),
            ("ReplicaSet", "live-redis-mine-6b7"),
            ("Job", "live-redis"),
        ] {
            assert!(!removed(&of(kind, name), false, at(30)), "{kind} {name} is not ours");
        }
        assert!(removed(&of("ReplicaSet", "live-redis-6b7"), false, at(30)));
        let successor = pod("live-redis-1", "new", true, false);
        let both = [lost, successor];
        assert_eq!(kept(&both, true, 30), None, "nodes reach its successor");
        assert!(removed(&both, true, at(30)), "nodes reach its successor");
    }

    #[test]
    fn what_goes_is_named_while_redis_gives_way_to_another() {
        let (runs, goes) = (
            pod("live-redis-0", "new", true, false),
            pod("live-redis-0", "new", true, true),
        );
        let told = |pod: &Arc<Pod>, is_managed, waits: Option<&str>| {
            let waits = waits.map(|reason| Remark::new(if reason == "other" { "Other" } else { REPLACED }, reason));
            let remark = redis_leaving(&[Arc::clone(pod)], "live-redis", is_managed, waits);
            remark.map(|remark| (remark.reason, remark.message))
        };
        let replaced = |message: &str| Some((REPLACED, message.to_owned()));
        assert_eq!(told(&runs, true, None), None);
        assert_eq!(told(&goes, true, None), None, "it is replaced by its controller");
        assert_eq!(told(&runs, true, Some("x is made anew")), replaced("x is made anew"));
        assert_eq!(
            told(&goes, true, Some("x is made anew")),
            replaced("x is made anew; waiting for the end of live-redis-0")
        );
        assert_eq!(told(&runs, false, None), None);
        assert_eq!(told(&runs, false, Some("x gives way")), replaced("x gives way"));
        assert_eq!(
            told(&goes, false, None),
            replaced("live-redis gives way to the Redis of spec.redis.external; waiting for the end of live-redis-0")
        );
        assert_eq!(told(&goes, false, Some("other")), Some(("Other", "other".to_owned())));
    }
}
