//! What `kubectl explain` says of each field: beside its description, the default, the bounds and the form, which kubectl
//! does not show by itself. They are read from the schema, so that they cannot say anything else.

use serde_json::Value;

/// Completes the descriptions of a schema and all that is in it.
pub fn describe(schema: &mut Value) {
    if let Some(text) = schema.get("description").and_then(Value::as_str) {
        let mut text = text.trim_end().to_owned();
        for sentence in [default(schema), bounds(schema), form(schema)].into_iter().flatten() {
            text.push(' ');
            text.push_str(&sentence);
        }
        schema["description"] = text.into();
    }
    match schema {
        Value::Object(parts) => parts.values_mut().for_each(describe),
        Value::Array(items) => items.iter_mut().for_each(describe),
        _ => {}
    }
}

fn default(schema: &Value) -> Option<String> {
    match schema.get("default")? {
        // What the fields of an object default to is said of each.
        Value::Object(_) | Value::Null => None,
        Value::Array(list) if list.is_empty() => None,
        Value::String(text) if text.is_empty() => None,
        Value::String(text) => Some(format!("Default: `{text}`.")),
        other => Some(format!("Default: {other}.")),
    }
}

fn bounds(schema: &Value) -> Option<String> {
    for (least, most, of) in [
        ("minimum", "maximum", ""),
        ("minLength", "maxLength", " characters"),
        ("minItems", "maxItems", " entries"),
        ("minProperties", "maxProperties", " entries"),
    ] {
        let bound = |name| schema.get(name).and_then(Value::as_f64);
        // The length of what has a form is said with that.
        if of == " characters" && form(schema).is_some() {
            continue;
        }
        match (bound(least), bound(most)) {
            (Some(least), Some(most)) => return Some(format!("From {least} to {most}{of}.")),
            (Some(least), None) => return Some(format!("At least {least}{of}.")),
            (None, Some(most)) => return Some(format!("At most {most}{of}.")),
            (None, None) => {}
        }
    }
    None
}

/// What a rule of the field itself, or of each of its entries, asks for.
fn form(schema: &Value) -> Option<String> {
    let rules = |of: &Value| of.get("x-kubernetes-validations").and_then(Value::as_array).cloned();
    let entries = |kind| schema.get(kind).and_then(rules).map(|rules| ("Each ", rules));
    let found = rules(schema)
        .map(|rules| ("", rules))
        .or_else(|| entries("items"))
        .or_else(|| entries("additionalProperties"));
    let (whose, rules) = found?;
    let mut messages = rules.iter().filter_map(|rule| rule.get("message")?.as_str());
    let asked = messages.find(|message| message.starts_with("must be "))?;
    let start = if whose.is_empty() { "Must" } else { "Each must" };
    Some(format!("{start}{}.", asked.trim_start_matches("must")))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::crds;

    /// Fields whose content is Kubernetes' own, with its own words or, for front door and Redis, none.
    const KUBERNETES_OWN: [&str; 6] = [
        "affinity",
        "tolerations",
        "topologySpreadConstraints",
        "env",
        "imagePullSecrets",
        "conditions",
    ];

    fn each_field(schema: &Value, path: &str, look: &mut impl FnMut(&str, &Value)) {
        for (name, field) in schema["properties"].as_object().into_iter().flatten() {
            let path = format!("{path}.{name}");
            look(&path, field);
            if !KUBERNETES_OWN.contains(&name.as_str()) {
                each_field(field, &path, look);
                each_field(&field["items"], &format!("{path}[]"), look);
            }
        }
    }

    fn described(part: &str) -> Value {
        crds::definition()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"][part].clone()
    }

    #[test]
    fn every_field_is_described_with_its_default_its_bounds_and_its_form() {
        let mut seen = 0;
        for part in ["spec", "status"] {
            each_field(&described(part), part, &mut |path, field| {
                let text = field["description"].as_str().unwrap_or_default();
                assert!(text.len() > 5, "{path}: {text}");
                let names = |value: &Value| text.contains(&value.to_string().replace('"', "`").replace(".0", ""));
                for bound in ["minimum", "maximum", "minItems", "maxItems", "maxProperties"] {
                    assert!(
                        field.get(bound).is_none_or(names),
                        "{path} does not name {bound}: {text}"
                    );
                }
                let simple = |value: &Value| value.is_number() || value.is_boolean() || value.is_string();
                let default = field.get("default").filter(|value| simple(value));
                assert!(
                    default.is_none_or(|value| value == "" || names(value)),
                    "{path} does not name its default: {text}"
                );
                seen += 1;
            });
        }
        assert!(seen > 100, "{seen}");
    }

    #[test]
    fn a_field_says_the_unit_that_it_takes() {
        let spec = described("spec");
        let text = |path: &str| {
            spec.pointer(path)
                .and_then(|field| field["description"].as_str())
                .unwrap()
        };
        assert!(text("/properties/replicas").ends_with("Default: 3. From 1 to 32."));
        let deadline = text("/properties/drain/properties/deadline");
        assert!(
            deadline.ends_with("Default: `5m`. Must be a duration with its unit between 1s and 24h, such as `5m`."),
            "{deadline}"
        );
        let limits = text("/properties/resources/properties/limits");
        assert!(
            limits.contains("Each must be a quantity of 0 or more, such as `500m`"),
            "{limits}"
        );
    }

    #[test]
    fn no_field_has_a_bare_pattern() {
        for part in ["spec", "status"] {
            let text = described(part).to_string();
            assert!(
                !text.contains("\"pattern\":"),
                "{part}: a rule with a message says what to write"
            );
        }
    }
}
