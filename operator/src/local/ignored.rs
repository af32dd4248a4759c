//! Fields of a manifest that mean something on Kubernetes only.

use crate::crd::SfuClusterSpec;

/// Those about how clients reach a cluster, which people would look for: in local mode everybody is on this computer or its
/// network, and options say where.
const OF_KUBERNETES: [&str; 5] = [
    "media.exposure",
    "media.announce",
    "ports",
    "web.tls",
    "web.service.type",
];

/// What is told of the fields of a manifest that have no effect, if there are any.
#[must_use]
pub fn without_effect(spec: &SfuClusterSpec) -> Option<String> {
    let value = |spec: &SfuClusterSpec| serde_json::to_value(spec).unwrap_or_default();
    let (said, default) = (value(spec), value(&SfuClusterSpec::default()));
    let is_said = |field: &&&str| {
        let pointer = format!("/{}", field.replace('.', "/"));
        said.pointer(&pointer) != default.pointer(&pointer)
    };
    let fields: Vec<String> = OF_KUBERNETES
        .iter()
        .filter(is_said)
        .map(|field| format!("spec.{field}"))
        .collect();
    (!fields.is_empty()).then(|| {
        format!(
            "{} of the manifest: without effect in local mode, where clients reach the nodes as its options say (`sfu-operator \
             local --help`)",
            fields.join(", ")
        )
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn fields_of_kubernetes_are_told_where_they_say_something() {
        let told = |spec: Value| without_effect(&serde_json::from_value(spec).unwrap());
        assert_eq!(told(json!({ "replicas": 5, "media": { "port": 21000 } })), None);
        assert_eq!(told(json!({ "media": { "exposure": "PodIP", "announce": {} } })), None);
        let text = told(json!({ "media": { "exposure": "NodePort" }, "ports": { "admin": 4101 } })).unwrap();
        assert!(
            text.starts_with("spec.media.exposure, spec.ports of the manifest: without effect"),
            "{text}"
        );
    }
}
