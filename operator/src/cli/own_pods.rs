//! Options of `manifests` for the operator's own pods: where they run, what they get, and what else is said of them.

use crate::crd::PullPolicy;
use crate::crd::pods::UserIds;
use crate::crd::quantity::Amount;
use clap::Args;
use k8s_openapi::api::core::v1::{Affinity, Toleration, TopologySpreadConstraint};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::BTreeMap;

const HEADING: &str = "Pods of the operator";
/// What a taint does.
const EFFECTS: [&str; 3] = ["NoSchedule", "PreferNoSchedule", "NoExecute"];
/// What keys of labels and annotations begin with that we write ourselves.
const OUR_KEYS: [&str; 2] = ["app.kubernetes.io/", "sfumato.dev/"];
/// What the operator asks for where nobody says otherwise.
const REQUESTS: [(&str, &str); 2] = [("cpu", "50m"), ("memory", "64Mi")];
/// What it may use.
const LIMITS: [(&str, &str); 1] = [("memory", "256Mi")];

/// How the operator's own pods run. In SfuClusters, `spec` says the same of media nodes, front doors and Redis.
#[derive(Debug, Args)]
#[command(next_help_heading = HEADING)]
pub struct OwnPods {
    /// Who says as which user the operator's container runs: `fixed`, which is 65532, or the `platform`, as OpenShift does.
    #[arg(long, value_enum, default_value = "fixed")]
    pub user_ids: UserIds,
    /// When the operator's image is pulled. By default as Kubernetes does: `Always` for `latest`, else `IfNotPresent`.
    #[arg(long, value_enum, value_name = "POLICY")]
    pub image_pull_policy: Option<PullPolicy>,
    /// Secret of the operator's namespace with which its image is pulled. Repeatable.
    #[arg(long = "image-pull-secret", value_name = "NAME")]
    pub image_pull_secrets: Vec<String>,
    /// What each pod asks for: --request=cpu=100m. By default cpu=50m and memory=64Mi; `cpu=` asks for none. Repeatable.
    #[arg(long = "request", value_name = "RESOURCE=QUANTITY", value_parser = quantity)]
    requests: Vec<(String, String)>,
    /// What each pod may use: --limit=memory=1Gi. By default memory=256Mi; `memory=` sets no limit. Repeatable.
    #[arg(long = "limit", value_name = "RESOURCE=QUANTITY", value_parser = quantity)]
    limits: Vec<(String, String)>,
    /// Label that a host must have to run the operator, besides `kubernetes.io/os=linux`. Repeatable.
    #[arg(long = "node-selector", value_name = "KEY=VALUE", value_parser = pair)]
    pub node_selector: Vec<(String, String)>,
    /// Taint of hosts that the operator puts up with: KEY, KEY=VALUE, or either with :EFFECT. Repeatable.
    #[arg(long = "toleration", value_name = "TAINT", value_parser = toleration)]
    pub tolerations: Vec<Toleration>,
    /// Which hosts the operator prefers, needs or avoids: the `affinity` of a Pod as YAML or JSON, such as
    /// '{nodeAffinity: {...}}'. By default its pods keep apart from each other where they can.
    #[arg(long, value_name = "YAML", value_parser = yaml::<Affinity>)]
    pub affinity: Option<Value>,
    /// How the operator's pods are spread: one of a Pod's `topologySpreadConstraints` as YAML or JSON, such as
    /// '{maxSkew: 1, topologyKey: topology.kubernetes.io/zone, ...}'. Repeatable.
    #[arg(long = "topology-spread", value_name = "YAML", value_parser = yaml::<TopologySpreadConstraint>)]
    pub topology_spread: Vec<Value>,
    /// PriorityClass of the operator.
    #[arg(long, value_name = "NAME")]
    pub priority_class: Option<String>,
    /// Label of all objects and pods, but of the definition and the namespace. Repeatable.
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = addition)]
    pub labels: Vec<(String, String)>,
    /// Label of the pods only. Repeatable.
    #[arg(long = "pod-label", value_name = "KEY=VALUE", value_parser = addition)]
    pub pod_labels: Vec<(String, String)>,
    /// Annotation of the pods. Repeatable.
    #[arg(long = "pod-annotation", value_name = "KEY=VALUE", value_parser = addition)]
    pub pod_annotations: Vec<(String, String)>,
}

