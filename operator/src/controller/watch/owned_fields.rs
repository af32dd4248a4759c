//! Which fields of a live object are ours, as a digest. As the API server tells it, for every field of every manager, it is
//! most of what an object takes in memory: every field is a map of its own.

use crate::controller::build::MANAGER;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{FieldsV1, ManagedFieldsEntry};
use kube::core::ObjectMeta;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// Operation of server-side apply.
const APPLY: &str = "Apply";

/// Leaves of an object's managed fields only a digest of ours.
pub fn condense(meta: &mut ObjectMeta) {
    let Some(all) = meta.managed_fields.take() else {
        return;
    };
    meta.managed_fields = all.iter().find(|entry| is_ours(entry)).map(|ours| {
        vec![ManagedFieldsEntry {
            manager: Some(MANAGER.to_owned()),
            operation: Some(APPLY.to_owned()),
            fields_v1: Some(FieldsV1(Value::String(written(ours.fields_v1.as_ref())))),
            ..ManagedFieldsEntry::default()
        }]
    });
}

/// The digest of a condensed object: when somebody else changes a field that we apply, it becomes theirs, and this changes.
#[must_use]
pub fn digest(meta: &ObjectMeta) -> Option<&str> {
    let [ours] = meta.managed_fields.as_deref()? else {
        return None;
    };
    ours.fields_v1.as_ref()?.0.as_str()
}

fn is_ours(entry: &ManagedFieldsEntry) -> bool {
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
}
