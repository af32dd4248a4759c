//! Fields of an object that somebody made from a copy of one of ours, such as a backup. As the API server knows it they are those
//! of whoever made it: by server-side apply they would stay for ever, also where our manifest names them no more. Pure.
//!
//! The idea is that of client-go's `csaupgrade`: before the first apply, the fields are written down as our own.

use super::owned_fields::{APPLY, is_ours};
use crate::controller::build::{INSTANCE, MANAGER};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{FieldsV1, ManagedFieldsEntry};
use serde_json::{Map, Value};

/// Form of the fields of an entry: there is no other.
const FIELDS_TYPE: &str = "FieldsV1";
/// Marks the field itself among those in it.
const ITSELF: &str = ".";

/// What the managed fields of a live object are to be before `desired` is applied over it; `None` where they may stay.
///
/// Whoever has written our label has made the object from a copy of ours. Of such a manager's fields, all become ours that are in
/// the parts which we write, such as `spec`. In metadata others add what is theirs: there only the labels and annotations become
/// ours that we write. Entries of subresources stay as they are, since that of `scale` says who scales.
#[must_use]
pub fn taken_over(managed: &[ManagedFieldsEntry], desired: &Value) -> Option<Vec<ManagedFieldsEntry>> {
    let mut all = Vec::new();
    let mut taken = Map::new();
    let mut time = None;
    for entry in managed {
        let copied = fields(entry).filter(|fields| is_copy(entry, fields, desired));
        let Some(copied) = copied else {
            all.push(entry.clone());
            continue;
        };
        let (ours, theirs) = split(copied, desired);
        if !ours.is_empty() {
            merge(&mut taken, ours);
            time.clone_from(&entry.time);
        }
        if !theirs.is_empty() {
            all.push(ManagedFieldsEntry {
                fields_v1: Some(FieldsV1(Value::Object(theirs))),
                ..entry.clone()
            });
        }
    }
    if taken.is_empty() {
        return None;
    }
    match all.iter_mut().find(|entry| is_ours(entry)) {
        Some(ours) => {
            merge(&mut taken, fields(ours).cloned().unwrap_or_default());
            ours.fields_v1 = Some(FieldsV1(Value::Object(taken)));
        }
        None => all.push(ManagedFieldsEntry {
            api_version: desired["apiVersion"].as_str().map(str::to_owned),
            fields_type: Some(FIELDS_TYPE.to_owned()),
            fields_v1: Some(FieldsV1(Value::Object(taken))),
            manager: Some(MANAGER.to_owned()),
            operation: Some(APPLY.to_owned()),
            subresource: None,
            time,
        }),
    }
    Some(all)
}

fn fields(entry: &ManagedFieldsEntry) -> Option<&Map<String, Value>> {
    entry.fields_v1.as_ref()?.0.as_object()
}

/// Whether these fields are of somebody who made the object from a copy of ours.
fn is_copy(entry: &ManagedFieldsEntry, fields: &Map<String, Value>, desired: &Value) -> bool {
    let labels = fields.get("f:metadata").and_then(|metadata| metadata.get("f:labels"));
    !is_ours(entry)
        && entry.subresource.as_deref().is_none_or(str::is_empty)
        && entry.api_version.as_deref() == desired["apiVersion"].as_str()
        && labels.is_some_and(|labels| labels.get(format!("f:{INSTANCE}")).is_some())
}

type Fields = Map<String, Value>;

/// Splits the fields of an object into those that become ours and those that stay.
fn split(fields: &Fields, desired: &Value) -> (Fields, Fields) {
    let (mut ours, mut theirs) = (Fields::new(), Fields::new());
    for (key, value) in fields {
        let said = said(key, desired);
        let (mine, others) = match key.as_str() {
            "f:metadata" => split_metadata(value, said),
            _ if said.is_none() => (None, Some(value.clone())),
            _ => split_part(value, said),
        };
        ours.extend(mine.map(|mine| (key.clone(), mine)));
        theirs.extend(others.map(|others| (key.clone(), others)));
    }
    (ours, theirs)
}

/// What is desired of a field by its name in managed fields.
fn said<'a>(key: &str, desired: &'a Value) -> Option<&'a Value> {
    desired.get(key.strip_prefix("f:")?)
}

/// The same of a part that we write: all of it becomes ours, but for what others have added to the metadata of its pods.
fn split_part(part: &Value, desired: Option<&Value>) -> (Option<Value>, Option<Value>) {
    let mut ours = part.clone();
    let template = ours.get_mut("f:template").and_then(Value::as_object_mut);
    let Some((template, metadata)) = template.and_then(|it| it.remove("f:metadata").map(|metadata| (it, metadata)))
    else {
        return (Some(ours), None);
    };
    let desired = desired.and_then(|part| part.pointer("/template/metadata"));
    let (mine, others) = split_metadata(&metadata, desired);
    template.extend(mine.map(|mine| ("f:metadata".to_owned(), mine)));
    let others = others.map(|others| serde_json::json!({ "f:template": { "f:metadata": others } }));
    (Some(ours), others)
}

/// The same of metadata: labels and annotations that we write become ours.
fn split_metadata(fields: &Value, desired: Option<&Value>) -> (Option<Value>, Option<Value>) {
    let (mut ours, mut theirs) = (Fields::new(), Fields::new());
    for (key, entries) in fields.as_object().into_iter().flatten() {
        let written = said(key, desired.unwrap_or(&Value::Null)).and_then(Value::as_object);
        let (Some(written), Some(entries)) = (written, entries.as_object()) else {
            theirs.insert(key.clone(), entries.clone());
            continue;
        };
        let is_written = |name: &str| name.strip_prefix("f:").is_some_and(|name| written.contains_key(name));
        let (mine, others): (Fields, Fields) = entries.clone().into_iter().partition(|(name, _)| is_written(name));
        if !mine.is_empty() {
            ours.insert(key.clone(), Value::Object(mine));
        }
        if others.keys().any(|name| name != ITSELF) {
            theirs.insert(key.clone(), Value::Object(others));
        }
    }
    let some = |fields: Fields| (fields.keys().any(|name| name != ITSELF)).then_some(Value::Object(fields));
    (some(ours), some(theirs))
}

