//! The planner: a pure function from what every node reports to the steps that make the mesh whole.
//!
//! It knows no history and no clock. What it wants is always the same, the full mesh of the members that answer; what it
//! may touch is bounded by what both ends say of a link now.

use crate::ends::Ends;
use crate::lane_rules::{End, LaneAction, is_established, is_whole, judge, may_close};
use sfumato_admin_api::types::{Lane, LinkId, LinkReport, NodeName, NodeReport};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

pub use crate::lane_rules::Reason;
pub use crate::step::{CloseStep, LaneStep, PairEnd, PairId, PairStep, Step, Surplus};

/// How long a whole link may be silent before it is replaced: `mesh.linkGrace`.
pub const DEFAULT_LINK_GRACE: Duration = Duration::from_secs(10);
/// Most ends that one step closes at one node. A node that reports more gets further steps, each after the one before.
pub const MAX_CLOSED_AT_ONCE: usize = 128;

/// What the cluster wants of its links.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanOptions {
    /// Most lanes of a pair, whatever the nodes say; `None` for as many as both nodes have workers.
    pub lanes: Option<u16>,
    /// How long a whole link may be silent before it is replaced.
    pub link_grace: Duration,
}

impl Default for PlanOptions {
    fn default() -> Self {
        Self {
            lanes: None,
            link_grace: DEFAULT_LINK_GRACE,
        }
    }
}

/// One member, as the caller sees it at present.
#[derive(Debug, Clone)]
pub struct Observed {
    /// Its name; unique in a plan.
    pub name: NodeName,
    /// Where the caller reaches its admin API, which need not be where its peers do.
    pub admin_url: String,
    /// What it says. `None` while it does not answer: then no step touches any of its links, at either end.
    pub report: Option<AgedReport>,
}

/// A report and how old it is.
#[derive(Debug, Clone)]
pub struct AgedReport {
    /// What the node said.
    pub report: Arc<NodeReport>,
    /// How long ago.
    pub age: Duration,
}

/// Compares the desired mesh with what both ends of every link report.
///
/// Members are what is given: a node that is gone is simply not in the list, and the survivors' ends to it are closed.
/// The steps touch different pairs, so they may run in any order and at once.
#[must_use]
pub fn plan(members: &[Observed], options: &PlanOptions) -> Vec<Step> {
    let members: BTreeMap<&NodeName, Member<'_>> = members.iter().map(|m| (&m.name, Member::new(m))).collect();
    let living: Vec<&Member<'_>> = members.values().filter(|m| m.seen.is_some()).collect();
    let mut steps = Vec::new();
    for (at, a) in living.iter().enumerate() {
        steps.extend(
            living[at + 1..]
                .iter()
                .filter_map(|b| pair_step(a, b, options))
                .map(Step::Pair),
        );
    }
    let orphans = living.iter().filter_map(|member| close_step(member, &members));
    steps.extend(orphans.map(Step::Close));
    steps
}

/// Lanes of a pair of nodes: as many as both have workers and were started to have, within the bound `lanes`. A cluster whose
/// number of lanes is lowered keeps the links of a pair until one of its nodes has been replaced.
#[must_use]
pub fn lanes_between(a: &NodeReport, b: &NodeReport, lanes: Option<u16>) -> u16 {
    let own = |report: &NodeReport| report.workers.min(report.lanes.unwrap_or(u16::MAX));
    own(a).min(own(b)).min(lanes.unwrap_or(u16::MAX))
}

/// The lanes of a pair that are established, in order, out of those wanted: whole, and fresh at both ends.
#[must_use]
pub(crate) fn established_lanes(a: &Ends<'_>, b: &Ends<'_>, lanes: Option<u16>) -> Vec<Lane> {
    let end = |link| End {
        link,
        age: Duration::ZERO,
    };
    let up = |lane: &Lane| {
        let mut ends = a.to(&b.report.node, *lane);
        ends.any(|x| b.to(&a.report.node, *lane).any(|y| is_established(&end(x), &end(y))))
    };
    (0..lanes_between(a.report, b.report, lanes))
        .map(Lane)
        .filter(up)
        .collect()
}

/// A member with its links by peer.
struct Member<'a> {
    observed: &'a Observed,
    seen: Option<&'a AgedReport>,
    links: BTreeMap<&'a NodeName, Vec<&'a LinkReport>>,
    ends: Option<Ends<'a>>,
}

impl<'a> Member<'a> {
    fn new(observed: &'a Observed) -> Self {
        let mut links: BTreeMap<&NodeName, Vec<&LinkReport>> = BTreeMap::new();
        for link in observed.report.iter().flat_map(|seen| &seen.report.links) {
            links.entry(&link.peer).or_default().push(link);
        }
        Self {
            observed,
            seen: observed.report.as_ref(),
            links,
            ends: observed.report.as_ref().map(|seen| Ends::of(&seen.report)),
        }
    }

