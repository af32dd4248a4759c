//! Whose an object is: the one check that stands before everything that is written or deleted. Pure.

use crate::controller::build::{ClusterId, MANAGER, has_labels_of};
use crate::crd::SfuCluster;
use k8s_openapi::api::apps::v1::{ReplicaSet, StatefulSet};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::Resource;
use kube::api::{Patch, PatchParams, Preconditions};
use kube::core::ObjectMeta;
use serde::Serialize;
use serde_json::{Value, json};

/// Whose an object is that stands under a name which a cluster needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// The cluster's, which is its controller.
    Ours,
    /// It has the cluster's labels and no controller, as after `kubectl delete --cascade=orphan` and after a backup was
    /// restored: the cluster adopts it.
    Nobodys,
    /// It belonged to a cluster of this name that exists no more. Kubernetes' garbage collector deletes it, whatever we do.
    Predecessors,
    /// Somebody else's. It is never touched.
    Others,
}

/// Label of the Deployment controller: which template a pod was made from.
const TEMPLATE_HASH: &str = "pod-template-hash";

/// Reason of a cluster that finds an object of somebody else under a name that it needs.
pub const NAME_TAKEN: &str = "NameTaken";

/// What is said of an object of somebody else.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind} {name} exists and does not belong to this cluster: rename or remove it, or name the cluster otherwise")]
pub struct Taken {
    pub kind: String,
    pub name: String,
}

/// What a check found under a name: what a write may change, and nothing else.
#[derive(Debug, PartialEq, Eq)]
pub enum Checked {
    /// This object in this version; without one, nothing.
    Live(Option<(String, String)>),
    /// An object that is being deleted, or will be.
    Going,
}

/// Whose this object is.
#[must_use]
pub fn whose(object: &ObjectMeta, id: &ClusterId) -> Whose {
    match controller(object) {
        Some(owner) if owner.uid == id.uid => Whose::Ours,
        Some(owner) if is_cluster(owner) && owner.name == id.name => Whose::Predecessors,
        Some(_) => Whose::Others,
        None if has_labels_of(object, &id.name) => Whose::Nobodys,
        None => Whose::Others,
    }
}

/// Whether the cluster may have this object: it is its own, or is adopted with the next apply.
#[must_use]
pub fn may_have(object: &ObjectMeta, id: &ClusterId) -> bool {
    matches!(whose(object, id), Whose::Ours | Whose::Nobodys)
}

/// The owner that controls an object: of several owners at most one does.
#[must_use]
pub fn controller(object: &ObjectMeta) -> Option<&OwnerReference> {
    let mut owners = object.owner_references.iter().flatten();
    owners.find(|owner| owner.controller == Some(true))
}

/// Whether a controller is the StatefulSet of this name.
#[must_use]
pub fn is_set(owner: &OwnerReference, name: &str) -> bool {
    is_kind::<StatefulSet>(owner) && owner.name == name
}

/// Whether the controller of this pod is a ReplicaSet of the Deployment of this name: such have its name and the hash that their
/// pods are labelled with.
#[must_use]
pub fn is_of_deployment(owner: &OwnerReference, pod: &ObjectMeta, name: &str) -> bool {
    let hash = pod.labels.as_ref().and_then(|labels| labels.get(TEMPLATE_HASH));
    is_kind::<ReplicaSet>(owner) && hash.is_some_and(|hash| owner.name == format!("{name}-{hash}"))
}

/// Whether what stands under a name may be written.
///
/// # Errors
/// When it is somebody else's.
pub fn check(live: Option<&ObjectMeta>, id: &ClusterId, kind: &str, name: &str) -> Result<Checked, Taken> {
    let Some(live) = live else {
        return Ok(Checked::Live(None));
    };
    match whose(live, id) {
        Whose::Others => Err(Taken {
            kind: kind.to_owned(),
            name: name.to_owned(),
        }),
        Whose::Predecessors => Ok(Checked::Going),
        Whose::Ours | Whose::Nobodys if live.deletion_timestamp.is_some() => Ok(Checked::Going),
        Whose::Ours | Whose::Nobodys => Ok(Checked::Live(live.uid.clone().zip(live.resource_version.clone()))),
    }
}

