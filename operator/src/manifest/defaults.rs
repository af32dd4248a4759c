//! What one installation of the operator gives to all its clusters: fields of `spec` that an SfuCluster leaves out. Pure.

use super::{Unknown, check_schema};
use serde_json::{Map, Value};
use std::str::FromStr;

/// Fields that may be given: those of pods, without a default in the definition. Where that has one, the API server has filled it in, and nobody sees
/// any more what was left out.
const FIELDS: [&str; 15] = [
    "affinity",
    "imagePullPolicy",
    "imagePullSecrets",
    "nodeSelector",
    "podAnnotations",
    "podLabels",
    "priorityClassName",
    "resources",
    "tolerations",
    "topologySpreadConstraints",
    "userIds",
    "web.pods",
    "web.resources",
    "redis.managed.pods",
    "redis.managed.resources",
];
const EXAMPLE: &str = r#"{"imagePullSecrets": [{"name": "registry"}]}"#;

/// A part of a `spec`, which every cluster of this installation has where its own says nothing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Defaults(Map<String, Value>);

impl FromStr for Defaults {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let value: Value =
            serde_json::from_str(text).map_err(|error| format!("write JSON, such as {EXAMPLE}: {error}"))?;
        check_schema(&value, Unknown::Refuse).map_err(|problem| format!("{}: {}", problem.path, problem.text))?;
        let Value::Object(fields) = value else {
            return Err(format!("write an object, such as {EXAMPLE}"));
        };
        match outside("", &fields) {
            Some(path) => Err(format!(
                "spec.{path} cannot be given to all clusters; these can: {}",
                FIELDS.join(", ")
            )),
            None => Ok(Self(fields)),
        }
    }
}

impl Defaults {
    /// Fills in what `spec` leaves out. Objects are filled in field by field; a list, a map of labels or a quantity that is there stays as it is.
    pub fn fill(&self, spec: &mut Value) {
        let mut given = self.0.clone();
        if spec.pointer("/redis/external").is_some_and(|it| !it.is_null()) {
            // It has no pods of ours.
            given.remove("redis");
        }
        if spec.is_null() {
            *spec = Value::Object(Map::new());
        }
        if let Value::Object(fields) = spec {
            fill("", fields, given);
        }
    }
}

fn fill(above: &str, fields: &mut Map<String, Value>, given: Map<String, Value>) {
    for (key, value) in given {
        let path = join(above, &key);
        match (fields.get_mut(&key), value) {
            (Some(Value::Object(own)), Value::Object(value)) if is_of_parts(&path) => fill(&path, own, value),
            (None | Some(Value::Null), value) => drop(fields.insert(key, value)),
            (Some(_), _) => {}
        }
    }
}

/// Whether a field holds others that say different things: a cluster may say one of them, and leave another out.
fn is_of_parts(path: &str) -> bool {
    let name = path.rsplit('.').next().unwrap_or_default();
    matches!(name, "resources" | "requests" | "limits" | "pods") || is_above_fields(path)
}

fn is_above_fields(path: &str) -> bool {
    FIELDS
        .iter()
        .any(|field| field.strip_prefix(path).is_some_and(|below| below.starts_with('.')))
}

/// The first field that may not be given.
fn outside(above: &str, fields: &Map<String, Value>) -> Option<String> {
    fields.iter().find_map(|(key, value)| {
        let path = join(above, key);
        if FIELDS.contains(&path.as_str()) {
            return None;
        }
        match value {
            Value::Object(below) if is_above_fields(&path) => outside(&path, below),
            _ => Some(path),
        }
    })
}

fn join(above: &str, key: &str) -> String {
    if above.is_empty() {
        key.to_owned()
    } else {
        format!("{above}.{key}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn filled(given: &Value, spec: Value) -> Value {
        let mut spec = spec;
        given.to_string().parse::<Defaults>().unwrap().fill(&mut spec);
        spec
    }

    #[test]
    fn what_a_cluster_leaves_out_is_filled_in_and_what_it_says_stays() {
        let given = json!({
            "imagePullSecrets": [{ "name": "registry" }],
            "priorityClassName": "media",
            "userIds": "Platform",
            "nodeSelector": { "pool": "media" },
            "resources": { "requests": { "cpu": "1" }, "limits": { "memory": "1Gi" } },
            "web": { "pods": { "priorityClassName": "doors" } },
            "redis": { "managed": { "resources": { "limits": { "memory": "64Mi" } } } },
        });
        assert_eq!(filled(&given, Value::Null), given);
        let own = json!({
            "replicas": 2,
            "imagePullSecrets": [],
            "priorityClassName": null,
            "userIds": "Fixed",
            "nodeSelector": { "rack": "a" },
            "resources": { "requests": { "memory": "256Mi" } },
            "web": { "replicas": 1 },
            "redis": { "external": { "urlSecretRef": { "name": "r", "key": "url" } } },
        });
        assert_eq!(
            filled(&given, own),
            json!({
                "replicas": 2,
                "imagePullSecrets": [],
                "priorityClassName": "media",
                "userIds": "Fixed",
                "nodeSelector": { "rack": "a" },
                "resources": { "requests": { "memory": "256Mi", "cpu": "1" }, "limits": { "memory": "1Gi" } },
                "web": { "replicas": 1, "pods": { "priorityClassName": "doors" } },
                "redis": { "external": { "urlSecretRef": { "name": "r", "key": "url" } } },
            })
        );
    }

    #[test]
    fn what_cannot_be_given_is_refused_with_what_can() {
        for (text, words) in [
            ("registry", "write JSON, such as"),
            ("[]", "object"),
            (
                r#"{"replicas": 5}"#,
                "spec.replicas cannot be given to all clusters; these can: affinity",
            ),
            (r#"{"web": {"replicas": 5}}"#, "spec.web.replicas cannot"),
            (r#"{"web": 5}"#, "spec.web"),
            (r#"{"imagePullSecret": []}"#, "imagePullSecret"),
            (r#"{"imagePullPolicy": "Sometimes"}"#, "imagePullPolicy"),
        ] {
            let refused = text.parse::<Defaults>().unwrap_err();
            assert!(refused.contains(words), "{text}: {refused}");
        }
        assert_eq!("{}".parse(), Ok(Defaults::default()));
    }

    /// What has a default in the definition is in every object that the operator reads.
    #[test]
    fn the_definition_has_no_default_for_what_may_be_given() {
        let crd = crate::crds::definition();
        for field in FIELDS {
            let below = format!("spec.{field}").replace('.', "/properties/");
            let path = format!("/spec/versions/0/schema/openAPIV3Schema/properties/{below}");
            let schema = crd.pointer(&path).unwrap_or_else(|| panic!("there is no {field}"));
            assert_eq!(schema.get("default"), None, "{field}");
        }
    }
}
