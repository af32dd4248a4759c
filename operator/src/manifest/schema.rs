//! The part of OpenAPI validation that serde does not do: unknown fields, bounds and enumerations, read from the CRD's
//! own schema. Values of the wrong type pass: serde refuses them afterwards, with better words.

use serde_json::Value;

#[derive(Debug, PartialEq, Eq)]
pub struct FieldProblem {
    pub path: String,
    pub text: String,
}

impl FieldProblem {
    pub fn at(path: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            text: text.into(),
        }
    }
}

/// What is done about fields that the schema does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unknown {
    /// They are slips.
    Refuse,
    /// They are of a newer schema.
    Ignore,
}

/// Checks `value` against `schema`, depth first in the schema's order; the first problem wins.
pub fn check(schema: &Value, value: &Value, path: &str, unknowns: Unknown) -> Result<(), FieldProblem> {
    match value {
        Value::Object(fields) => {
            check_length(
                schema,
                ("minProperties", "maxProperties"),
                fields.len(),
                "entries",
                path,
            )?;
            let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
                return Ok(());
            };
            if unknowns == Unknown::Refuse
                && let Some(key) = fields.keys().find(|key| !properties.contains_key(*key))
            {
                return Err(unknown(path, key, properties.keys().map(String::as_str)));
            }
            properties
                .iter()
                .filter_map(|(key, schema)| Some((key, schema, fields.get(key)?)))
                .try_for_each(|(key, schema, value)| check(schema, value, &format!("{path}.{key}"), unknowns))
        }
        // serde would take a list for an object, field by field.
        Value::Array(_) if schema.get("type").and_then(Value::as_str) == Some("object") => {
            Err(FieldProblem::at(path, "is a list, and an object is wanted"))
        }
        Value::Array(items) => {
            check_length(schema, ("minItems", "maxItems"), items.len(), "entries", path)?;
            let Some(of_items) = schema.get("items") else {
                return Ok(());
            };
            let mut items = items.iter().enumerate();
            items.try_for_each(|(index, item)| check(of_items, item, &format!("{path}[{index}]"), unknowns))
        }
        Value::Number(number) => check_bounds(schema, number, path),
        Value::String(text) => {
            let length = text.chars().count();
            check_length(schema, ("minLength", "maxLength"), length, "characters", path)?;
            check_choice(schema, text, path)
        }
        Value::Null | Value::Bool(_) => Ok(()),
    }
}

fn check_length(schema: &Value, names: (&str, &str), length: usize, of: &str, path: &str) -> Result<(), FieldProblem> {
    // Lengths of schemas are far below 2^53, and may be written as floats.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let bound = |name| schema.get(name).and_then(Value::as_f64).map(|bound| bound as usize);
    match (bound(names.0), bound(names.1)) {
        (Some(least), _) if length < least => Err(FieldProblem::at(
            path,
            format!("must have at least {least} {of}, and has {length}"),
        )),
        (_, Some(most)) if length > most => Err(FieldProblem::at(
            path,
            format!("must have at most {most} {of}, and has {length}"),
        )),
        _ => Ok(()),
    }
}

/// The problem of a field that does not exist, with what was probably meant.
pub fn unknown<'a>(path: &str, key: &str, known: impl Iterator<Item = &'a str>) -> FieldProblem {
    let full = if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    };
    let known: Vec<&str> = known.collect();
    let similar = known.iter().find(|k| k.eq_ignore_ascii_case(key)).or_else(|| {
        known
            .iter()
            .filter(|k| distance(k, key) <= 2)
            .min_by_key(|k| distance(k, key))
    });
    let hint = match similar {
        Some(similar) => format!("did you mean `{similar}`?"),
        None => format!("known here: {}", known.join(", ")),
    };
    FieldProblem::at(full, format!("unknown field; {hint}"))
}

fn check_bounds(schema: &Value, number: &serde_json::Number, path: &str) -> Result<(), FieldProblem> {
    let bound = |name| schema.get(name).and_then(Value::as_f64);
    let (minimum, maximum) = (bound("minimum"), bound("maximum"));
    let Some(value) = number.as_f64() else {
        return Ok(());
    };
    if minimum.is_none_or(|m| value >= m) && maximum.is_none_or(|m| value <= m) {
        return Ok(());
    }
    let allowed = match (minimum, maximum) {
        (Some(minimum), Some(maximum)) => format!("between {minimum} and {maximum}"),
        (Some(minimum), None) => format!("at least {minimum}"),
        (None, Some(maximum)) => format!("at most {maximum}"),
        (None, None) => return Ok(()),
    };
    Err(FieldProblem::at(path, format!("must be {allowed}, and is {number}")))
}

fn check_choice(schema: &Value, text: &str, path: &str) -> Result<(), FieldProblem> {
    let Some(choices) = schema.get("enum").and_then(Value::as_array) else {
        return Ok(());
    };
    let choices: Vec<&str> = choices.iter().filter_map(Value::as_str).collect();
    if choices.contains(&text) {
        return Ok(());
    }
    Err(FieldProblem::at(
        path,
        format!("must be {}, and is `{text}`", choices.join(" or ")),
    ))
}

/// Levenshtein's distance: the least number of letters to insert, delete or change.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, to) in b.iter().enumerate() {
            let changed = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}
