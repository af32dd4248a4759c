//! Which pods are the media nodes of a cluster. Whoever may make a pod may give it any labels, so these only find it: what
//! counts is that the cluster's own StatefulSet controls it.

use super::ownership::{Whose, controller, is_of_deployment, is_set, may_have, whose};
use super::queue::{Key, key_of};
use super::seen::{Pod, StatefulSet, is_node, is_of, resource};
use crate::controller::build::{ClusterId, Component};
use kube::ResourceExt;
use kube::api::DynamicObject;
use kube::core::ObjectMeta;
use kube::runtime::reflector::{ObjectRef, Store};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Finalizer of an object that is deleted without what hangs on it.
const ORPHAN: &str = "orphan";

/// The pods of all clusters of a scope.
#[derive(Clone)]
pub struct Pods {
    pub store: Store<Pod>,
    pub(super) sets: Store<StatefulSet>,
    pub(super) clusters: Store<DynamicObject>,
    pub(super) known: Arc<Mutex<BTreeMap<Key, Known>>>,
}

/// UIDs of the pods that have been nodes of a cluster. A StatefulSet that is deleted around its pods, and made anew, takes
/// them over after a moment; they are members all the time.
#[derive(Default)]
pub struct Known {
    cluster: String,
    pods: BTreeSet<String>,
}

impl Pods {
    /// The pods of a cluster, ordered by name: its nodes, front doors and Redis.
    #[must_use]
    pub fn of(&self, key: &Key) -> Vec<Arc<Pod>> {
        let cluster = ObjectRef::new_with(&key.name, resource()).within(&key.namespace);
        let Some(cluster) = self.clusters.get(&cluster) else {
            return Vec::new();
        };
        let id = ClusterId::of(&cluster.metadata);
        let set = self.set(&id.namespace, &id.nodes());
        let set = set.filter(|set| may_have(&set.metadata, &id));
        let mut found = self.labelled(key);
        let mut all_known = self.known.lock();
        let known = all_known.entry(key.clone()).or_default();
        if known.cluster != id.uid {
            *known = Known {
                cluster: id.uid.clone(),
                ..Known::default()
            };
        }
        let others = [id.web(), id.redis()];
        found.retain(|pod| {
            if is_node(pod) {
                is_member(pod, set.as_deref(), &id.nodes(), &known.pods)
            } else {
                others.iter().any(|name| is_controlled(pod, name))
            }
        });
        known.pods = found
            .iter()
            .filter(|pod| is_node(pod))
            .filter_map(|pod| pod.uid())
            .collect();
        found
    }

    /// Media nodes that may be going together with all others, so that nobody can go elsewhere: those that are being deleted
    /// since their StatefulSet is, or all where each is being deleted, as with their namespace.
    #[must_use]
    pub fn left_behind(&self, key: &Key) -> Vec<Arc<Pod>> {
        let set = self.set(&key.namespace, &key.name);
        let mut found = self.labelled(key);
        found.retain(|pod| is_node(pod));
        if !found.iter().all(|pod| pod.metadata.deletion_timestamp.is_some()) {
            found.retain(|pod| is_left_behind(pod, &key.name, set.as_deref()));
        }
        found
    }

    /// UIDs of everything with a cluster's labels.
    #[must_use]
    pub fn uids(&self, key: &Key) -> BTreeSet<String> {
        self.labelled(key).iter().filter_map(|pod| pod.uid()).collect()
    }

    /// Media nodes without a controller: those of a StatefulSet that is being made anew, unless somebody else made them.
    #[must_use]
    pub fn uncontrolled(&self, id: &ClusterId) -> Vec<Arc<Pod>> {
        let mut found = self.labelled(&Key::from(id));
        found.retain(|pod| is_node(pod) && controller(&pod.metadata).is_none());
        found
    }