/// Adds fields to others.
fn merge(into: &mut Fields, more: Fields) {
    for (key, value) in more {
        match (into.get_mut(&key).and_then(Value::as_object_mut), value) {
            (Some(into), Value::Object(more)) => merge(into, more),
            (None, value) => drop(into.insert(key, value)),
            (Some(_), _) => {}
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    fn entry(manager: &str, operation: &str, subresource: Option<&str>, fields: &Value) -> ManagedFieldsEntry {
        serde_json::from_value(json!({
            "manager": manager, "operation": operation, "subresource": subresource, "apiVersion": "apps/v1",
            "fieldsType": "FieldsV1", "fieldsV1": fields, "time": "2026-01-01T00:00:00Z",
        }))
        .unwrap()
    }

    fn desired() -> Value {
        json!({
            "apiVersion": "apps/v1",
            "metadata": { "labels": { "app.kubernetes.io/instance": "live" }, "annotations": { "sfumato.dev/template": "" } },
            "spec": { "template": { "metadata": { "labels": { "app.kubernetes.io/instance": "live" } }, "spec": {} } },
        })
    }

    /// As the fields of an object that was created whole.
    fn copy() -> Value {
        json!({
            "f:metadata": {
                "f:labels": { ".": {}, "f:app.kubernetes.io/instance": {}, "f:velero.io/restore-name": {} },
                "f:annotations": { ".": {}, "f:sfumato.dev/template": {} },
            },
            "f:spec": {
                "f:replicas": {},
                "f:template": {
                    "f:metadata": {
                        "f:labels": { ".": {}, "f:app.kubernetes.io/instance": {} },
                        "f:annotations": { ".": {}, "f:kubectl.kubernetes.io/restartedAt": {} },
                    },
                    "f:spec": { "f:nodeSelector": {} },
                },
            },
            "f:other": {},
        })
    }

    #[test]
    fn the_fields_of_who_made_a_copy_of_ours_become_ours_and_what_others_add_to_metadata_stays_theirs() {
        let scaled = entry(
            "autoscaler",
            "Update",
            Some("scale"),
            &json!({ "f:spec": { "f:replicas": {} } }),
        );
        let noted = entry(
            "kubectl",
            "Update",
            None,
            &json!({ "f:metadata": { "f:labels": { "f:mine": {} } } }),
        );
        let managed = [entry("velero", "Update", None, &copy()), scaled.clone(), noted.clone()];
        let theirs = json!({
            "f:metadata": { "f:labels": { ".": {}, "f:velero.io/restore-name": {} } },
            "f:spec": { "f:template": { "f:metadata": { "f:annotations": { ".": {}, "f:kubectl.kubernetes.io/restartedAt": {} } } } },
            "f:other": {},
        });
        let ours = json!({
            "f:metadata": {
                "f:labels": { "f:app.kubernetes.io/instance": {} }, "f:annotations": { "f:sfumato.dev/template": {} },
            },
            "f:spec": {
                "f:replicas": {},
                "f:template": {
                    "f:metadata": { "f:labels": { "f:app.kubernetes.io/instance": {} } },
                    "f:spec": { "f:nodeSelector": {} },
                },
            },
        });
        let now = taken_over(&managed, &desired()).unwrap();
        let expected = [
            entry("velero", "Update", None, &theirs),
            scaled,
            noted,
            entry(MANAGER, APPLY, None, &ours),
        ];
        assert_eq!(now, expected);
        assert_eq!(taken_over(&now, &desired()), None, "once is enough");
    }

    #[test]
    fn what_becomes_ours_comes_to_what_is_and_who_has_nothing_left_is_forgotten() {
        let labels = json!({ "f:labels": { "f:app.kubernetes.io/instance": {} } });
        let copied = json!({ "f:metadata": labels, "f:spec": { "f:replicas": {} } });
        let ours = json!({ "f:metadata": labels, "f:spec": { "f:template": { "f:spec": {} } } });
        let all = json!({ "f:metadata": labels, "f:spec": { "f:replicas": {}, "f:template": { "f:spec": {} } } });
        for operation in ["Update", "Apply"] {
            let managed = [
                entry("argocd", operation, None, &copied),
                entry(MANAGER, APPLY, None, &ours),
            ];
            assert_eq!(
                taken_over(&managed, &desired()),
                Some(vec![entry(MANAGER, APPLY, None, &all)])
            );
        }
    }

    #[test]
    fn the_fields_of_who_made_no_copy_stay() {
        let spec = json!({ "f:spec": { "f:template": { "f:spec": { "f:nodeSelector": {} } } } });
        let mut old = entry("velero", "Update", None, &copy());
        old.api_version = Some("apps/v1beta1".to_owned());
        for managed in [
            entry("kubectl-edit", "Update", None, &spec),
            entry("kube-controller-manager", "Update", Some("status"), &copy()),
            entry(MANAGER, APPLY, None, &copy()),
            old,
        ] {
            assert_eq!(taken_over(&[managed], &desired()), None);
        }
        assert_eq!(taken_over(&[], &desired()), None);
    }
}