impl OwnPods {
    /// `resources` of the container.
    #[must_use]
    pub fn resources(&self) -> Value {
        let merged = |usual: &[(&str, &str)], said: &[(String, String)]| {
            let mut all: BTreeMap<String, String> = usual
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect();
            all.extend(said.iter().cloned());
            all.retain(|_, quantity| !quantity.is_empty());
            all
        };
        let both = [
            ("requests", merged(&REQUESTS, &self.requests)),
            ("limits", merged(&LIMITS, &self.limits)),
        ];
        let said = both.into_iter().filter(|(_, amounts)| !amounts.is_empty());
        said.map(|(key, amounts)| (key.to_owned(), serde_json::json!(amounts)))
            .collect()
    }
}

fn pair(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=').filter(|(key, _)| !key.is_empty());
    let (key, value) = pair.ok_or("write KEY=VALUE, such as pool=system")?;
    Ok((key.to_owned(), value.to_owned()))
}

/// A label or an annotation, besides ours.
fn addition(text: &str) -> Result<(String, String), String> {
    let (key, value) = pair(text)?;
    if OUR_KEYS.iter().any(|ours| key.starts_with(ours)) {
        return Err(format!("keys under {} are the operator's own", OUR_KEYS.join(" and ")));
    }
    Ok((key, value))
}

/// A resource, and how much of it; nothing takes away what is usual.
fn quantity(text: &str) -> Result<(String, String), String> {
    let advice = "write RESOURCE=QUANTITY, such as cpu=500m or memory=1Gi";
    let (resource, amount) = text
        .split_once('=')
        .filter(|(resource, _)| !resource.is_empty())
        .ok_or(advice)?;
    if !amount.is_empty() && Amount::parse(amount).is_none() {
        return Err(format!("`{amount}` is no quantity: {advice}"));
    }
    Ok((resource.to_owned(), amount.to_owned()))
}

/// Something that Kubernetes defines, in YAML, of which JSON is a part. A field that it does not define is refused.
fn yaml<K: DeserializeOwned + Serialize>(text: &str) -> Result<Value, String> {
    let written: Value = serde_saphyr::from_str(text).map_err(|error| error.to_string())?;
    let read: K = serde_json::from_value(written.clone()).map_err(|error| error.to_string())?;
    let known = serde_json::to_value(read).map_err(|error| error.to_string())?;
    match unknown(&written, &known) {
        Some(field) => Err(format!("Kubernetes knows no field {field} here: write it as in a Pod")),
        None => Ok(written),
    }
}

/// The first field that is written and was not read.
fn unknown(written: &Value, known: &Value) -> Option<String> {
    match (written, known) {
        (Value::Object(written), Value::Object(known)) => {
            written.iter().find_map(|(key, value)| match known.get(key) {
                Some(known) => unknown(value, known).map(|field| format!("{key}.{field}")),
                // As much as if it was not written.
                None => (!value.is_null()).then(|| key.clone()),
            })
        }
        (Value::Array(written), Value::Array(known)) => written.iter().zip(known).find_map(|(a, b)| unknown(a, b)),
        _ => None,
    }
}

fn toleration(text: &str) -> Result<Toleration, String> {
    let (taint, effect) = match text.split_once(':') {
        Some((taint, effect)) => (taint, Some(effect)),
        None => (text, None),
    };
    if effect.is_some_and(|effect| !EFFECTS.contains(&effect)) {
        return Err(format!("the effect after `:` is one of {}", EFFECTS.join(", ")));
    }
    let (key, value) = match taint.split_once('=') {
        Some((key, value)) => (key, Some(value)),
        None => (taint, None),
    };
    if key.is_empty() {
        return Err("write KEY=VALUE:EFFECT, such as dedicated=system:NoSchedule".to_owned());
    }
    Ok(Toleration {
        key: Some(key.to_owned()),
        operator: Some(if value.is_some() { "Equal" } else { "Exists" }.to_owned()),
        value: value.map(str::to_owned),
        effect: effect.map(str::to_owned),
        ..Toleration::default()
    })
}