    /// Everything with the labels of a cluster's Redis, ordered by name.
    #[must_use]
    pub fn of_redis(&self, id: &ClusterId) -> Vec<Arc<Pod>> {
        let mut found = self.labelled(&Key::from(id));
        found.retain(|pod| is_of(pod, Component::Redis));
        found
    }

    /// Pods that a StatefulSet which is no more has left, under names that a cluster's new one of this name would need. Those of
    /// somebody else's StatefulSet are where they belong: of that, the apply tells.
    #[must_use]
    pub fn in_the_way(&self, id: &ClusterId, set: &str) -> Vec<Arc<Pod>> {
        let namespace = id.namespace.as_str();
        let live = self.set(namespace, set);
        if live.is_some_and(|live| whose(&live.metadata, id) == Whose::Others) {
            return Vec::new();
        }
        let mut found = self.store.state_filter(|pod| {
            let owner = controller(&pod.metadata);
            pod.metadata.namespace.as_deref() == Some(namespace) && owner.is_some_and(|owner| is_set(owner, set))
        });
        found.sort_by_key(|pod| pod.name_any());
        found
    }

    fn set(&self, namespace: &str, name: &str) -> Option<Arc<StatefulSet>> {
        self.sets.get(&ObjectRef::new(name).within(namespace))
    }

    fn labelled(&self, key: &Key) -> Vec<Arc<Pod>> {
        let mut found = self.store.state_filter(|pod| key_of(pod).as_ref() == Some(key));
        found.sort_by_key(|pod| pod.name_any());
        found
    }
}

/// Whether a pod is a node of the cluster whose StatefulSet is `set`, under this name. `known` are those that have been.
fn is_member(pod: &Pod, set: Option<&StatefulSet>, name: &str, known: &BTreeSet<String>) -> bool {
    let was_member = || pod.metadata.uid.as_ref().is_some_and(|uid| known.contains(uid));
    match controller(&pod.metadata) {
        Some(owner) if set.is_some_and(|set| set.metadata.uid.as_ref() == Some(&owner.uid)) => true,
        // The one before or the one after, whichever is seen first.
        Some(owner) => is_set(owner, name) && was_member(),
        None => was_member(),
    }
}

/// Whether a pod is of the StatefulSet or the Deployment of this name, as those of front door and Redis are: labels are for
/// everybody to give.
#[must_use]
pub fn is_controlled(pod: &Pod, name: &str) -> bool {
    let metadata = &pod.metadata;
    controller(metadata).is_some_and(|owner| is_set(owner, name) || is_of_deployment(owner, metadata, name))
}

/// Whether a pod is being deleted since its StatefulSet of this name is. `set` is the one that there is now.
#[must_use]
pub fn is_left_behind(pod: &Pod, name: &str, set: Option<&StatefulSet>) -> bool {
    let owner = controller(&pod.metadata).filter(|owner| is_set(owner, name));
    let stays =
        |uid: &String| set.is_some_and(|set| set.metadata.uid.as_ref() == Some(uid) && !is_going(&set.metadata));
    pod.metadata.deletion_timestamp.is_some() && owner.is_some_and(|owner| !stays(&owner.uid))
}