/// No object has this version: with it, an apply makes an object and never changes one.
const NO_VERSION: &str = "1";

/// A desired object as an apply that the API server refuses (409) unless what it finds is what was checked.
///
/// # Errors
/// When it cannot be written as JSON.
pub fn only_over<K: Serialize>(desired: &K, checked: Option<(String, String)>) -> serde_json::Result<Value> {
    let mut desired = serde_json::to_value(desired)?;
    match checked {
        Some((uid, version)) => {
            desired["metadata"]["uid"] = Value::String(uid);
            desired["metadata"]["resourceVersion"] = Value::String(version);
        }
        None => desired["metadata"]["resourceVersion"] = Value::String(NO_VERSION.to_owned()),
    }
    Ok(desired)
}

/// Nothing but the object that was looked at, as it was.
#[must_use]
pub fn this_version(looked_at: &ObjectMeta) -> Preconditions {
    Preconditions {
        uid: looked_at.uid.clone(),
        resource_version: looked_at.resource_version.clone(),
    }
}

/// A change of the object that was looked at, as it was: whatever else it has stays, and of another version the API server
/// refuses it (409).
#[must_use]
pub fn change_of(looked_at: &ObjectMeta, mut change: Value) -> (PatchParams, Patch<Value>) {
    change["metadata"]["uid"] = json!(looked_at.uid);
    change["metadata"]["resourceVersion"] = json!(looked_at.resource_version);
    let params = PatchParams {
        field_manager: Some(MANAGER.to_owned()),
        ..PatchParams::default()
    };
    (params, Patch::Merge(change))
}

fn is_cluster(owner: &OwnerReference) -> bool {
    is_kind::<SfuCluster>(owner)
}

