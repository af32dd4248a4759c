//! `sfu-operator crds`: prints the CustomResourceDefinitions, or writes them where the repository keeps them.
//!
//! The files under `crds/` are this command's output and nothing else; a test regenerates and compares them.

use crate::crd::SfuCluster;
use crate::crd::status::UNOBSERVED;
use crate::crd_explain::describe;
use kube::CustomResourceExt;
use serde::{Serialize, Serializer};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Why the CRDs could not be given out.
#[derive(Debug, thiserror::Error)]
pub enum CrdsError {
    /// The types could not be written as YAML.
    #[error("cannot write the SfuCluster CRD as YAML: {0}")]
    Yaml(String),
    #[error("cannot write {path}: {source}; does the directory exist, and may you write there?")]
    Write { path: PathBuf, source: std::io::Error },
}

/// File name of the SfuCluster CRD: plural and group, as `kubectl get crd` shows it.
pub const FILE_NAME: &str = "sfuclusters.sfumato.dev.yaml";
const HEADER: &str = "# Written by `sfu-operator crds --out crds`; edit operator/src/crd instead.\n";

/// Where the schema of the objects is in it.
const SCHEMA: &str = "/spec/versions/0/schema/openAPIV3Schema";

/// Annotation of the definition with the release that it is of. `charts/sfumato` refuses to take it back to an earlier one.
const RELEASE: &str = "sfumato.dev/release";

/// The SfuCluster CRD, with what the descriptions of fields need to say in `kubectl explain`.
#[must_use]
pub fn definition() -> Value {
    let mut crd = of_types();
    if let Some(schema) = crd.pointer_mut(SCHEMA) {
        describe(schema);
    }
    crd
}

/// The SfuCluster CRD with the descriptions of its types.
///
/// kube makes it of the types. Added is the status that an object has before any operator has looked at it: without one,
/// kstatus, and so Helm's and Flux' waiting, takes an object that nobody looks after for one that is done.
#[must_use]
pub fn of_types() -> Value {
    let mut crd = serde_json::to_value(SfuCluster::crd()).unwrap_or_default();
    crd["metadata"]["annotations"] = json!({ RELEASE: env!("CARGO_PKG_VERSION") });
    if let Some(fields) = crd.pointer_mut(SCHEMA).map(|schema| &mut schema["properties"]) {
        // Or the rule about the name could not name the field.
        fields["metadata"] = json!({ "type": "object", "properties": { "name": { "type": "string" } } });
        fields["status"]["default"] = json!({
            "observedGeneration": UNOBSERVED,
            "conditions": [{
                "type": "Ready", "status": "Unknown", "reason": "Pending", "message": "waiting for the operator",
                "lastTransitionTime": "1970-01-01T00:00:00Z",
            }],
        });
    }
    crd
}

/// The SfuCluster CRD as YAML: the same text for the same types.
///
/// # Errors
/// When the types cannot be written as YAML.
pub fn yaml() -> Result<String, CrdsError> {
    let body = serde_saphyr::to_string(&Sorted(&definition())).map_err(|e| CrdsError::Yaml(e.to_string()))?;
    Ok(format!("{HEADER}{body}"))
}

/// Writes the CRD into `directory` and says where.
///
/// # Errors
/// When the file cannot be written.
pub fn write(directory: &Path) -> Result<PathBuf, CrdsError> {
    let path = directory.join(FILE_NAME);
    let text = yaml()?;
    std::fs::write(&path, text).map_err(|source| CrdsError::Write {
        path: path.clone(),
        source,
    })?;
    Ok(path)
}

/// Serializes objects with sorted keys (whether `serde_json`'s own maps are sorted depends on which features the other
/// crates of a build turn on), and whole numbers without a fraction.
pub struct Sorted<'a>(pub &'a Value);

impl Serialize for Sorted<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Object(fields) => {
                let sorted: BTreeMap<&String, Sorted<'_>> = fields.iter().map(|(k, v)| (k, Sorted(v))).collect();
                serializer.collect_map(sorted)
            }
            Value::Array(items) => serializer.collect_seq(items.iter().map(Sorted)),
            Value::Number(number) => match number.as_f64().filter(|n| number.is_f64() && n.fract() == 0.0) {
                #[allow(clippy::cast_possible_truncation)] // Bounds of a schema: far below 2^53.
                Some(whole) => serializer.serialize_i64(whole as i64),
                None => number.serialize(serializer),
            },
            plain => plain.serialize(serializer),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;

    #[test]
    fn the_committed_crd_is_what_the_types_say() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crds").join(FILE_NAME);
        let committed = std::fs::read_to_string(&path).unwrap();
        assert_eq!(committed, yaml().unwrap(), "run `make generate`");
    }

    #[test]
    fn the_yaml_reads_back_as_the_same_crd() {
        let crd: CustomResourceDefinition = serde_saphyr::from_str(&yaml().unwrap()).unwrap();
        assert_eq!(serde_json::to_value(crd).unwrap(), definition());
    }
}
