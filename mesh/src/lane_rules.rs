//! What the planner does about one lane of one living pair: a pure decision over what both ends report.
//!
//! Half-made links are finished or remade at once, since nothing can run over them. A link that was whole is left alone
//! for the grace: replacing it closes every consumer behind it, so a blip must not.

use sfumato_admin_api::types::{EndAction, LinkReport, LinkState};
use std::fmt;
use std::time::Duration;

/// One end of a lane, as its node reports it.
#[derive(Debug, Clone, Copy)]
pub struct End<'a> {
    pub link: &'a LinkReport,
    /// Age of the report that it comes from.
    pub age: Duration,
}

impl End<'_> {
    /// Whether it hears its own beats echoed.
    pub fn is_fresh(&self) -> bool {
        self.link.state == LinkState::Fresh
    }

    fn is_dead(&self) -> bool {
        self.link.state == LinkState::Dead
    }

    fn in_state_for(&self) -> Duration {
        Duration::from_millis(self.link.since_ms).saturating_add(self.age)
    }

    fn is_connected_to(&self, other: &End<'_>) -> bool {
        self.link.remote.as_ref() == Some(&other.link.id)
    }
}

/// Why a step touches a lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Neither node has an end.
    Missing,
    /// A call was lost on the way to a link, or one end is gone.
    HalfMade,
    /// Connected at both ends, and no beat came through for this long.
    Silent(Duration),
    /// A transport has failed.
    Dead,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("missing"),
            Self::HalfMade => f.write_str("half-made"),
            Self::Silent(time) => write!(f, "silent for {:.1} s", time.as_secs_f64()),
            Self::Dead => f.write_str("dead"),
        }
    }
}

/// What to do about a lane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LaneAction {
    /// It is as it should be, or may still become so.
    Leave,
    /// Make it whole.
    Make { a: EndAction, b: EndAction, reason: Reason },
}

/// Whether both ends name each other.
pub fn is_whole(a: &End<'_>, b: &End<'_>) -> bool {
    a.is_connected_to(b) && b.is_connected_to(a)
}

/// Whether a lane counts as established: whole, and fresh at both ends.
pub fn is_established(a: &End<'_>, b: &End<'_>) -> bool {
    is_whole(a, b) && a.is_fresh() && b.is_fresh()
}

/// What stands against touching a lane, or the reason for doing so.
fn fault(a: Option<&End<'_>>, b: Option<&End<'_>>, grace: Duration) -> Option<Reason> {
    // One report may lag behind the other. An end that hears its own beats echoed has a working link, whatever the other
    // report says; if that is no longer true it turns stale within three beats.
    if [a, b].into_iter().flatten().any(End::is_fresh) {
        return None;
    }
    match (a, b) {
        (None, None) => Some(Reason::Missing),
        _ if [a, b].into_iter().flatten().any(End::is_dead) => Some(Reason::Dead),
        (Some(a), Some(b)) if is_whole(a, b) => {
            let silent = a.in_state_for().min(b.in_state_for());
            (silent >= grace).then_some(Reason::Silent(silent))
        }
        _ => Some(Reason::HalfMade),
    }
}

/// Decides one lane of a living pair.
pub fn judge(a: Option<&End<'_>>, b: Option<&End<'_>>, grace: Duration) -> LaneAction {
    match fault(a, b, grace) {
        None => LaneAction::Leave,
        Some(reason) => {
            let remake = matches!(reason, Reason::Silent(_));
            LaneAction::Make {
                a: action(a, b, remake),
                b: action(b, a, remake),
                reason,
            }
        }
    }
}

/// Whether a lane that is not wanted any more may be closed: with the care that replacing takes, since viewers may be
/// behind it until its nodes are rolled.
pub fn may_close(a: Option<&End<'_>>, b: Option<&End<'_>>, grace: Duration) -> bool {
    fault(a, b, grace).is_some()
}

fn action(end: Option<&End<'_>>, other: Option<&End<'_>>, remake: bool) -> EndAction {
    match end {
        None => EndAction::Ensure,
        Some(end) if !remake && can_complete(end, other) => EndAction::Keep(end.link.id.clone()),
        Some(end) => EndAction::Replace(end.link.id.clone()),
    }
}

