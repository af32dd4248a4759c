//! Which fields of a live object are ours, as a digest, and whether somebody else scales it. As the API server tells it, for
//! every field of every manager, it is most of what an object takes in memory: every field is a map of its own.

use crate::controller::build::MANAGER;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{FieldsV1, ManagedFieldsEntry};
use kube::core::ObjectMeta;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// Operation of server-side apply.
pub(super) const APPLY: &str = "Apply";

/// What is left of the fields of somebody else: that the number is theirs alone,
const THEIRS: &str = "theirs";
/// or that we have applied the same one since.
const SHARED: &str = "shared";

/// Leaves of an object's managed fields only a digest of ours, and who else has set its number of replicas.
pub fn condense(meta: &mut ObjectMeta) {
    let Some(all) = meta.managed_fields.take() else {
        return;
    };
    let ours = all.iter().find(|entry| is_ours(entry)).map(|ours| {
        let digest = written(ours.fields_v1.as_ref());
        (Some(MANAGER.to_owned()), Some(APPLY.to_owned()), digest)
    });
    let is_shared = all.iter().any(|entry| is_ours(entry) && has_replicas(entry));
    let scaler = all.iter().find(|entry| scales(entry));
    let whose = if is_shared { SHARED } else { THEIRS };
    let scaler = scaler.map(|it| (it.manager.clone(), it.operation.clone(), whose.to_owned()));
    let left: Vec<ManagedFieldsEntry> = [ours, scaler].into_iter().flatten().map(entry).collect();
    meta.managed_fields = (!left.is_empty()).then_some(left);
}

fn entry((manager, operation, text): (Option<String>, Option<String>, String)) -> ManagedFieldsEntry {
    ManagedFieldsEntry {
        manager,
        operation,
        fields_v1: Some(FieldsV1(Value::String(text))),
        ..ManagedFieldsEntry::default()
    }
}

/// The digest of a condensed object: when somebody else changes a field that we apply, it becomes theirs, and this changes.
#[must_use]
pub fn digest(meta: &ObjectMeta) -> Option<&str> {
    let mut entries = meta.managed_fields.iter().flatten();
    entries.find(|entry| is_ours(entry))?.fields_v1.as_ref()?.0.as_str()
}

/// Who else has set the number of replicas of a condensed object: an autoscaler, or a person.
#[must_use]
pub fn scaled_by(meta: &ObjectMeta) -> Option<&str> {
    scaler(meta)?.manager.as_deref()
}

/// Who else has set it since we applied it last.
#[must_use]
pub fn scaled_away_by(meta: &ObjectMeta) -> Option<&str> {
    let scaler = scaler(meta)?;
    let is_theirs = scaler.fields_v1.as_ref().is_some_and(|fields| fields.0 == THEIRS);
    scaler.manager.as_deref().filter(|_| is_theirs)
}

fn scaler(meta: &ObjectMeta) -> Option<&ManagedFieldsEntry> {
    let mut entries = meta.managed_fields.iter().flatten();
    entries.find(|entry| !is_ours(entry))
}

fn scales(entry: &ManagedFieldsEntry) -> bool {
    entry.manager.as_deref() != Some(MANAGER) && has_replicas(entry)
}

fn has_replicas(entry: &ManagedFieldsEntry) -> bool {
    let fields = entry.fields_v1.as_ref();
    fields.is_some_and(|fields| fields.0.pointer("/f:spec/f:replicas").is_some())
}

pub(super) fn is_ours(entry: &ManagedFieldsEntry) -> bool {
    entry.manager.as_deref() == Some(MANAGER)
        && entry.operation.as_deref() == Some(APPLY)
        && entry.subresource.as_deref().is_none_or(str::is_empty)
}

fn written(fields: Option<&FieldsV1>) -> String {
    // Names of fields: writing them cannot fail.
    let text = serde_json::to_vec(&fields).unwrap_or_default();
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    fn condensed(managed: &Value) -> ObjectMeta {
        let mut meta: ObjectMeta = serde_json::from_value(json!({ "name": "live", "managedFields": managed })).unwrap();
        condense(&mut meta);
        meta
    }

    fn entry(manager: &str, operation: &str, subresource: &str, fields: &Value) -> Value {
        json!({ "manager": manager, "operation": operation, "subresource": subresource, "fieldsV1": fields })
    }

    #[test]
    fn the_digest_follows_the_fields_that_are_ours_and_no_others() {
        let ours = |fields: &Value, others: &Value| {
            condensed(&json!([
                entry("kubectl", "Update", "", others),
                entry(MANAGER, APPLY, "", fields)
            ]))
        };
        let nothing = json!({});
        let two = json!({ "f:spec": { "f:replicas": {}, "f:template": {} } });
        let one = json!({ "f:spec": { "f:template": {} } });
        let before = ours(&two, &nothing);
        assert!(digest(&before).is_some());
        assert_eq!(digest(&before), digest(&ours(&two, &one)));
        assert_ne!(digest(&before), digest(&ours(&one, &nothing)));
    }

    #[test]
    fn nothing_is_kept_of_an_object_that_we_did_not_apply() {
        let fields = json!({ "f:status": {} });
        let all = json!([
            entry("kubelet", "Update", "status", &fields),
            entry(MANAGER, APPLY, "status", &fields),
            entry(MANAGER, "Update", "", &fields),
        ]);
        assert_eq!(condensed(&all).managed_fields, None);
        assert_eq!(digest(&ObjectMeta::default()), None);
    }

    #[test]
    fn whoever_else_has_set_the_replicas_is_known_and_changes_no_digest() {
        let replicas = json!({ "f:spec": { "f:replicas": {} } });
        let ours = entry(MANAGER, APPLY, "", &json!({ "f:spec": { "f:template": {} } }));
        let alone = condensed(&json!([ours]));
        for subresource in ["scale", ""] {
            let scaled = condensed(&json!([entry("autoscaler", "Update", subresource, &replicas), ours]));
            assert_eq!(scaled_by(&scaled), Some("autoscaler"));
            assert_eq!(scaled_away_by(&scaled), Some("autoscaler"));
            assert_eq!(digest(&scaled), digest(&alone));
        }
        let autoscaler = entry("autoscaler", "Update", "scale", &replicas);
        let shared = condensed(&json!([autoscaler, entry(MANAGER, APPLY, "", &replicas)]));
        assert_eq!(
            (scaled_by(&shared), scaled_away_by(&shared)),
            (Some("autoscaler"), None)
        );
        assert_eq!(scaled_by(&alone), None);
        assert_eq!(
            scaled_by(&condensed(&json!([entry(MANAGER, APPLY, "", &replicas)]))),
            None
        );
        let other = entry("kubectl", "Update", "", &json!({ "f:spec": { "f:template": {} } }));
        assert_eq!(scaled_by(&condensed(&json!([other]))), None);
    }
}
