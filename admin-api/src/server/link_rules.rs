//! What a node does with one lane of a [`crate::types::PutLinks`]: a pure decision, shared by the real node and by the
//! in-process nodes of the driver's tests.

use crate::types::{EndAction, LaneRequest, LinkId};

/// The end that a node holds for one (peer, peer incarnation, lane).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Existing<'a> {
    pub id: &'a LinkId,
    /// The other end that it is connected to; a pipe connects only once in its life.
    pub remote: Option<&'a LinkId>,
    /// Whether its transport still works.
    pub usable: bool,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Answer with the end that is there.
    Reuse,
    /// Connect the end that is there to the remote of the request.
    Connect,
    /// Close what is there, if anything, create an end, and connect it if the request names a remote.
    Create {
        /// The end to close first.
        close: Option<LinkId>,
    },
    /// 409: the caller saw something that has changed since.
    Conflict(String),
}

/// Decides one lane.
#[must_use]
pub fn decide(existing: Option<&Existing<'_>>, request: &LaneRequest) -> Decision {
    let lane = request.lane;
    match (&request.end, existing) {
        (EndAction::Ensure, None) => Decision::Create { close: None },
        (EndAction::Keep(seen), None) => Decision::Conflict(format!("lane {lane}: link {seen} is gone")),
        (EndAction::Replace(seen), None) => Decision::Conflict(format!("lane {lane}: link {seen} is gone")),
        (EndAction::Keep(seen) | EndAction::Replace(seen), Some(there)) if seen != there.id => {
            Decision::Conflict(format!("lane {lane}: link {seen} was replaced by {}", there.id))
        }
        (EndAction::Replace(seen), Some(_)) => Decision::Create {
            close: Some(seen.clone()),
        },
        (EndAction::Ensure, Some(there)) if !there.usable => Decision::Create {
            close: Some(there.id.clone()),
        },
        (EndAction::Ensure | EndAction::Keep(_), Some(there)) => match (&request.remote, there.remote) {
            (None, _) => Decision::Reuse,
            (Some(_), None) => Decision::Connect,
            (Some(wanted), Some(connected)) if wanted.id == *connected => Decision::Reuse,
            (Some(wanted), Some(connected)) => Decision::Conflict(format!(
                "lane {lane}: link {} is connected to {connected}, not to {}",
                there.id, wanted.id
            )),
        },
    }
}
