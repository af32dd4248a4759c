//! Whose a cluster is among several operators. Two that carried out the same objects would undo each other's work. So the first
//! one that writes a status says who it is, and the others leave that cluster alone. Pure.

use crate::crd::status::SfuClusterStatus;
use kube::ResourceExt;
use kube::api::DynamicObject;

/// Annotation of an SfuCluster with the installation, `NAMESPACE/NAME`, that is to look after it from now on.
pub const OPERATOR_ANNOTATION: &str = "sfumato.dev/operator";

/// The installation that looks after this object, if that is not `me`.
#[must_use]
pub fn of_another(object: &DynamicObject, written: &SfuClusterStatus, me: &str) -> Option<String> {
    // One without a name says nothing: else each installation would take the cluster from the other, over and over.
    let told = object
        .annotations()
        .get(OPERATOR_ANNOTATION)
        .filter(|told| !told.is_empty());
    let theirs = told.unwrap_or(&written.operator);
    (!theirs.is_empty() && theirs != me).then(|| theirs.clone())
}

/// What is told of a cluster of another installation, and what to do.
#[must_use]
pub fn left_alone(object: &DynamicObject, other: &str, me: &str) -> String {
    let (name, namespace) = (object.name_any(), object.namespace().unwrap_or_default());
    format!(
        "the operator {other} looks after this cluster, and {me} leaves it alone: give each of them other namespaces \
         (--watch-namespaces) or remove one; to have {me} take over, \
         `kubectl annotate --overwrite --namespace {namespace} sfu/{name} {OPERATOR_ANNOTATION}={me}`"
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_cluster_is_left_to_who_looks_after_it_unless_a_person_says_otherwise() {
        for (annotation, status, expected) in [
            (None, "", None),
            (None, "a/op", None),
            (None, "b/op", Some("b/op")),
            (Some("a/op"), "b/op", None),
            (Some("b/op"), "a/op", Some("b/op")),
            (Some(""), "b/op", Some("b/op")),
            (Some(""), "", None),
        ] {
            let annotations = annotation.map(|it| json!({ OPERATOR_ANNOTATION: it }));
            let object = json!({
                "apiVersion": "sfumato.dev/v1alpha1", "kind": "SfuCluster",
                "metadata": { "name": "live", "annotations": annotations },
            });
            let written = SfuClusterStatus {
                operator: status.to_owned(),
                ..SfuClusterStatus::default()
            };
            let other = of_another(&serde_json::from_value(object).unwrap(), &written, "a/op");
            assert_eq!(other.as_deref(), expected, "{annotation:?} {status}");
        }
    }
}
