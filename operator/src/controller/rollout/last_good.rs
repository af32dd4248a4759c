//! The last manifest that was in order, for an object that no longer is: what runs by it runs on, and so does the care for
//! its mesh, also when the operator was restarted meanwhile.

use super::upgrade::built_from;
use crate::controller::build::{ClusterId, Wish};
use crate::controller::watch::ownership::may_have;
use crate::controller::watch::seen::StatefulSet;
use crate::crd::SfuClusterSpec;
use kube::api::DynamicObject;
use serde_json::json;

/// The wish that the live nodes were built from, as far as their StatefulSet tells; `None` when it is not this object's.
#[must_use]
pub fn last_good(object: &DynamicObject, live: &StatefulSet) -> Option<Wish> {
    let ours = may_have(&live.metadata, &ClusterId::of(&object.metadata));
    let mut said = ours.then(|| built_from(&live.metadata)).flatten()?;
    // The number of nodes is in no pod template, so it is not written down with them.
    said["replicas"] = json!(live.spec.replicas?);
    let spec: SfuClusterSpec = serde_json::from_value(said).ok()?;
    Some(Wish::new(object, spec))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::upgrade::{PodKind, keep};
    use super::*;
    use k8s_openapi::api::core::v1::PodTemplateSpec;
    use kube::core::ObjectMeta;

    #[allow(clippy::needless_pass_by_value, reason = "a test reads better without the ampersand")]
    fn object(spec: serde_json::Value) -> DynamicObject {
        serde_json::from_value(json!({
            "apiVersion": "sfumato.dev/v1alpha1", "kind": "SfuCluster",
            "metadata": { "name": "live", "namespace": "media", "uid": "u" }, "spec": spec,
        }))
        .unwrap()
    }

    fn live(owner: &str, spec: serde_json::Value) -> StatefulSet {
        let mut metadata = ObjectMeta::default();
        let spec: SfuClusterSpec = serde_json::from_value(spec).unwrap();
        keep(
            &mut metadata,
            &mut PodTemplateSpec::default(),
            None,
            (&spec, PodKind::Nodes),
        );
        let mut metadata = json!(metadata);
        metadata["ownerReferences"] =
            json!([{ "apiVersion": "v", "kind": "k", "name": "live", "uid": owner, "controller": true }]);
        serde_json::from_value(json!({ "metadata": metadata, "spec": { "replicas": spec.replicas } })).unwrap()
    }

    #[test]
    fn what_the_nodes_were_built_from_is_the_last_good_manifest() {
        let broken = object(json!({ "replicas": "many" }));
        let was = json!({ "replicas": 5, "mesh": { "lanes": 2 }, "workersPerNode": 2 });
        let wish = last_good(&broken, &live("u", was)).unwrap();
        assert_eq!((wish.spec.replicas, wish.spec.mesh.lanes), (5, Some(2)));
        assert_eq!(wish.id.uid, "u");
    }

    #[test]
    fn nodes_of_another_object_of_this_name_tell_nothing() {
        assert_eq!(last_good(&object(json!({})), &live("other", json!({}))), None);
    }
}