/// Whether an owner is of this kind, of whatever version. Other groups may have a kind of the same name.
#[must_use]
pub fn is_kind<K: Resource<DynamicType = ()>>(owner: &OwnerReference) -> bool {
    let group = owner.api_version.split_once('/').map_or("", |(group, _)| group);
    owner.kind == K::kind(&()) && group == K::group(&())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn owner(api_version: &str, kind: &str, name: &str, uid: &str, controller: bool) -> Value {
        json!({ "apiVersion": api_version, "kind": kind, "name": name, "uid": uid, "controller": controller })
    }

    fn cluster(name: &str, uid: &str) -> Value {
        owner("sfumato.dev/v1alpha1", "SfuCluster", name, uid, true)
    }

    #[test]
    fn an_object_is_ours_nobodys_the_predecessors_or_somebody_elses() {
        let labels = json!({
            "app.kubernetes.io/managed-by": "sfu-operator", "app.kubernetes.io/name": "sfumato",
            "app.kubernetes.io/instance": "live",
        });
        let none = json!({});
        let other_cluster = json!({
            "app.kubernetes.io/managed-by": "sfu-operator", "app.kubernetes.io/name": "sfumato",
            "app.kubernetes.io/instance": "other",
        });
        let helm = json!({ "app.kubernetes.io/managed-by": "Helm", "app.kubernetes.io/instance": "live" });
        let id = ClusterId {
            namespace: "media".to_owned(),
            name: "live".to_owned(),
            uid: "now".to_owned(),
        };
        let plain = owner("v1", "ConfigMap", "mine", "m", false);
        for (what, labels, owners, expected) in [
            ("a child", &labels, json!([cluster("live", "now")]), Whose::Ours),
            (
                "a child without labels",
                &none,
                json!([cluster("live", "now")]),
                Whose::Ours,
            ),
            (
                "one that also has another owner",
                &labels,
                json!([plain, cluster("live", "now")]),
                Whose::Ours,
            ),
            ("an orphan", &labels, json!([]), Whose::Nobodys),
            (
                "an orphan with an owner that controls nothing",
                &labels,
                json!([plain]),
                Whose::Nobodys,
            ),
            (
                "an orphan that names us and is not controlled by us",
                &labels,
                json!([owner("sfumato.dev/v1alpha1", "SfuCluster", "live", "now", false)]),
                Whose::Nobodys,
            ),
            (
                "a child of the cluster before",
                &labels,
                json!([cluster("live", "then")]),
                Whose::Predecessors,
            ),
            (
                "the same by a later version",
                &labels,
                json!([owner("sfumato.dev/v1", "SfuCluster", "live", "then", true)]),
                Whose::Predecessors,
            ),
            (
                "a child of another cluster",
                &labels,
                json!([cluster("other", "o")]),
                Whose::Others,
            ),
            (
                "a child of a kind of the same name",
                &labels,
                json!([owner("example.com/v1", "SfuCluster", "live", "then", true)]),
                Whose::Others,
            ),
            (
                "another controller",
                &labels,
                json!([owner("apps/v1", "Deployment", "live", "d", true)]),
                Whose::Others,
            ),
            (
                "another controller beside us",
                &labels,
                json!([
                    owner("apps/v1", "Deployment", "live", "d", true),
                    owner("sfumato.dev/v1alpha1", "SfuCluster", "live", "now", false)
                ]),
                Whose::Others,
            ),
            ("no labels and no owner", &none, json!([]), Whose::Others),
            ("labels of another cluster", &other_cluster, json!([]), Whose::Others),
            ("labels of another program", &helm, json!([]), Whose::Others),
        ] {
            let object = serde_json::from_value(json!({ "labels": labels, "ownerReferences": owners })).unwrap();
            assert_eq!(whose(&object, &id), expected, "{what}");
        }
    }

    #[test]
    fn a_controller_of_another_group_is_none_of_ours_whatever_it_is_called() {
        let pod: ObjectMeta = serde_json::from_value(json!({ "labels": { "pod-template-hash": "6b7" } })).unwrap();
        for (group, expected) in [
            ("apps/v1", true),
            ("apps/v2", true),
            ("apps.kruise.io/v1", false),
            ("v1", false),
        ] {
            let of = |kind: &str, name: &str| -> OwnerReference {
                serde_json::from_value(owner(group, kind, name, "u", true)).unwrap()
            };
            assert_eq!(is_set(&of("StatefulSet", "live"), "live"), expected, "{group}");
            let replica_set = of("ReplicaSet", "live-web-6b7");
            assert_eq!(is_of_deployment(&replica_set, &pod, "live-web"), expected, "{group}");
        }
    }

    #[test]
    fn a_write_is_over_what_was_checked_and_nothing_else() {
        let id = ClusterId {
            namespace: "media".to_owned(),
            name: "live".to_owned(),
            uid: "now".to_owned(),
        };
        let written = |live: Value| {
            let live: Option<ObjectMeta> = serde_json::from_value(live).unwrap();
            match check(live.as_ref(), &id, "Service", "live-web").unwrap() {
                Checked::Live(checked) => {
                    Some(only_over(&json!({ "metadata": { "name": "live-web" } }), checked).unwrap())
                }
                Checked::Going => None,
            }
        };
        let ours = json!({ "uid": "u", "resourceVersion": "7", "ownerReferences": [cluster("live", "now")] });
        let over = json!({ "metadata": { "name": "live-web", "uid": "u", "resourceVersion": "7" } });
        assert_eq!(written(ours.clone()), Some(over));
        let made = json!({ "metadata": { "name": "live-web", "resourceVersion": "1" } });
        assert_eq!(written(Value::Null), Some(made));
        let mut going = ours;
        going["deletionTimestamp"] = json!("2200-01-01T00:00:00Z");
        assert_eq!(written(going), None);
        assert_eq!(written(json!({ "ownerReferences": [cluster("live", "then")] })), None);

        let taken = check(Some(&ObjectMeta::default()), &id, "Service", "live-web").unwrap_err();
        assert!(
            taken
                .to_string()
                .starts_with("Service live-web exists and does not belong to this cluster")
        );
    }
}
