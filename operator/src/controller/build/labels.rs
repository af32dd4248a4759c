//! Labels: by which children are found again, and pods told apart.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use std::collections::BTreeMap;

/// Who keeps an object: value of [`MANAGED_BY`] and the field manager of every apply.
pub const MANAGER: &str = "sfu-operator";
/// Label of every child.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// Label with the cluster's name.
pub const INSTANCE: &str = "app.kubernetes.io/instance";
const NAME: &str = "app.kubernetes.io/name";
const COMPONENT: &str = "app.kubernetes.io/component";

/// What a child belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Component {
    Node,
    Web,
    Redis,
}

impl Component {
    /// As the label's value is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Node => "node",
            Self::Web => "web",
            Self::Redis => "redis",
        }
    }
}

/// Labels of a child. No version among them: labels of a pod template that change replace pods.
#[must_use]
pub fn labels(cluster: &str, component: Component) -> BTreeMap<String, String> {
    let mut labels = selecting(cluster, component);
    labels.insert(MANAGED_BY.to_owned(), MANAGER.to_owned());
    labels
}

/// Whether an object has the labels by which the children of a cluster are found, of whatever component.
#[must_use]
pub fn has_labels_of(object: &ObjectMeta, cluster: &str) -> bool {
    let wanted = [(NAME, "sfumato"), (INSTANCE, cluster), (MANAGED_BY, MANAGER)];
    let labels = object.labels.as_ref();
    labels.is_some_and(|labels| {
        wanted
            .iter()
            .all(|(key, value)| labels.get(*key).is_some_and(|it| it == value))
    })
}

/// Whether an object has the labels by which the pods of a component are selected, as their volumes have.
#[must_use]
pub fn has_labels_of_pods(object: &ObjectMeta, cluster: &str, component: Component) -> bool {
    let labels = object.labels.as_ref();
    let wanted = selecting(cluster, component);
    labels.is_some_and(|labels| wanted.iter().all(|(key, value)| labels.get(key) == Some(value)))
}

/// Selects the pods of a component. Selectors cannot be changed, so only what can never change is in them.
#[must_use]
pub fn selector(cluster: &str, component: Component) -> LabelSelector {
    LabelSelector {
        match_labels: Some(selecting(cluster, component)),
        ..LabelSelector::default()
    }
}

/// The same as text, as the scale subresource wants it.
#[must_use]
pub fn selector_text(cluster: &str, component: Component) -> String {
    let pairs: Vec<String> = selecting(cluster, component)
        .into_iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    pairs.join(",")
}

/// The labels that select a component's pods.
pub fn selecting(cluster: &str, component: Component) -> BTreeMap<String, String> {
    [(NAME, "sfumato"), (INSTANCE, cluster), (COMPONENT, component.as_str())]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
}
