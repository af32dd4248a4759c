//! Durations as Kubernetes and Go write them: `500ms`, `30s`, `1m30s`.
//!
//! Kubernetes' own `metav1.Duration` accepts a bare `0`, signs and exponents, and a sum that overflows; a manifest
//! needs none of that. This type takes a narrower form, so that a forgotten unit is a clear error and the
//! definition's rule and this parser accept the same texts.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// What the definition's rule lets pass: up to four numbers, each with its unit. Nothing that fits overflows a [`Duration`].
pub const PATTERN: &str = r"^([0-9]{1,6}(\.[0-9]{1,6})?(ms|s|m|h)){1,4}$";
/// Longest text that fits [`PATTERN`]; the API server needs it to bound the cost of the CEL rules.
const MAX_LENGTH: usize = 60;

/// A duration of a manifest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct GoDuration(pub Duration);

/// Why a text is no duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` {problem}: write a duration such as \"500ms\", \"30s\" or \"2m\"")]
pub struct InvalidDuration {
    text: String,
    problem: &'static str,
}

impl GoDuration {
    /// A duration of whole milliseconds.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(Duration::from_millis(millis))
    }
}

impl FromStr for GoDuration {
    type Err = InvalidDuration;

    fn from_str(text: &str) -> Result<Self, InvalidDuration> {
        let refuse = |problem| InvalidDuration {
            text: text.chars().take(MAX_LENGTH).collect(),
            problem,
        };
        let mut rest = text;
        let mut total = Duration::ZERO;
        for _ in 0..4 {
            let digits = |c: char| !(c.is_ascii_digit() || c == '.');
            let (number, after) = rest.split_at(rest.find(digits).unwrap_or(rest.len()));
            if !is_number(number) {
                return Err(refuse("is no duration"));
            }
            let unit_end = after
                .find(|c: char| c.is_ascii_digit() || c == '.')
                .unwrap_or(after.len());
            let (unit, after) = after.split_at(unit_end);
            let millis = match unit {
                "ms" => 1,
                "s" => 1_000,
                "m" => 60_000,
                "h" => 3_600_000,
                "" => return Err(refuse("has no unit")),
                _ => return Err(refuse("has a unit other than ms, s, m and h")),
            };
            let number: f64 = number.parse().map_err(|_| refuse("is no duration"))?;
            total += Duration::from_millis(millis).mul_f64(number);
            rest = after;
            if rest.is_empty() {
                return Ok(Self(total));
            }
        }
        Err(refuse("has more than four parts"))
    }
}

/// One to six digits, and a fraction of one to six digits if there is a point.
fn is_number(text: &str) -> bool {
    let digits = |part: &str| (1..=6).contains(&part.len());
    let mut parts = text.split('.');
    let whole = parts.next().is_some_and(digits);
    let fraction = parts.next().is_none_or(digits);
    whole && fraction && parts.next().is_none()
}

impl fmt::Display for GoDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Microseconds have no place in a manifest: the finest unit is a millisecond with a fraction.
        let millis = self.0.as_millis();
        match millis {
            0 => f.write_str("0s"),
            _ if !self.0.subsec_nanos().is_multiple_of(1_000_000) => {
                write!(f, "{:.3}ms", self.0.as_secs_f64() * 1e3)
            }
            _ if !millis.is_multiple_of(1_000) => write!(f, "{millis}ms"),
            _ if !millis.is_multiple_of(60_000) => write!(f, "{}s", millis / 1_000),
            _ => write!(f, "{}m", millis / 60_000),
        }
    }
}

impl fmt::Debug for GoDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for GoDuration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for GoDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl de::Visitor<'_> for Text {
            type Value = GoDuration;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a duration with its unit, such as \"500ms\", \"30s\" or \"2m\"")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<GoDuration, E> {
                text.parse().map_err(E::custom)
            }
            // A YAML number: the most likely slip, so it gets the message about the unit.
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<GoDuration, E> {
                self.visit_str(&number.to_string())
            }
            fn visit_i64<E: de::Error>(self, number: i64) -> Result<GoDuration, E> {
                self.visit_str(&number.to_string())
            }
            fn visit_f64<E: de::Error>(self, number: f64) -> Result<GoDuration, E> {
                self.visit_str(&number.to_string())
            }
        }
        deserializer.deserialize_any(Text)
    }
}

impl schemars::JsonSchema for GoDuration {
    fn schema_name() -> Cow<'static, str> {
        "GoDuration".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "maxLength": MAX_LENGTH })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_with_their_units() {
        for (text, millis) in [
            ("500ms", 500),
            ("10s", 10_000),
            ("2m", 120_000),
            ("1h", 3_600_000),
            ("1m30s", 90_000),
            ("1.5s", 1_500),
            ("0s", 0),
        ] {
            let read: GoDuration = text.parse().unwrap();
            assert_eq!(read, GoDuration::from_millis(millis), "{text}");
        }
    }

    #[test]
    fn what_is_written_reads_back_the_same() {
        for millis in [0, 1, 250, 500, 1_000, 1_500, 30_000, 60_000, 90_000, 3_600_000] {
            let duration = GoDuration::from_millis(millis);
            assert_eq!(duration.to_string().parse::<GoDuration>().unwrap(), duration);
        }
    }

    #[test]
    fn the_parser_and_the_schema_pattern_agree() {
        // The pattern runs in the CEL engine that also checks the CRD's rules, so no second regex crate is needed.
        let schema = serde_json::json!({
            "type": "string",
            "x-kubernetes-validations": [{ "rule": format!("self.matches(r'{PATTERN}')"), "message": "no" }],
        });
        let cel = kube::core::cel::Validator::new();
        for text in [
            "500ms",
            "10s",
            "2m",
            "1h30m",
            "1.5s",
            "10",
            "",
            "s",
            "-5s",
            "+5s",
            "5 s",
            "1e3s",
            "5d",
            "1.s",
            ".5s",
            "1.2.3s",
            "9999999s",
            "1s1s1s1s",
            "1s1s1s1s1s",
            "0",
            "١s",
            "5S",
            "1sm",
        ] {
            let by_schema = cel.validate(&schema, &serde_json::json!(text), None).is_ok();
            assert_eq!(text.parse::<GoDuration>().is_ok(), by_schema, "{text:?}");
        }
    }

    #[test]
    fn a_missing_or_unknown_unit_is_named() {
        let message = |text: &str| text.parse::<GoDuration>().unwrap_err().to_string();
        assert!(message("10").starts_with("`10` has no unit"), "{}", message("10"));
        assert!(message("3d").contains("other than ms, s, m and h"), "{}", message("3d"));
    }

    #[test]
    fn a_bare_number_in_a_manifest_is_refused_for_its_unit() {
        let error = serde_json::from_str::<GoDuration>("30").unwrap_err().to_string();
        assert!(error.contains("`30` has no unit"), "{error}");
    }
}
