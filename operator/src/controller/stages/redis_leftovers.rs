//! What is left of a Redis whose workload is no more, and what is to be done about it before another one is made: two at once would
//! hold other claims on names, and a volume that was there before may be somebody else's. Pure.

use super::redis_workload::Wanted;
use crate::controller::build::{ClusterId, Component, has_labels_of_pods};
use crate::controller::watch::ownership::{controller, is_of_deployment, is_set};
use crate::controller::watch::seen::{Claim, Pod, VolumeClaim};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::ResourceExt;
use kube::core::ObjectMeta;

/// What a pod of a Redis that is no more is in the way of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leftover {
    /// Nothing: what is about to be made takes it over.
    Adopted,
    /// It goes with what controls it, or has been told to.
    Goes,
    /// Nobody else ends it.
    Orphan,
    /// Its ReplicaSet may be nobody's as well: then that keeps it for ever.
    OfReplicaSet,
}

/// What becomes of a pod of Redis, where neither workload of this name is there. `is_volume_kept`: a StatefulSet would find the
/// volume that it wants.
#[must_use]
pub fn leftover(pod: &Pod, wanted: Wanted<'_>, name: &str, is_volume_kept: bool) -> Leftover {
    let goes = pod.metadata.deletion_timestamp.is_some();
    match controller(&pod.metadata) {
        _ if goes => Leftover::Goes,
        Some(owner) if is_of_deployment(owner, &pod.metadata, name) => match wanted {
            Wanted::Deployment => Leftover::Adopted,
            Wanted::StatefulSet(_) | Wanted::Nothing => Leftover::OfReplicaSet,
        },
        Some(_) => Leftover::Goes,
        None => match wanted {
            Wanted::StatefulSet(_) if is_volume_kept => Leftover::Adopted,
            _ => Leftover::Orphan,
        },
    }
}

/// Whether a pod is of a Redis of this name, by what controls it; one that nothing controls, by the name that a StatefulSet gives.
#[must_use]
pub fn is_left(pod: &Pod, name: &str) -> bool {
    match controller(&pod.metadata) {
        Some(owner) => is_set(owner, name) || is_of_deployment(owner, &pod.metadata, name),
        None => pod.name_any() == format!("{name}-0"),
    }
}

/// What a StatefulSet would find under the name of its volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Volume {
    None,
    /// As it would make it itself.
    AsWanted,
    /// One of an earlier Redis of this cluster, or of a cluster of this name.
    Old,
    /// It is being deleted, or will be.
    Going,
    /// Somebody else's, which is never used.
    Others,
}

/// Judges what is found. `wanted` are the claims of the StatefulSet, and `is_there` is whether that exists: its volume is what it
/// was made with.
#[must_use]
pub fn volume(found: Option<&VolumeClaim>, id: &ClusterId, wanted: &[Claim], is_there: bool) -> Volume {
    let Some(found) = found else {
        return Volume::None;
    };
    match () {
        () if found.metadata.deletion_timestamp.is_some() => Volume::Going,
        () if !is_ours(&found.metadata, id) => Volume::Others,
        () if is_there => Volume::AsWanted,
        // What it was bound to is no more, and it goes with that.
        () if !found.owner_references().is_empty() => Volume::Going,
        () if !wanted.is_empty() && wanted.iter().all(|claim| found.as_asked(claim).has(claim)) => Volume::AsWanted,
        () => Volume::Old,
    }
}

