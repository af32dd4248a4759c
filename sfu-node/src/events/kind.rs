//! Which events there are, and which of them a player wants.

use std::collections::BTreeSet;

/// Why a player's choice of events was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidEvents(String);

/// An event of the WHEP core extensions. `scte35` is not among them: nothing here inserts advertisements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum EventKind {
    /// The publication's media flows.
    Active,
    /// It does not any more.
    Inactive,
    /// The simulcast layers that are there.
    Layers,
    /// How many watch the publication on this node.
    ViewerCount,
    /// The session is about to end: open a new one.
    Reconnect,
}

impl EventKind {
    /// Every event.
    pub const ALL: [Self; 5] = [
        Self::Active,
        Self::Inactive,
        Self::Layers,
        Self::ViewerCount,
        Self::Reconnect,
    ];

    /// Its name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Inactive => "inactive",
            Self::Layers => "layers",
            Self::ViewerCount => "viewercount",
            Self::Reconnect => "reconnect",
        }
    }

    /// All names, as the `events` attribute of a Link header lists them.
    pub fn list() -> String {
        Self::ALL.map(Self::name).join(",")
    }
}

/// Reads a player's choice: a JSON array of names; every event when the body is empty.
///
/// # Errors
/// For anything else, and for a name that is no event.
pub fn parse(body: &[u8]) -> Result<BTreeSet<EventKind>, InvalidEvents> {
    if body.is_empty() {
        return Ok(EventKind::ALL.into());
    }
    let names: Vec<String> = serde_json::from_slice(body).map_err(|error| {
        InvalidEvents(format!(
            "{error}; send a JSON array of event names, such as [\"active\",\"layers\"]"
        ))
    })?;
    names
        .iter()
        .map(|name| {
            EventKind::ALL
                .into_iter()
                .find(|kind| kind.name() == name)
                .ok_or_else(|| {
                    let shown: String = name.chars().take(64).collect();
                    InvalidEvents(format!("there is no event `{shown}`; there are {}", EventKind::list()))
                })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_names_is_taken_and_no_list_means_all() {
        let some = parse(br#"["layers","active","layers"]"#).unwrap();
        assert_eq!(some, BTreeSet::from([EventKind::Active, EventKind::Layers]));
        assert_eq!(parse(b"").unwrap().len(), EventKind::ALL.len());
        assert!(parse(b"[]").unwrap().is_empty());
    }

    #[test]
    fn an_unknown_event_and_anything_but_a_list_is_refused() {
        for body in [&br#"["active","scte35"]"#[..], b"{}", b"active", b"[1]", b"[[[["] {
            assert!(parse(body).is_err(), "{}", String::from_utf8_lossy(body));
        }
    }
}
