//! Reads an `SfuCluster` from a file, and is strict where the API server would be.
//!
//! The CRD's own schema decides what is known and in bounds, serde what has the right type, and the CRD's CEL rules what
//! fits together: nothing is written down twice, and a manifest that passes here passes on a cluster. Every
//! refusal names the path of the field, because that is what one searches for in the file.

pub mod defaults;
mod schema;

use crate::crd::SfuCluster;
use crate::crds;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
pub use schema::{FieldProblem, Unknown};
use serde_json::Value;

/// Why a manifest was refused. The origin is the file's name as the user gave it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    #[error("{origin}: not readable as YAML: {problem}")]
    Yaml {
        /// Where the text came from.
        origin: String,
        /// What the parser says, with line and column.
        problem: String,
    },
    /// The file holds nothing, or more than one thing.
    #[error("{origin}: holds {found} documents, and exactly one SfuCluster is wanted: split the file")]
    Documents {
        /// Where the text came from.
        origin: String,
        found: usize,
    },
    /// A field is unknown, missing, of the wrong type, out of bounds, or in conflict with another.
    #[error("{origin}: {path}: {problem}")]
    Field {
        /// Where the text came from.
        origin: String,
        /// Path of the field: `spec.mesh.beatInterval`.
        path: String,
        problem: String,
    },
}

/// Reads the one `SfuCluster` of `text`.
///
/// # Errors
/// The first thing that is wrong, with the path of its field.
pub fn parse(origin: &str, text: &str) -> Result<SfuCluster, ManifestError> {
    let value = only_document(origin, text)?;
    let at = |problem: FieldProblem| field_error(origin, problem.path, problem.text);
    check_type(&value).map_err(at)?;
    check_metadata(&value).map_err(at)?;

    if let Some(spec) = value.get("spec") {
        check_schema(spec, Unknown::Refuse).map_err(at)?;
    }
    let cluster: SfuCluster = serde_path_to_error::deserialize(&value).map_err(|error| {
        let path = error.path().to_string();
        let path = if path == "." { "(top level)".to_owned() } else { path };
        field_error(origin, path, readable(&error.into_inner().to_string()))
    })?;
    check_rules(origin, &cluster)?;
    Ok(cluster)
}

/// Checks a spec against the bounds of the CRD's schema.
///
/// # Errors
/// The first field that is out of bounds.
pub fn check_schema(spec: &Value, unknowns: Unknown) -> Result<(), FieldProblem> {
    spec_schema().map_or(Ok(()), |schema| schema::check(&schema, spec, "spec", unknowns))
}

/// Applies the CRD's CEL rules: also for a cluster that command-line options have changed.
///
/// # Errors
/// The first rule that does not hold.
pub fn check_rules(origin: &str, cluster: &SfuCluster) -> Result<(), ManifestError> {
    let Err(errors) = cluster.validate_cel() else {
        return Ok(());
    };
    let first = errors.as_slice().first();
    let (path, problem) = first.map_or_else(
        || ("spec".to_owned(), errors.to_string()),
        |error| {
            (
                error.field_path.trim_start_matches('.').to_owned(),
                error.message.clone(),
            )
        },
    );
    Err(field_error(origin, path, problem))
}

fn field_error(origin: &str, path: String, problem: String) -> ManifestError {
    ManifestError::Field {
        origin: origin.to_owned(),
        path,
        problem,
    }
}

fn only_document(origin: &str, text: &str) -> Result<Value, ManifestError> {
    // Without a snippet: the message must stay one line.
    let options = serde_saphyr::options! { with_snippet: false };
    let documents: Vec<Value> =
        serde_saphyr::from_multiple_with_options(text, options).map_err(|error| ManifestError::Yaml {
            origin: origin.to_owned(),
            problem: error.to_string().lines().next().unwrap_or_default().to_owned(),
        })?;
    let mut documents: Vec<Value> = documents.into_iter().filter(|d| !d.is_null()).collect();
    match documents.pop() {
        Some(only) if documents.is_empty() => Ok(only),
        rest => Err(ManifestError::Documents {
            origin: origin.to_owned(),
            found: documents.len() + usize::from(rest.is_some()),
        }),
    }
}

fn check_type(value: &Value) -> Result<(), FieldProblem> {
    let Some(object) = value.as_object() else {
        return Err(FieldProblem::at(
            "(top level)",
            "is not an object: an SfuCluster is wanted",
        ));
    };
    for (field, wanted) in [
        ("apiVersion", SfuCluster::api_version(&()).into_owned()),
        ("kind", SfuCluster::kind(&()).into_owned()),
    ] {
        match object.get(field).and_then(Value::as_str) {
            Some(found) if found == wanted => {}
            Some(found) => {
                return Err(FieldProblem::at(
                    field,
                    format!("is `{found}`, and `{wanted}` is wanted"),
                ));
            }
            None => return Err(FieldProblem::at(field, format!("is missing: write `{wanted}`"))),
        }
    }
    // `status` is taken and ignored, so that the output of `kubectl get -o yaml` works as it is.
    let known = ["apiVersion", "kind", "metadata", "spec", "status"];
    match object.keys().find(|key| !known.contains(&key.as_str())) {
        Some(key) => Err(schema::unknown("", key, known.into_iter())),
        None => Ok(()),
    }
}

fn check_metadata(value: &Value) -> Result<(), FieldProblem> {
    let metadata = value.get("metadata").unwrap_or(&Value::Null);
    if let Some(object) = metadata.as_object() {
        let schema = schemars::schema_for!(ObjectMeta);
        if let Some(known) = schema.get("properties").and_then(Value::as_object)
            && let Some(key) = object.keys().find(|key| !known.contains_key(*key))
        {
            return Err(schema::unknown("metadata", key, known.keys().map(String::as_str)));
        }
    }
    let is_label = |name: &str| {
        (1..=63).contains(&name.len())
            && name
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && !name.starts_with('-')
            && !name.ends_with('-')
    };
    let rule = "1 to 63 of a-z, 0-9 and `-`, not at the ends";
    match metadata.get("name") {
        None => Err(FieldProblem::at("metadata.name", format!("is missing: {rule}"))),
        Some(name) if name.as_str().is_some_and(is_label) => Ok(()),
        Some(name) => Err(FieldProblem::at(
            "metadata.name",
            format!("{name} is not allowed: {rule}"),
        )),
    }?;
    match metadata.get("namespace") {
        None => Ok(()),
        Some(name) if name.as_str().is_some_and(is_label) => Ok(()),
        Some(name) => Err(FieldProblem::at(
            "metadata.namespace",
            format!("{name} is not allowed: {rule}"),
        )),
    }
}

/// The schema of `spec`, as the CRD has it.
fn spec_schema() -> Option<Value> {
    crds::definition()
        .pointer("/spec/versions/0/schema/openAPIV3Schema/properties/spec")
        .cloned()
}

/// serde's words in ours.
fn readable(message: &str) -> String {
    // serde_json appends a position, which means nothing for a value that came from YAML.
    let message = message.split(" at line ").next().unwrap_or(message);
    message.strip_prefix("invalid type: ").map_or_else(
        || message.to_owned(),
        |rest| rest.replacen(", expected ", " was given, and wanted is ", 1),
    )
}

#[cfg(test)]
mod tests;