/// Whether a claim was made for Redis of a cluster of this name: its StatefulSet gives claims the labels that it selects pods by, and
/// may own them, but controls nothing. Where it was scaled to none, the pod that goes owns the claim.
fn is_ours(claim: &ObjectMeta, id: &ClusterId) -> bool {
    let pod = format!("{}-0", id.redis());
    let is_pod = |owner: &OwnerReference| owner.api_version == "v1" && owner.kind == "Pod" && owner.name == pod;
    let mut owners = claim.owner_references.iter().flatten();
    has_labels_of_pods(claim, &id.name, Component::Redis)
        && owners.all(|owner| is_set(owner, &id.redis()) || is_pod(owner))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const NAME: &str = "live-redis";

    fn pod(name: &str, owner: Option<(&str, &str)>) -> Pod {
        let owners: Vec<Value> = owner
            .map(|(kind, name)| json!({ "apiVersion": "apps/v1", "kind": kind, "name": name, "uid": "u", "controller": true }))
            .into_iter()
            .collect();
        let labels = json!({ "pod-template-hash": "6b7" });
        serde_json::from_value(json!({ "metadata": { "name": name, "labels": labels, "ownerReferences": owners } }))
            .unwrap()
    }

    fn claim(size: &str) -> Claim {
        Claim(json!({ "metadata": { "name": "data" }, "spec": { "resources": { "requests": { "storage": size } } } }))
    }

    #[test]
    fn what_is_left_of_redis_is_taken_over_waited_for_or_ended() {
        let claims = [claim("1Gi")];
        let (stored, memory, none) = (Wanted::StatefulSet(&claims), Wanted::Deployment, Wanted::Nothing);
        let of_set = pod("live-redis-0", Some(("StatefulSet", NAME)));
        let of_replica_set = pod("live-redis-6b7-x", Some(("ReplicaSet", "live-redis-6b7")));
        let orphan = pod("live-redis-0", None);
        let mut going = orphan.clone();
        going.metadata.deletion_timestamp = serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap();
        for (what, pod, wanted, kept, expected) in [
            (
                "of a StatefulSet that is no more",
                &of_set,
                stored,
                true,
                Leftover::Goes,
            ),
            ("the same before the other kind", &of_set, memory, false, Leftover::Goes),
            (
                "for a new Deployment",
                &of_replica_set,
                memory,
                false,
                Leftover::Adopted,
            ),
            (
                "before the other kind",
                &of_replica_set,
                stored,
                false,
                Leftover::OfReplicaSet,
            ),
            (
                "before another Redis",
                &of_replica_set,
                none,
                false,
                Leftover::OfReplicaSet,
            ),
            ("for a new StatefulSet", &orphan, stored, true, Leftover::Adopted),
            ("with another volume", &orphan, stored, false, Leftover::Orphan),
            ("before the other kind", &orphan, memory, true, Leftover::Orphan),
            ("before another Redis", &orphan, none, true, Leftover::Orphan),
            ("told to end", &going, stored, true, Leftover::Goes),
        ] {
            assert_eq!(leftover(pod, wanted, NAME, kept), expected, "{what}");
        }
    }

    #[test]
    fn a_pod_that_nothing_controls_is_of_redis_under_the_name_that_its_statefulset_gave() {
        for (name, owner, expected) in [
            ("live-redis-0", None, true),
            ("live-redis-1", None, false),
            ("mine", None, false),
            ("live-redis-0", Some(("StatefulSet", NAME)), true),
            ("p", Some(("ReplicaSet", "live-redis-6b7")), true),
            ("live-redis-0", Some(("StatefulSet", "mine")), false),
        ] {
            assert_eq!(is_left(&pod(name, owner), NAME), expected, "{name} {owner:?}");
        }
    }

    #[test]
    fn a_volume_that_was_there_before_is_used_waited_for_replaced_or_left_alone() {
        let id = ClusterId {
            namespace: "media".to_owned(),
            name: "live".to_owned(),
            uid: "now".to_owned(),
        };
        let labels = |instance: &str| {
            json!({
                "app.kubernetes.io/name": "sfumato", "app.kubernetes.io/instance": instance,
                "app.kubernetes.io/component": "redis",
            })
        };
        let set = json!({ "apiVersion": "apps/v1", "kind": "StatefulSet", "name": NAME, "uid": "s" });
        let going = json!({ "apiVersion": "v1", "kind": "Pod", "name": "live-redis-0", "uid": "p" });
        let backup = json!({ "apiVersion": "v1", "kind": "ConfigMap", "name": "backup", "uid": "b" });
        let found = |labels: Value, owners: Value, size: &str, deleted: bool| -> VolumeClaim {
            let mut found = json!({
                "metadata": { "name": "data-live-redis-0", "labels": labels, "ownerReferences": owners },
                "spec": { "storageClassName": "usual", "resources": { "requests": { "storage": size } } },
            });
            if deleted {
                found["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
            }
            serde_json::from_value(found).unwrap()
        };
        let (ours, none) = (|| labels("live"), || json!([]));
        for (what, found, is_there, expected) in [
            (
                "as wanted",
                found(ours(), none(), "1024Mi", false),
                false,
                Volume::AsWanted,
            ),
            ("another size", found(ours(), none(), "2Gi", false), false, Volume::Old),
            (
                "of the StatefulSet",
                found(ours(), none(), "2Gi", false),
                true,
                Volume::AsWanted,
            ),
            (
                "bound to it",
                found(ours(), json!([set]), "1Gi", false),
                true,
                Volume::AsWanted,
            ),
            (
                "bound to one before",
                found(ours(), json!([set]), "1Gi", false),
                false,
                Volume::Going,
            ),
            (
                "of a pod that goes",
                found(ours(), json!([going]), "1Gi", false),
                false,
                Volume::Going,
            ),
            ("told to go", found(ours(), none(), "1Gi", true), false, Volume::Going),
            (
                "without labels",
                found(json!({}), none(), "1Gi", false),
                false,
                Volume::Others,
            ),
            (
                "the same in use",
                found(json!({}), none(), "1Gi", false),
                true,
                Volume::Others,
            ),
            (
                "of another cluster",
                found(labels("other"), none(), "1Gi", false),
                false,
                Volume::Others,
            ),
            (
                "of another owner",
                found(ours(), json!([backup]), "1Gi", false),
                false,
                Volume::Others,
            ),
        ] {
            assert_eq!(volume(Some(&found), &id, &[claim("1Gi")], is_there), expected, "{what}");
        }
        let unwanted = found(ours(), none(), "1Gi", false);
        assert_eq!(volume(Some(&unwanted), &id, &[], false), Volume::Old, "none is wanted");
        assert_eq!(volume(None, &id, &[claim("1Gi")], false), Volume::None);
    }
}
