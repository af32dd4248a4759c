//! What a change of a StatefulSet takes. Most of its spec cannot be changed: then it is made anew around its pods. Another
//! volume takes other pods as well: see [`super::redis_workload`].

use crate::controller::watch::seen::{Claim, StatefulSet};

/// What a change takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SetUpdate {
    Patch,
    /// Deleting the object without its pods, and making it again: it takes them over. Names the field.
    Recreate(&'static str),
}

/// Classifies the change from `live` to `desired`.
#[must_use]
pub fn classify(live: &StatefulSet, desired: &StatefulSet) -> SetUpdate {
    let (live, desired) = (&live.spec, &desired.spec);
    if live.selector != desired.selector {
        return SetUpdate::Recreate("selector");
    }
    if differs(desired.service_name.as_ref(), live.service_name.as_ref()) {
        return SetUpdate::Recreate("serviceName");
    }
    if differs(
        desired.pod_management_policy.as_ref(),
        live.pod_management_policy.as_ref(),
    ) {
        return SetUpdate::Recreate("podManagementPolicy");
    }
    if differs(
        desired.revision_history_limit.as_ref(),
        live.revision_history_limit.as_ref(),
    ) {
        return SetUpdate::Recreate("revisionHistoryLimit");
    }
    SetUpdate::Patch
}

/// Whether these claims ask for the same volumes.
#[must_use]
pub fn are_same_claims(live: &[Claim], desired: &[Claim]) -> bool {
    live.len() == desired.len() && live.iter().zip(desired).all(|(live, desired)| live.is_same(desired))
}

/// What we do not say is the API server's to choose.
fn differs<T: PartialEq>(desired: Option<&T>, live: Option<&T>) -> bool {
    desired.is_some() && desired != live
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[allow(clippy::needless_pass_by_value, reason = "a test reads better without the ampersand")]
    fn set(change: Value) -> StatefulSet {
        let mut spec = json!({
            "replicas": 3, "serviceName": "live-nodes", "podManagementPolicy": "Parallel",
            "selector": { "matchLabels": { "a": "b" } }, "template": { "spec": { "containers": [] } },
        });
        for (key, value) in change.as_object().unwrap() {
            spec[key] = value.clone();
        }
        serde_json::from_value(json!({ "metadata": { "name": "live" }, "spec": spec })).unwrap()
    }

    fn claim(size: &str) -> Value {
        json!({ "volumeClaimTemplates": [{
            "metadata": { "name": "data" },
            "spec": { "resources": { "requests": { "storage": size } } },
        }] })
    }

    #[test]
    fn numbers_and_templates_are_patched() {
        let other = json!({ "replicas": 9, "template": { "spec": { "containers": [], "hostname": "x" } } });
        assert_eq!(classify(&set(json!({})), &set(other)), SetUpdate::Patch);
    }

    #[test]
    fn what_cannot_be_changed_is_made_anew_around_the_pods() {
        for (field, value) in [
            ("serviceName", json!("other")),
            ("podManagementPolicy", json!("OrderedReady")),
            ("selector", json!({ "matchLabels": { "a": "c" } })),
        ] {
            assert_eq!(
                classify(&set(json!({})), &set(json!({ field: value }))),
                SetUpdate::Recreate(field)
            );
        }
    }

    fn same(one: Value, other: Value) -> bool {
        let claims = |it: Value| set(it).spec.volume_claim_templates;
        are_same_claims(&claims(one), &claims(other))
    }

    #[test]
    fn a_claim_is_another_by_its_size_and_its_class_and_where_there_was_none() {
        let mut fast = claim("1Gi");
        fast["volumeClaimTemplates"][0]["spec"]["storageClassName"] = json!("fast");
        assert!(same(claim("1Gi"), claim("1Gi")) && same(json!({}), json!({})));
        assert!(!same(claim("1Gi"), claim("2Gi")) && !same(claim("1Gi"), fast));
        assert!(!same(claim("1Gi"), json!({})) && !same(json!({}), claim("1Gi")));
    }

    #[test]
    fn what_the_api_server_writes_in_its_own_way_or_fills_in_is_no_change() {
        for (ours, theirs) in [("1024Mi", "1Gi"), ("0.5Gi", "512Mi"), ("1000M", "1G")] {
            let mut filled = claim(theirs);
            filled["volumeClaimTemplates"][0]["spec"]["volumeMode"] = json!("Filesystem");
            filled["volumeClaimTemplates"][0]["status"] = json!({ "phase": "Pending" });
            assert!(same(filled, claim(ours)), "{ours}");
        }
    }
}
