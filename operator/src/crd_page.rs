//! `sfu-operator crds --markdown`: the page about every field of an SfuCluster, written from the definition itself.

use crate::crds;
use serde_json::Value;
use std::fmt::Write;

/// Fields whose content is Kubernetes' own: named, and not gone into.
const KUBERNETES_OWN: [&str; 5] = [
    "affinity",
    "tolerations",
    "topologySpreadConstraints",
    "env",
    "imagePullSecrets",
];
const HEAD: &str = "\
<!-- Written by `make generate` from operator/src/crd; edit that instead. -->
# SfuCluster

Every field of `sfumato.dev/v1alpha1`, kind `SfuCluster`, short name `sfu`. The same text is in `kubectl explain sfu.spec`. How to use it:
[kubernetes.md](kubernetes.md). `sfu-operator local -f` takes the same file, and leaves out what only Kubernetes has.

";

#[must_use]
pub fn markdown() -> String {
    let crd = crds::of_types();
    let schema = crd.pointer("/spec/versions/0/schema/openAPIV3Schema/properties");
    let part = |name: &str| schema.and_then(|schema| schema.get(name)).cloned().unwrap_or_default();
    let mut page = HEAD.to_owned();
    for (title, name) in [("Spec", "spec"), ("Status", "status")] {
        let part = part(name);
        let _ = writeln!(page, "## {title}\n");
        page.push_str("| field | type | default | what it is |\n|---|---|---|---|\n");
        rows(&mut page, &part, name);
        page.push('\n');
        let mut found = Vec::new();
        rules(&part, name, &mut found);
        if !found.is_empty() {
            page.push_str("What must hold besides:\n\n");
            for (path, message) in found {
                let _ = writeln!(page, "- `{path}`: {message}");
            }
            page.push('\n');
        }
    }
    page.truncate(page.trim_end().len());
    page.push('\n');
    page
}

fn rows(page: &mut String, schema: &Value, path: &str) {
    let Some(fields) = schema.get("properties").and_then(Value::as_object) else {
        return;
    };
    let mut names: Vec<&String> = fields.keys().collect();
    names.sort();
    for name in names {
        let (field, path) = (&fields[name], format!("{path}.{name}"));
        let own = KUBERNETES_OWN.contains(&name.as_str());
        let text = one_line(field.get("description").and_then(Value::as_str).unwrap_or_default());
        let text = if own { format!("{text} As in a Pod.") } else { text };
        let _ = writeln!(page, "| `{path}` | {} | {} | {text} |", kind(field), default(field));
        if own {
            continue;
        }
        match field.get("items") {
            Some(items) => rows(page, items, &format!("{path}[]")),
            None => rows(page, field, &path),
        }
    }
}

fn kind(field: &Value) -> String {
    if let Some(choices) = field.get("enum").and_then(Value::as_array) {
        let choices: Vec<String> = choices
            .iter()
            .filter_map(Value::as_str)
            .map(|c| format!("`{c}`"))
            .collect();
        return choices.join(", ");
    }
    let number = |name: &str| field.get(name).and_then(Value::as_f64);
    let kind = field.get("type").and_then(Value::as_str).unwrap_or("any");
    let mut rules = field
        .get("x-kubernetes-validations")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    let is_duration = rules.any(|rule| {
        rule["rule"]
            .as_str()
            .is_some_and(|rule| rule.contains("duration(self)"))
    });
    match (kind, number("minimum"), number("maximum")) {
        ("string", ..) if is_duration => "duration".to_owned(),
        ("object", ..) if field.get("additionalProperties").is_some() => "map".to_owned(),
        ("array", ..) => "list".to_owned(),
        (_, Some(least), Some(most)) => format!("{kind}, {least} to {most}"),
        _ => kind.to_owned(),
    }
}

fn default(field: &Value) -> String {
    match field.get("default") {
        // What an object's fields default to is in their own rows.
        None | Some(Value::Object(_) | Value::Null) => String::new(),
        Some(Value::String(text)) if text.is_empty() => String::new(),
        Some(Value::Array(list)) if list.is_empty() => String::new(),
        Some(Value::String(text)) => format!("`{text}`"),
        Some(other) => format!("`{other}`"),
    }
}

fn rules(schema: &Value, path: &str, found: &mut Vec<(String, String)>) {
    for rule in schema
        .get("x-kubernetes-validations")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        let text = |name: &str| rule.get(name).and_then(Value::as_str).unwrap_or_default();
        found.push((format!("{path}{}", text("fieldPath")), one_line(text("message"))));
    }
    let fields = schema.get("properties").and_then(Value::as_object);
    let mut fields: Vec<(&String, &Value)> = fields.into_iter().flatten().collect();
    fields.sort_by_key(|(name, _)| *name);
    for (name, field) in fields {
        if !KUBERNETES_OWN.contains(&name.as_str()) || field.get("x-kubernetes-validations").is_some() {
            rules(field, &format!("{path}.{name}"), found);
        }
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .replace('|', "\\|")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn the_committed_page_is_what_the_types_say() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/sfucluster.md");
        assert_eq!(
            std::fs::read_to_string(path).unwrap(),
            markdown(),
            "run `make generate`"
        );
    }

    #[test]
    fn every_field_says_what_it_is() {
        for line in markdown().lines().filter(|line| line.starts_with("| `")) {
            let text = line.trim_end_matches('|').rsplit('|').next().unwrap();
            assert!(text.trim().len() > 5, "{line}");
        }
    }
}
