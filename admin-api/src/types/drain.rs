//! Draining a node: what is asked of it and what it says of it, in the admin API.

use super::bounds;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use utoipa::ToSchema;

/// Longest deadline that a drain may have, in seconds: a day.
pub const MAX_DRAIN_SECONDS: u64 = 24 * 60 * 60;

/// Why a node is drained. A node may have several reasons at once; each is lifted only by its own name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum DrainReason {
    /// A person wants it empty.
    Manual,
    /// It is about to be replaced by one with other settings or of another release.
    Roll,
    /// It is about to be taken away.
    ScaleDown,
    /// Its process was told to end. This cannot be lifted: the process ends once it is empty.
    Sigterm,
    /// A reason of another release. Read in reports, refused in requests.
    #[serde(other)]
    Other,
}

impl DrainReason {
    /// As JSON and the query write it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Manual => "manual",
            Self::Roll => "roll",
            Self::ScaleDown => "scaleDown",
            Self::Sigterm => "sigterm",
            Self::Other => "other",
        }
    }
}

impl fmt::Display for DrainReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text is no reason that can be asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no reason to drain: use manual, roll or scaleDown")]
pub struct UnknownReason(String);

impl FromStr for DrainReason {
    type Err = UnknownReason;

    fn from_str(text: &str) -> Result<Self, UnknownReason> {
        [Self::Manual, Self::Roll, Self::ScaleDown, Self::Sigterm]
            .into_iter()
            .find(|reason| reason.as_str() == text)
            .ok_or_else(|| UnknownReason(text.chars().take(64).collect()))
    }
}

/// `POST /admin/v1/drain`: empty the node for one more reason. Answers [`DrainState`].
///
/// New sessions are refused from now on and viewers are moved at once, if another node can take them; publishers stay
/// until the deadline. Links stay up to the end. Repeating a request changes nothing; one with an earlier deadline brings
/// the deadline of its reason forward.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DrainRequest {
    /// Why: `manual`, `roll` or `scaleDown`.
    pub reason: DrainReason,
    /// Seconds until publishers are ended too, 0 to 86400. Absent: the node's `--drain-deadline`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_seconds: Option<u64>,
}

/// Whether and why a node is being emptied: the answer to [`DrainRequest`] and to its undoing, and part of every report.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DrainState {
    /// Every reason that holds at present; the node is drained while there is any.
    #[serde(default, deserialize_with = "bounds::list::<_, _, { bounds::MAX_REASONS }>")]
    pub reasons: Vec<DrainReason>,
    /// Milliseconds until publishers are ended too, by the earliest deadline of all reasons, when this was written; 0 when
    /// it has passed. Absent while there is no reason.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "bounds::optional_whole::<_, u64, { bounds::MAX_WHOLE }>"
    )]
    pub remaining_ms: Option<u64>,
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_written_the_same_in_json_and_in_a_query() {
        for reason in [
            DrainReason::Manual,
            DrainReason::Roll,
            DrainReason::ScaleDown,
            DrainReason::Sigterm,
        ] {
            assert_eq!(serde_json::to_value(reason).unwrap(), reason.as_str());
            assert_eq!(reason.as_str().parse(), Ok(reason));
        }
        assert!("other".parse::<DrainReason>().is_err());
    }

    #[test]
    fn a_reason_of_another_release_can_be_read() {
        let state: DrainState = serde_json::from_str(r#"{"reasons": ["roll", "fullMoon"]}"#).unwrap();
        assert_eq!(state.reasons, [DrainReason::Roll, DrainReason::Other]);
        assert_eq!(serde_json::from_str::<DrainState>("{}").unwrap(), DrainState::default());
    }
}
