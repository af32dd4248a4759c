//! What a change of a StatefulSet takes. Most of its spec cannot be changed: then it is made anew around its pods. Another
//! volume takes other pods as well: see [`super::redis_workload`].
//!
//! What is compared is what was asked for before with what is asked for now, and not with what there is: others may fill in
//! fields of ours when an object is created (defaults, admission webhooks), and would do so again each time that it is made anew.

use crate::controller::watch::seen::{Claim, SetSpec, StatefulSet};
use k8s_openapi::api::apps::v1;
use serde_json::Value;

/// Annotation of a StatefulSet: of its fields that cannot be changed, what was asked for.
const ASKED_FOR: &str = "sfumato.dev/asked-for";
/// These fields. The last cannot be changed in older releases of Kubernetes.
const FIXED: [&str; 5] = [
    "selector",
    "serviceName",
    "podManagementPolicy",
    "volumeClaimTemplates",
    "revisionHistoryLimit",
];

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
    let asked = asked_for(live);
    let (live, desired) = (asked.as_ref().unwrap_or(&live.spec), &desired.spec);
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

/// Whether a StatefulSet was asked for these volumes.
#[must_use]
pub fn has_claims(live: &StatefulSet, desired: &[Claim]) -> bool {
    let all = |live: &[Claim], is: fn(&Claim, &Claim) -> bool| {
        live.len() == desired.len() && live.iter().zip(desired).all(|(live, desired)| is(live, desired))
    };
    match asked_for(live) {
        Some(asked) => all(&asked.volume_claim_templates, Claim::is_same),
        // One of the release before: what we do not say may have been filled in.
        None => all(&live.spec.volume_claim_templates, Claim::has),
    }
}

fn asked_for(live: &StatefulSet) -> Option<SetSpec> {
    serde_json::from_str(live.metadata.annotations.as_ref()?.get(ASKED_FOR)?).ok()
}

/// What to apply: `desired` with a note of what is asked for, and with the fields that cannot be changed as they are, where
/// there is a StatefulSet already: the API server would refuse an apply that takes out what others have filled in.
///
/// # Errors
/// When it cannot be written as JSON.
pub fn applicable(desired: &v1::StatefulSet, live: Option<&StatefulSet>) -> serde_json::Result<v1::StatefulSet> {
    let mut desired = desired.clone();
    let mut asked = serde_json::to_value(&desired.spec)?;
    if let Value::Object(fields) = &mut asked {
        fields.retain(|field, _| FIXED.contains(&field.as_str()));
    }
    let annotations = desired.metadata.annotations.get_or_insert_default();
    annotations.insert(ASKED_FOR.to_owned(), asked.to_string());
    if let (Some(spec), Some(live)) = (&mut desired.spec, live.map(|live| &live.spec)) {
        spec.selector = live.selector.clone();
        spec.service_name = live.service_name.clone().or(spec.service_name.take());
        spec.pod_management_policy = live.pod_management_policy.clone().or(spec.pod_management_policy.take());
        let claims = live.volume_claim_templates.iter().map(|claim| claim.0.clone());
        let claims: Vec<_> = serde_json::from_value(claims.collect())?;
        spec.volume_claim_templates = (!claims.is_empty()).then_some(claims);
    }
    Ok(desired)
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
        serde_json::from_value(json!({ "metadata": { "name": "live" }, "spec": spec(change) })).unwrap()
    }

    #[allow(clippy::needless_pass_by_value, reason = "a test reads better without the ampersand")]
    fn spec(change: Value) -> Value {
        let mut spec = json!({
            "replicas": 3, "serviceName": "live-nodes", "podManagementPolicy": "Parallel",
            "selector": { "matchLabels": { "a": "b" } }, "template": { "spec": { "containers": [] } },
        });
        for (key, value) in change.as_object().unwrap() {
            spec[key] = value.clone();
        }
        spec
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

    /// What was asked for once, as it has been applied and others have changed it since.
    fn applied(asked: Value, changed: Value) -> StatefulSet {
        let desired: v1::StatefulSet = serde_json::from_value(json!({ "spec": spec(asked) })).unwrap();
        let annotations = applicable(&desired, None).unwrap().metadata.annotations;
        let mut live = set(changed);
        live.metadata.annotations = annotations;
        live
    }

    fn same(one: Value, other: Value) -> bool {
        let desired = set(other).spec.volume_claim_templates;
        let (asked, unknown) = (applied(one.clone(), one.clone()), set(one));
        assert_eq!(has_claims(&asked, &desired), has_claims(&unknown, &desired));
        has_claims(&asked, &desired)
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

    /// What a webhook makes of a claim: another class, and a size that it finds better.
    fn changed(size: &str) -> Value {
        let mut changed = claim(size);
        changed["volumeClaimTemplates"][0]["spec"]["storageClassName"] = json!("theirs");
        changed["revisionHistoryLimit"] = json!(3);
        changed
    }

    #[test]
    fn what_others_make_of_a_stateful_set_when_it_is_created_is_no_change_and_stays() {
        let claims = |asked| set(asked).spec.volume_claim_templates;
        let live = applied(claim("1Gi"), changed("10Gi"));
        assert!(has_claims(&live, &claims(claim("1024Mi"))));
        assert!(!has_claims(&live, &claims(claim("10Gi"))), "it was asked for less");
        let of_the_release_before = set(changed("1Gi"));
        assert!(has_claims(&of_the_release_before, &claims(claim("1Gi"))));
        let named = applied(changed("1Gi"), changed("1Gi"));
        assert!(
            !has_claims(&named, &claims(claim("1Gi"))),
            "the class is not asked for any more"
        );

        let asked = json!({ "revisionHistoryLimit": 5 });
        assert_eq!(
            classify(&applied(asked.clone(), changed("1Gi")), &set(asked)),
            SetUpdate::Patch
        );

        let desired: v1::StatefulSet = serde_json::from_value(json!({ "spec": spec(claim("1Gi")) })).unwrap();
        let mut ordered = changed("10Gi");
        ordered["podManagementPolicy"] = json!("OrderedReady");
        let spec = applicable(&desired, Some(&set(ordered))).unwrap().spec.unwrap();
        let kept = spec.volume_claim_templates.unwrap().remove(0).spec.unwrap();
        assert_eq!(kept.storage_class_name.as_deref(), Some("theirs"));
        assert_eq!(spec.pod_management_policy.as_deref(), Some("OrderedReady"));
    }
}
