//! ICE credentials of a session, and what a PATCH may do to them (RFC 9725 section 4.3, RFC 8840).

use crate::sdp::credentials::Credentials;
use crate::sdp::fragment::Fragment;
use axum::http::{HeaderMap, header};
use mediasoup::types::data_structures::IceParameters;

/// The ICE session as both sides know it now.
#[derive(Debug)]
pub struct IceSession {
    /// The client's, one entry for each set that its offer or answer named.
    pub client: Vec<Credentials>,
    /// Ours.
    pub ours: IceParameters,
}

impl IceSession {
    /// Its entity tag.
    pub fn etag(&self) -> String {
        etag(&self.ours)
    }
}

/// Strong entity tag of an ICE session: our user name fragment is new with every restart.
pub fn etag(ours: &IceParameters) -> String {
    format!("\"{}\"", ours.username_fragment)
}

/// `If-Match` of a request (RFC 9110 section 13.1.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// No header.
    Missing,
    /// `*`, or `"*"` as the examples of RFC 9725 print it.
    Any,
    /// Entity tags, as written.
    Tags(Vec<String>),
}

impl Condition {
    /// Reads `If-Match`, else `ETag`, which one published client sends in its place.
    pub fn of(headers: &HeaderMap) -> Self {
        let name = if headers.contains_key(header::IF_MATCH) {
            header::IF_MATCH
        } else {
            header::ETAG
        };
        let tags: Vec<String> = headers
            .get_all(name)
            .iter()
            .flat_map(|value| value.to_str().unwrap_or_default().split(','))
            .map(|tag| tag.trim().to_owned())
            .filter(|tag| !tag.is_empty())
            .collect();
        if !headers.contains_key(header::IF_MATCH) && tags.is_empty() {
            Self::Missing
        } else if tags.iter().any(|tag| tag == "*" || tag == "\"*\"") {
            Self::Any
        } else {
            Self::Tags(tags)
        }
    }

    /// Whether it names this tag. A weak tag never matches, a tag without its quotes does.
    pub fn names(&self, etag: &str) -> bool {
        match self {
            Self::Missing => false,
            Self::Any => true,
            Self::Tags(tags) => tags.iter().any(|tag| tag == etag || tag == etag.trim_matches('"')),
        }
    }
}

/// What a fragment asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PatchAction {
    /// Candidates, which an ICE lite server does not need.
    Trickle,
    /// New credentials of the client.
    Restart(Credentials),
}

/// What is wrong with a PATCH.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PatchFault {
    /// The fragment contradicts itself.
    Malformed,
    /// `If-Match` is missing where it is needed.
    NoCondition,
    /// `If-Match` names another ICE session than the present one.
    OtherSession,
}

/// Why a PATCH was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct PatchRefused {
    /// Which kind of fault it is.
    pub fault: PatchFault,
    /// Header or attribute at fault.
    pub field: &'static str,
    /// What is wrong, and what to do.
    pub detail: String,
}

/// What `If-Match` says by itself, whatever the fragment holds: judged before the fragment is read.
pub fn precondition(condition: &Condition, now: &IceSession, strict: bool) -> Result<(), PatchRefused> {
    match condition {
        Condition::Missing if strict => Err(no_condition()),
        Condition::Missing => Ok(()),
        condition if condition.names(&now.etag()) => Ok(()),
        Condition::Any | Condition::Tags(_) => Err(other_session()),
    }
}

fn no_condition() -> PatchRefused {
    PatchRefused {
        fault: PatchFault::NoCondition,
        field: "If-Match",
        detail: "send If-Match with the ETag of this ICE session, or `*` to restart ICE (RFC 9725 section 4.3)"
            .to_owned(),
    }
}

fn other_session() -> PatchRefused {
    let detail =
        "this is not the ETag of the present ICE session: it was restarted since, so drop what belongs to the old one";
    PatchRefused {
        fault: PatchFault::OtherSession,
        field: "If-Match",
        detail: detail.to_owned(),
    }
}

/// Tells trickle from restart, and checks the precondition: a restart always needs one; a trickle needs one only with
/// `strict`, since published players trickle without it and its credentials say as well which ICE session is meant.
pub fn judge(
    fragment: &Fragment,
    condition: &Condition,
    now: &IceSession,
    strict: bool,
) -> Result<PatchAction, PatchRefused> {
    let refuse = |fault, field, detail: &str| {
        let detail = detail.to_owned();
        Err(PatchRefused { fault, field, detail })
    };
    let known = |ufrag: &str| now.client.iter().find(|mine| mine.ufrag == ufrag);
    let change = match (&fragment.ufrag, &fragment.pwd) {
        (None, None) => PatchAction::Trickle,
        (None, Some(_)) => {
            return refuse(
                PatchFault::Malformed,
                "a=ice-ufrag",
                "a=ice-pwd comes with a=ice-ufrag: send both",
            );
        }
        (Some(ufrag), None) if known(ufrag).is_some() => PatchAction::Trickle,
        (Some(_), None) => {
            return refuse(
                PatchFault::Malformed,
                "a=ice-pwd",
                "an ICE restart needs a new a=ice-pwd beside the new a=ice-ufrag",
            );
        }
        (Some(ufrag), Some(pwd)) => match known(ufrag) {
            Some(mine) if mine.pwd == *pwd => PatchAction::Trickle,
            _ => PatchAction::Restart(Credentials {
                ufrag: ufrag.clone(),
                pwd: pwd.clone(),
            }),
        },
    };
    precondition(condition, now, strict)?;
    let of_this_session = change == PatchAction::Trickle && fragment.ufrag.is_some();
    if *condition == Condition::Missing && !of_this_session {
        return Err(no_condition());
    }
    Ok(change)
}

#[cfg(test)]
#[path = "ice_tests.rs"]
mod tests;
