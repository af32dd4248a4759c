//! What a manifest says of pods in the words of Kubernetes, and how their schemas are bounded: the API server estimates
//! the cost of the CEL rules from these bounds.

use schemars::{Schema, SchemaGenerator, json_schema};

/// Most entries of a map such as `nodeSelector` or `podLabels`.
pub const MAX_MAP: u32 = 64;

/// `limits` and `requests`, each a quantity by resource: a number, or a text such as `500m` or `2Gi`.
pub fn resources_schema(_: &mut SchemaGenerator) -> Schema {
    let quantities = |what: &str| {
        serde_json::json!({
            "type": "object",
            "description": what,
            "maxProperties": 16,
            "additionalProperties": {
                "x-kubernetes-int-or-string": true,
                "pattern": r"^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$",
            },
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
