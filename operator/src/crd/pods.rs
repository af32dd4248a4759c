//! What a manifest says of pods in the words of Kubernetes, and how their schemas are bounded: the API server estimates
//! the cost of the CEL rules from these bounds.

use super::rules;
use clap::ValueEnum;
use k8s_openapi::api::core::v1::{Affinity, Toleration};
use kube::KubeSchema;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// Most entries of a map such as `nodeSelector` or `podLabels`.
pub const MAX_MAP: u32 = 64;

/// Where pods of front door or Redis run, and what else is said of them; nodes have the same fields in `spec` itself.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct PodOptions {
    /// Labels that a host must have to run these pods, besides `kubernetes.io/os: linux`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "map_schema")]
    pub node_selector: BTreeMap<String, String>,
    /// Taints of hosts that these pods put up with. Without others of these keys, `not-ready` and `unreachable` are tolerated
    /// for 90 s.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "brief::<Vec<Toleration>>")]
    pub tolerations: Vec<Toleration>,
    /// Which hosts these pods prefer, need or avoid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "brief::<Affinity>")]
    pub affinity: Option<Affinity>,
    /// PriorityClass of these pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(min = 1, max = 253))]
    pub priority_class_name: Option<String>,
    /// Annotations of these pods.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "map_schema")]
    #[x_kube(validation = rules::keys_of_others())]
    pub annotations: BTreeMap<String, String>,
    /// Labels of these pods, besides the operator's own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "map_schema")]
    #[x_kube(validation = rules::keys_of_others())]
    pub labels: BTreeMap<String, String>,
}

/// Who says as which user and group containers run.
#[derive(Serialize, Deserialize, JsonSchema, ValueEnum, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UserIds {
    #[default]
    Fixed,
    Platform,
}

/// The API server fills in no default: what a cluster leaves out, the operator may give to it (`manifest/defaults.rs`).
pub fn without_default(schema: &mut Schema) {
    schema.remove("default");
}

/// What Kubernetes defines, without its descriptions: `spec` has them for nodes, and `kubectl apply` keeps a definition in an
/// annotation of 256 KiB at most.
fn brief<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    let mut schema = generator.subschema_for::<T>();
    if T::schema_name().starts_with("Array") {
        schema.insert("maxItems".to_owned(), 64.into());
    }
    for value in schema.ensure_object().values_mut() {
        strip(value);
    }
    schema
}

/// Removes descriptions, and no fields of that name.
fn strip(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            if fields.get("description").is_some_and(Value::is_string) {
                fields.remove("description");
            }
            fields.values_mut().for_each(strip);
        }
        Value::Array(items) => items.iter_mut().for_each(strip),
        _ => {}
    }
}

/// `limits` and `requests`, each a quantity by resource: a number, or a text such as `500m` or `2Gi`.
pub fn resources_schema(_: &mut SchemaGenerator) -> Schema {
    let quantities = |what: &str| {
        serde_json::json!({
            "type": "object",
            "description": what,
            "maxProperties": 16,
            "additionalProperties": rules::quantity(),
        })
    };
    json_schema!({
        "type": "object",
        "properties": {
            "limits": quantities("Most that a container may use."),
            "requests": quantities("What is reserved for a container."),
        },
    })
}

/// A map from text to text, such as labels.
pub fn map_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": MAX_MAP,
        "additionalProperties": { "type": "string", "maxLength": 4096 },
    })
}

/// A list of objects that Kubernetes defines, with a bound on its length.
pub fn list_of<T: schemars::JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    let mut schema = generator.subschema_for::<Vec<T>>();
    schema.insert("maxItems".to_owned(), 64.into());
    schema
}