    /// Its ends to the present life of `peer` on one lane. A node holds one; more would be its mistake.
    fn ends(&self, peer: &Self, lane: Lane) -> impl Iterator<Item = End<'a>> + use<'_, 'a> {
        let age = self.seen.map_or(Duration::ZERO, |seen| seen.age);
        let to = self.ends.as_ref().zip(peer.seen);
        let links = to
            .into_iter()
            .flat_map(move |(ends, peer)| ends.to(&peer.report.node, lane));
        links.map(move |link| End { link, age })
    }

    fn lanes(&self, peer: &Self, options: &PlanOptions) -> u16 {
        match (&self.seen, &peer.seen) {
            (Some(own), Some(other)) => lanes_between(&own.report, &other.report, options.lanes),
            _ => 0,
        }
    }
}

/// The two ends that make up a lane. A node holds one end a lane, so there is nothing to choose; should one ever report
/// more, whole links count before parts of links, and those that work before those that do not.
fn lane_ends<'a>(a: &Member<'a>, b: &Member<'a>, lane: Lane) -> (Option<End<'a>>, Option<End<'a>>) {
    let whole = a
        .ends(b, lane)
        .flat_map(|x| b.ends(a, lane).map(move |y| (x, y)))
        .filter(|(x, y)| is_whole(x, y));
    if let Some((x, y)) = whole.min_by_key(|(x, y)| !(x.is_fresh() || y.is_fresh())) {
        return (Some(x), Some(y));
    }
    let best = |own: &Member<'a>, other: &Member<'a>| own.ends(other, lane).min_by_key(|end| !end.is_fresh());
    (best(a, b), best(b, a))
}

/// What a pair of living members needs: lanes to make, and ends that nobody wants (of earlier lives, surplus lanes).
fn pair_step(a: &Member<'_>, b: &Member<'_>, options: &PlanOptions) -> Option<PairStep> {
    let judged = |lane| {
        let (x, y) = lane_ends(a, b, lane);
        match judge(x.as_ref(), y.as_ref(), options.link_grace) {
            LaneAction::Leave => None,
            LaneAction::Make { a, b, reason } => Some(LaneStep { lane, a, b, reason }),
        }
    };
    let lanes: Vec<LaneStep> = (0..a.lanes(b, options)).map(Lane).filter_map(judged).collect();
    let side = |own: &Member<'_>, other: &Member<'_>| {
        let (admin_url, node) = (own.observed.admin_url.clone(), own.seen?.report.node.clone());
        Some(PairEnd {
            admin_url,
            node,
            close: surplus(own, other, options),
        })
    };
    let encrypts = |member: &Member<'_>| member.seen.is_some_and(|seen| seen.report.link_encryption);
    let encrypted = encrypts(a) || encrypts(b);
    let (a, b) = (side(a, b)?, side(b, a)?);
    let anything = !(lanes.is_empty() && a.close.is_empty() && b.close.is_empty());
    anything.then_some(PairStep { a, b, lanes, encrypted })
}

/// Of one living member's ends to another, those that nobody wants.
fn surplus(own: &Member<'_>, other: &Member<'_>, options: &PlanOptions) -> Vec<LinkId> {
    let Some(AgedReport { age, .. }) = own.seen else {
        return Vec::new();
    };
    let lanes = own.lanes(other, options);
    let unwanted = |link: &LinkReport| {
        if other
            .seen
            .is_none_or(|seen| seen.report.node.incarnation != link.peer_incarnation)
        {
            return true;
        }
        let (chosen, beside) = lane_ends(own, other, link.lane);
        let chosen = chosen.is_some_and(|end| end.link.id == link.id);
        if chosen && link.lane.0 < lanes {
            return false;
        }
        // A second end on a lane is judged by its own partner, not by that of the first.
        let partner = if chosen {
            beside
        } else {
            other
                .ends(own, link.lane)
                .find(|end| end.link.remote.as_ref() == Some(&link.id))
        };
        may_close(Some(&End { link, age: *age }), partner.as_ref(), options.link_grace)
    };
    let links = own.links.get(&other.observed.name).into_iter().flatten();
    links
        .filter(|link| unwanted(link))
        .take(MAX_CLOSED_AT_ONCE)
        .map(|link| link.id.clone())
        .collect()
}

/// A living member's ends to nodes that are gone.
fn close_step(own: &Member<'_>, members: &BTreeMap<&NodeName, Member<'_>>) -> Option<CloseStep> {
    let gone = |peer: &NodeName| !members.contains_key(peer) || *peer == own.observed.name;
    let orphans = own
        .links
        .iter()
        .filter(|(peer, _)| gone(peer))
        .flat_map(|(_, links)| links);
    let ends: Vec<_> = orphans
        .take(MAX_CLOSED_AT_ONCE)
        .map(|link| Surplus {
            id: link.id.clone(),
            peer: link.peer.clone(),
            peer_incarnation: link.peer_incarnation.clone(),
        })
        .collect();
    let (admin_url, node) = (own.observed.admin_url.clone(), own.seen?.report.node.clone());
    (!ends.is_empty()).then_some(CloseStep { admin_url, node, ends })
}
