//! `--selector`: which SfuClusters an installation looks after, by their labels, as kubectl writes it.

use kube::core::{Expression, Selector, SelectorExt as _};
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// All that it asks for must hold. Nothing is asked for by default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClusterSelector(Selector);

impl ClusterSelector {
    /// Whether an object with these labels is looked after.
    #[must_use]
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.0.matches(labels)
    }
}

impl fmt::Display for ClusterSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for ClusterSelector {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let terms = text.split(',').map(str::trim).filter(|term| !term.is_empty());
        Ok(Self(terms.map(expression).collect::<Result<_, _>>()?))
    }
}

/// One term. Sets (`key in (a,b)`) are left out: several terms and several releases of the operator do without.
fn expression(term: &str) -> Result<Expression, String> {
    let pair = |(key, value): (&str, &str)| (key.trim().to_owned(), value.trim().to_owned());
    let found = if let Some((key, value)) = term.split_once("!=").map(pair) {
        Expression::NotEqual(key, value)
    } else if let Some((key, value)) = term.split_once("==").or_else(|| term.split_once('=')).map(pair) {
        Expression::Equal(key, value)
    } else if let Some(key) = term.strip_prefix('!') {
        Expression::DoesNotExist(key.trim().to_owned())
    } else {
        Expression::Exists(term.to_owned())
    };
    let (key, value) = match &found {
        Expression::NotEqual(key, value) | Expression::Equal(key, value) => (key, value.as_str()),
        Expression::DoesNotExist(key) | Expression::Exists(key) => (key, ""),
        Expression::In(..) | Expression::NotIn(..) => unreachable!("none is made here"),
    };
    let plain = |text: &str, more: &[char]| {
        text.chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c) || more.contains(&c))
    };
    if key.is_empty() || !plain(key, &['/']) || !plain(value, &[]) {
        return Err(format!(
            "`{term}` is no term: write KEY=VALUE, KEY!=VALUE, KEY or !KEY, such as release=next"
        ));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_matches_when_every_term_holds() {
        let labels = |text: &str| {
            let pairs = text.split(' ').filter_map(|pair| pair.split_once('='));
            pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
        };
        for (selector, object, expected) in [
            ("", "", true),
            ("release=next", "release=next", true),
            ("release==next", "release=next team=a", true),
            ("release=next", "release=now", false),
            ("release=next", "", false),
            ("release!=next", "", true),
            ("release!=next", "release=next", false),
            ("release!=next, team=a", "team=a", true),
            ("example.com/canary", "example.com/canary=", true),
            ("example.com/canary", "", false),
            ("!canary", "canary=1", false),
            ("!canary,", "", true),
        ] {
            let parsed: ClusterSelector = selector.parse().unwrap();
            assert_eq!(parsed.matches(&labels(object)), expected, "{selector} on {object}");
        }
    }

    #[test]
    fn what_is_no_term_is_refused_with_how_it_is_written() {
        for wrong in ["=next", "release in (a,b)", "a=b=c", "!", "a b"] {
            let refused = wrong.parse::<ClusterSelector>().unwrap_err();
            assert!(refused.contains("KEY=VALUE, KEY!=VALUE"), "{wrong}: {refused}");
        }
    }
}
