//! Redis reads its password when it starts, and nodes follow theirs in a file. So a pod of Redis that has started with another
//! password is replaced.
//!
//! The workload says with which password it was made, and the pod says so only if that is another: else an upgrade of the
//! operator would replace every Redis.

use super::upgrade::given_template;
use crate::controller::build::REDIS_PASSWORD_VARIABLE;
use crate::controller::build::secret_keys::{REDIS_CONF, REDIS_PASSWORD};
use crate::controller::secret::Data;
use crate::controller::secret::redis_password::NodesRead;
use crate::controller::watch::seen::StatefulSet;
use k8s_openapi::api::core::v1::PodTemplateSpec;
use kube::core::ObjectMeta;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// Annotation of Redis' workload: fingerprint of the password that it was made with.
const MADE_WITH: &str = "sfumato.dev/made-with-password";
/// Annotation of Redis' pod: fingerprint of the password, where that is another one by now.
const CHANGED_TO: &str = "sfumato.dev/password";
/// Bytes of a fingerprint: enough to tell passwords apart, and too few to find one by it.
const FINGERPRINT_BYTES: usize = 4;

/// Has the pod replaced when the password has changed since it was made. `live` is the workload that there is.
pub fn follow(metadata: &mut ObjectMeta, template: &mut PodTemplateSpec, live: Option<&ObjectMeta>, secret: &Data) {
    let Some(now) = secret
        .get(REDIS_CONF)
        .map(|configuration| fingerprint(&configuration.0))
    else {
        return;
    };
    let said = live.and_then(|live| live.annotations.as_ref()?.get(MADE_WITH));
    let made_with = said.unwrap_or(&now).clone();
    if made_with != now {
        let annotations = template
            .metadata
            .get_or_insert_default()
            .annotations
            .get_or_insert_default();
        annotations.insert(CHANGED_TO.to_owned(), now);
    }
    let annotations = metadata.annotations.get_or_insert_default();
    annotations.insert(MADE_WITH.to_owned(), made_with);
}

/// How the nodes of a StatefulSet read the password, by the template that they were given.
#[must_use]
pub fn nodes_read(live: Option<&StatefulSet>) -> NodesRead {
    let given = live.and_then(|live| given_template(&live.metadata)).unwrap_or_default();
    let variables = given.pointer("/spec/containers/0/env").and_then(Value::as_array);
    let is_password = |variable: &&Value| variable["name"] == REDIS_PASSWORD_VARIABLE;
    let password = variables.into_iter().flatten().find(is_password);
    match password {
        Some(variable) if variable["valueFrom"]["secretKeyRef"]["key"] == REDIS_PASSWORD => NodesRead::Url,
        _ => NodesRead::File,
    }
}

fn fingerprint(text: &[u8]) -> String {
    let digest = Sha256::digest(text);
    digest
        .iter()
        .take(FINGERPRINT_BYTES)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use k8s_openapi::ByteString;
    use serde_json::json;

    /// What becomes of a workload, and what its pod says.
    fn followed(live: Option<&ObjectMeta>, password: &str) -> (ObjectMeta, Option<String>) {
        let secret: Data = [(REDIS_CONF.to_owned(), ByteString(password.as_bytes().to_vec()))].into();
        let (mut metadata, mut template) = (ObjectMeta::default(), PodTemplateSpec::default());
        follow(&mut metadata, &mut template, live, &secret);
        let said = template.metadata.and_then(|pod| pod.annotations?.remove(CHANGED_TO));
        (metadata, said)
    }

    #[test]
    fn a_pod_is_replaced_when_the_password_changes_and_for_nothing_else() {
        let (made, pod) = followed(None, "a");
        assert_eq!(pod, None, "it is made with it");
        assert_eq!(followed(Some(&made), "a"), (made.clone(), None));
        let (changed, pod) = followed(Some(&made), "b");
        assert!(pod.is_some() && changed == made);
        assert_eq!(followed(Some(&changed), "b").1, pod, "once");
        assert_ne!(followed(Some(&changed), "c").1, pod);
        assert_eq!(followed(Some(&changed), "a"), (made, None), "what it was made with");
    }

    #[test]
    fn nodes_of_the_release_before_read_the_password_in_a_url() {
        let given = |key: &str| {
            let variable = json!({ "name": "SFUMATO_REDIS_PASSWORD", "valueFrom": { "secretKeyRef": { "key": key } } });
            let template = json!({ "spec": { "containers": [{ "env": [{ "name": "A" }, variable] }] } });
            let annotations = json!({ "sfumato.dev/template": template.to_string() });
            serde_json::from_value::<StatefulSet>(json!({ "metadata": { "annotations": annotations } })).unwrap()
        };
        assert_eq!(nodes_read(Some(&given("redis-password"))), NodesRead::Url);
        assert_eq!(nodes_read(Some(&given("redis-password-encoded"))), NodesRead::File);
        assert_eq!(nodes_read(Some(&StatefulSet::default())), NodesRead::File);
        assert_eq!(nodes_read(None), NodesRead::File);
    }

    #[test]
    fn an_upgrade_of_the_operator_replaces_no_pod() {
        assert_eq!(followed(Some(&ObjectMeta::default()), "a").1, None);
    }

    #[test]
    fn a_fingerprint_says_too_little_to_find_a_password_by_it() {
        assert_eq!(fingerprint(b"hunter2").len(), 8);
    }
}