/// Whether an object is being deleted, and what hangs on it with it.
fn is_going(object: &ObjectMeta) -> bool {
    let keeps_pods = object.finalizers.iter().flatten().any(|finalizer| finalizer == ORPHAN);
    object.deletion_timestamp.is_some() && !keeps_pods
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn pod(metadata: &Value) -> Pod {
        serde_json::from_value(json!({ "metadata": metadata })).unwrap()
    }

    fn owned_by(kind: &str, name: &str, uid: &str) -> Value {
        json!([{ "apiVersion": "apps/v1", "kind": kind, "name": name, "uid": uid, "controller": true }])
    }

    fn set(metadata: &Value) -> StatefulSet {
        serde_json::from_value(json!({ "metadata": metadata })).unwrap()
    }

    #[test]
    fn a_pod_is_a_node_by_its_controller_and_not_by_its_labels() {
        let (ours, known) = (
            set(&json!({ "name": "live", "uid": "s" })),
            BTreeSet::from(["was".to_owned()]),
        );
        for (what, uid, owners, there, expected) in [
            ("a pod of ours", "p", owned_by("StatefulSet", "live", "s"), true, true),
            ("a pod that is only so labelled", "p", json!([]), true, false),
            (
                "a pod of another controller",
                "p",
                owned_by("ReplicaSet", "live", "s2"),
                true,
                false,
            ),
            (
                "a pod of the cluster before",
                "p",
                owned_by("StatefulSet", "live", "s0"),
                true,
                false,
            ),
            ("ours while the StatefulSet is made anew", "was", json!([]), false, true),
            (
                "ours, taken over by one that is not seen yet",
                "was",
                owned_by("StatefulSet", "live", "s2"),
                true,
                true,
            ),
            (
                "ours, whose StatefulSet is gone",
                "was",
                owned_by("StatefulSet", "live", "s"),
                false,
                true,
            ),
            (
                "one that somebody else has taken over",
                "was",
                owned_by("StatefulSet", "other", "o"),
                true,
                false,
            ),
            (
                "a stranger while the StatefulSet is made anew",
                "p",
                json!([]),
                false,
                false,
            ),
        ] {
            let pod = pod(&json!({ "name": "live-0", "uid": uid, "ownerReferences": owners }));
            let set = there.then_some(&ours);
            assert_eq!(is_member(&pod, set, "live", &known), expected, "{what}");
        }
    }

    #[test]
    fn a_front_door_or_a_redis_is_one_by_its_controller() {
        for (kind, name, expected) in [
            ("ReplicaSet", "live-web-6b7", true),
            ("ReplicaSet", "live-web-5f9", false),
            ("ReplicaSet", "live-web-mine-6b7", false),
            ("ReplicaSet", "live-web", false),
            ("ReplicaSet", "other-web-6b7", false),
            ("StatefulSet", "live-web", true),
            ("StatefulSet", "live-web-6b7", false),
            ("Job", "live-web", false),
        ] {
            let labels = json!({ "pod-template-hash": "6b7" });
            let pod = pod(&json!({ "name": "p", "labels": labels, "ownerReferences": owned_by(kind, name, "u") }));
            assert_eq!(is_controlled(&pod, "live-web"), expected, "{kind} {name}");
        }
        assert!(!is_controlled(&pod(&json!({ "name": "live-web-6b7-x" })), "live-web"));
    }

    #[test]
    fn a_node_is_left_behind_when_it_is_deleted_with_its_stateful_set() {
        let soon = "2200-01-01T00:00:00Z";
        let going = json!({ "uid": "s", "deletionTimestamp": soon, "finalizers": ["foregroundDeletion"] });
        let orphaning = json!({ "uid": "s", "deletionTimestamp": soon, "finalizers": ["orphan"] });
        let gone = Value::Null;
        for (what, of, deleted, live, expected) in [
            ("its StatefulSet is gone", "live", true, &gone, true),
            ("another one has its name", "live", true, &json!({ "uid": "s2" }), true),
            ("its StatefulSet goes after its pods", "live", true, &going, true),
            ("its StatefulSet goes without its pods", "live", true, &orphaning, false),
            ("it is replaced", "live", true, &json!({ "uid": "s" }), false),
            ("it was not told to end yet", "live", false, &gone, false),
            ("it belongs to another StatefulSet", "other", true, &gone, false),
        ] {
            let mut metadata =
                json!({ "name": "live-0", "uid": "p", "ownerReferences": owned_by("StatefulSet", of, "s") });
            if deleted {
                metadata["deletionTimestamp"] = json!(soon);
            }
            let live = (!live.is_null()).then(|| set(live));
            assert_eq!(
                is_left_behind(&pod(&metadata), "live", live.as_ref()),
                expected,
                "{what}"
            );
        }
    }
}
