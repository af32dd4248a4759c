//! Whether an object can be carried out. The API server has checked it against the schema of its day; this checks it
//! against ours, which may be of another release.

use crate::controller::build::Wish;
use crate::controller::watch::queue::Key;
use crate::crd::SfuCluster;
use crate::manifest::defaults::Defaults;
use crate::manifest::{self, FieldProblem, ManifestError, Unknown};
use kube::api::DynamicObject;
use kube::{Resource, ResourceExt};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::fmt;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalid {
    /// Path of the field: `spec.mesh.beatInterval`.
    pub path: String,
    pub problem: String,
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.problem)
    }
}

/// Checks objects, each once for each of its generations.
#[derive(Default)]
pub struct Validator {
    /// Held while an object is checked.
    turn: tokio::sync::Mutex<()>,
    /// What clusters have where they say nothing.
    defaults: Defaults,
    known: Mutex<BTreeMap<Key, Known>>,
}

/// What was found of an object of this UID and generation.
struct Known {
    uid: String,
    generation: i64,
    result: Result<Wish, Invalid>,
}

impl Validator {
    #[must_use]
    pub fn new(defaults: Defaults) -> Self {
        Self {
            defaults,
            ..Self::default()
        }
    }

    /// Forgets a cluster that is gone.
    pub fn forget(&self, cluster: &Key) {
        self.known.lock().remove(cluster);
    }

    /// The wish in an object.
    ///
    /// # Errors
    /// The first field that cannot be carried out.
    pub async fn validate(&self, key: &Key, object: &DynamicObject) -> Result<Wish, Invalid> {
        let uid = object.uid().unwrap_or_default();
        let generation = object.metadata.generation.unwrap_or(0);
        if let Some(known) = self.known.lock().get(key)
            && known.uid == uid
            && known.generation == generation
        {
            return known.result.clone();
        }
        // It computes for long: with many clusters at once, a new leader would not get to renew its Lease beside it.
        let _turn = self.turn.lock().await;
        let result = tokio::task::block_in_place(|| validate(object, &self.defaults));
        let known = Known {
            uid,
            generation,
            result: result.clone(),
        };
        self.known.lock().insert(key.clone(), known);
        result
    }
}

/// The wish in an object.
///
/// Fields that are not known are ignored: a newer definition may already be installed, with defaults of its own.
///
/// # Errors
/// The first field that cannot be carried out.
pub fn validate(object: &DynamicObject, defaults: &Defaults) -> Result<Wish, Invalid> {
    let mut spec = object.data.get("spec").cloned().unwrap_or_default();
    defaults.fill(&mut spec);
    let cluster = read(object, &spec)?;
    manifest::check_schema(&spec, Unknown::Ignore)
        .map_err(|FieldProblem { path, text }| Invalid { path, problem: text })?;
    manifest::check_rules("", &cluster).map_err(|error| match error {
        ManifestError::Field { path, problem, .. } => Invalid { path, problem },
        other => Invalid {
            path: "spec".to_owned(),
            problem: other.to_string(),
        },
    })?;
    Ok(Wish::new(object, cluster.spec))
}

fn read(object: &DynamicObject, spec: &serde_json::Value) -> Result<SfuCluster, Invalid> {
    let value = serde_json::json!({
        "apiVersion": SfuCluster::api_version(&()),
        "kind": SfuCluster::kind(&()),
        "metadata": { "name": object.name_any(), "namespace": object.namespace() },
        "spec": spec,
    });
    serde_path_to_error::deserialize(value).map_err(|error| Invalid {
        path: error.path().to_string(),
        problem: error.into_inner().to_string(),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[allow(clippy::needless_pass_by_value, reason = "a test reads better without the ampersand")]
    fn object(spec: Value) -> DynamicObject {
        serde_json::from_value(json!({
            "apiVersion": "sfumato.dev/v1alpha1", "kind": "SfuCluster",
            "metadata": { "name": "live", "namespace": "media", "uid": "u" }, "spec": spec,
        }))
        .unwrap()
    }

    fn validate(object: &DynamicObject) -> Result<Wish, Invalid> {
        super::validate(object, &Defaults::default())
    }

    #[test]
    fn an_empty_spec_is_in_order() {
        assert_eq!(validate(&object(json!({}))).unwrap().spec.replicas, 3);
    }

    #[test]
    fn what_is_wrong_is_named_by_its_path() {
        let invalid = |spec| validate(&object(spec)).unwrap_err();
        assert_eq!(
            invalid(json!({ "mesh": { "linkGrace": "soon" } })).path,
            "spec.mesh.linkGrace"
        );
        assert_eq!(
            invalid(json!({ "mesh": { "linkGrace": "1s" } })).path,
            "spec.mesh.linkGrace"
        );
        assert_eq!(invalid(json!({ "replicas": "three" })).path, "spec.replicas");
        assert_eq!(invalid(json!({ "replicas": 33 })).path, "spec.replicas");
        assert_eq!(
            invalid(json!({ "media": { "iceServers": [{ "urls": [] }] } })).path,
            "spec.media.iceServers[0].urls"
        );
    }

    #[test]
    fn fields_of_a_newer_definition_are_ignored() {
        validate(&object(json!({ "replicas": 2, "fieldOfTomorrow": { "on": true } }))).unwrap();
    }

    #[test]
    fn a_cluster_has_the_defaults_of_the_installation_where_it_says_nothing() {
        let defaults = r#"{"priorityClassName": "media", "resources": {"limits": {"memory": "1Gi"}}}"#
            .parse()
            .unwrap();
        let wish = super::validate(&object(json!({ "priorityClassName": "own" })), &defaults).unwrap();
        assert_eq!(wish.spec.priority_class_name.as_deref(), Some("own"));
        assert!(wish.spec.resources.is_some());
    }
}
