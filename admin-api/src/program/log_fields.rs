//! Fields that every JSON line of one program has: of which cluster it is, and who writes.

use serde_json::{Map, Value};
use std::str::FromStr;

/// Names that there may be: those of `docs/logs.md` that are true of a whole process.
const NAMES: [&str; 3] = ["namespace", "cluster", "node"];

/// Fields of every line, as in `namespace=media,cluster=live`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogFields(Vec<(&'static str, String)>);

/// Fields that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not NAME=VALUE with one of the names namespace, cluster and node; an example is namespace=media,cluster=live"
)]
pub struct BadLogFields(String);

impl FromStr for LogFields {
    type Err = BadLogFields;

    fn from_str(text: &str) -> Result<Self, BadLogFields> {
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        parts
            .map(|part| {
                let known = part.split_once('=').filter(|(_, value)| !value.is_empty());
                let field = known.and_then(|(name, value)| Some((NAMES.into_iter().find(|it| *it == name)?, value)));
                let (name, value) = field.ok_or_else(|| BadLogFields(part.to_owned()))?;
                Ok((name, value.to_owned()))
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

impl LogFields {
    /// These, and the name of the media node that writes.
    #[must_use]
    pub fn of_node(mut self, node: &str) -> Self {
        self.0.push(("node", node.to_owned()));
        self
    }

    /// Puts them into a line, which may say otherwise later.
    pub(super) fn put(&self, line: &mut Map<String, Value>) {
        line.extend(
            self.0
                .iter()
                .map(|(name, value)| ((*name).to_owned(), value.clone().into())),
        );
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_as_they_are_written() {
        let fields: LogFields = " namespace=media, cluster=live,".parse().unwrap();
        let mut line = Map::new();
        fields.of_node("live-0").put(&mut line);
        assert_eq!(
            Value::Object(line),
            serde_json::json!({ "namespace": "media", "cluster": "live", "node": "live-0" })
        );
        assert_eq!("".parse(), Ok(LogFields::default()));
    }

    #[test]
    fn what_is_no_field_is_refused_with_an_example() {
        for text in ["media", "pod=live-0", "cluster=", "=live"] {
            let error = text.parse::<LogFields>().unwrap_err().to_string();
            assert!(error.starts_with(&format!("`{text}` is not NAME=VALUE")), "{error}");
            assert!(error.ends_with("namespace=media,cluster=live"), "{error}");
        }
    }
}