/// A pipe connects once in its life: an end is of use while it is unconnected, or connected to an end that is itself of
/// use and free for it.
fn can_complete(end: &End<'_>, other: Option<&End<'_>>) -> bool {
    if end.is_dead() {
        return false;
    }
    match (&end.link.remote, other) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(_), Some(other)) => {
            end.is_connected_to(other)
                && !other.is_dead()
                && (other.link.remote.is_none() || other.is_connected_to(end))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sfumato_admin_api::types::{Lane, LinkId};

    const GRACE: Duration = Duration::from_secs(10);

    fn id(id: &str) -> LinkId {
        id.parse().unwrap()
    }

    fn link(name: &str, remote: Option<&str>, state: LinkState, since_ms: u64) -> LinkReport {
        LinkReport {
            id: id(name),
            peer: "peer".parse().unwrap(),
            peer_incarnation: "0.1".parse().unwrap(),
            lane: Lane(0),
            remote: remote.map(id),
            state,
            since_ms,
            rtt_us: None,
            beats_received: 0,
            large_packets: None,
            packets_lost: 0,
            packets_received: 0,
            bytes_sent: 0,
            bytes_received: 0,
        }
    }

    fn decide(a: Option<&LinkReport>, b: Option<&LinkReport>, age: Duration) -> LaneAction {
        let end = |link| End { link, age };
        judge(a.map(end).as_ref(), b.map(end).as_ref(), GRACE)
    }

    fn make(a: EndAction, b: EndAction, reason: Reason) -> LaneAction {
        LaneAction::Make { a, b, reason }
    }

    use EndAction::{Ensure, Keep, Replace};
    use LinkState::{Connecting, Dead, Fresh, Stale};

    #[test]
    fn a_whole_link_is_replaced_only_when_both_ends_were_silent_for_the_grace() {
        let a = link("a", Some("b"), Stale, 10_000);
        let younger = link("b", Some("a"), Stale, 9_000);
        assert_eq!(
            decide(Some(&a), Some(&younger), Duration::from_millis(999)),
            LaneAction::Leave
        );
        assert_eq!(
            decide(Some(&a), Some(&younger), Duration::from_secs(1)),
            make(Replace(id("a")), Replace(id("b")), Reason::Silent(GRACE))
        );
        let connecting = link("b", Some("a"), Connecting, 0);
        assert_eq!(decide(Some(&a), Some(&connecting), Duration::ZERO), LaneAction::Leave);
    }

    #[test]
    fn an_end_that_is_fresh_is_never_touched_whatever_the_other_report_says() {
        let a = link("a", Some("b"), Fresh, 0);
        for other in [
            None,
            Some(link("x", None, Connecting, 0)),
            Some(link("b", Some("a"), Dead, 99_000)),
        ] {
            assert_eq!(
                decide(Some(&a), other.as_ref(), Duration::from_secs(99)),
                LaneAction::Leave
            );
            assert_eq!(
                decide(other.as_ref(), Some(&a), Duration::from_secs(99)),
                LaneAction::Leave
            );
        }
    }

    #[test]
    fn half_made_links_keep_the_end_that_can_still_be_connected() {
        let free = link("a", None, Connecting, 0);
        let linked = link("a", Some("b"), Connecting, 0);
        let b_free = link("b", None, Connecting, 0);
        let b_linked = link("b", Some("a"), Connecting, 0);
        let b_elsewhere = link("b", Some("gone"), Connecting, 0);
        let (a_id, b_id) = (id("a"), id("b"));
        let keep_a = || Keep(a_id.clone());
        for (a, b, want_a, want_b) in [
            (Some(&free), None, keep_a(), Ensure),
            (Some(&linked), None, Replace(a_id.clone()), Ensure),
            (Some(&free), Some(&b_free), keep_a(), Keep(b_id.clone())),
            (Some(&free), Some(&b_linked), keep_a(), Keep(b_id.clone())),
            (Some(&linked), Some(&b_free), keep_a(), Keep(b_id.clone())),
            (Some(&free), Some(&b_elsewhere), keep_a(), Replace(b_id.clone())),
            (
                Some(&linked),
                Some(&b_elsewhere),
                Replace(a_id.clone()),
                Replace(b_id.clone()),
            ),
        ] {
            assert_eq!(
                decide(a, b, Duration::ZERO),
                make(want_a.clone(), want_b.clone(), Reason::HalfMade)
            );
            assert_eq!(decide(b, a, Duration::ZERO), make(want_b, want_a, Reason::HalfMade));
        }
    }

    #[test]
    fn a_dead_end_is_replaced_at_once_with_the_end_that_was_connected_to_it() {
        let a = link("a", Some("b"), Stale, 0);
        let b = link("b", Some("a"), Dead, 0);
        let replaced = make(Replace(id("a")), Replace(id("b")), Reason::Dead);
        assert_eq!(decide(Some(&a), Some(&b), Duration::ZERO), replaced);
        let free = link("a", None, Connecting, 0);
        let keeps_the_free_end = make(Keep(id("a")), Replace(id("b")), Reason::Dead);
        assert_eq!(decide(Some(&free), Some(&b), Duration::ZERO), keeps_the_free_end);
    }
}
