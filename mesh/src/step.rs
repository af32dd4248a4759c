//! What the planner hands to the driver: steps, and the pairs that they touch.

use crate::lane_rules::Reason;
use sfumato_admin_api::types::{EndAction, Incarnation, Lane, LinkId, NodeName, Peer};
use std::collections::{BTreeMap, BTreeSet};

/// One thing for the driver to do. A plan has at most one step for each pair of nodes.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Make links of one pair: three calls, whatever the number of lanes.
    Pair(PairStep),
    /// Close one node's ends to nodes that are gone: one call.
    Close(CloseStep),
}

/// Links to make, and ends to close, between two living members.
#[derive(Debug, Clone, PartialEq)]
pub struct PairStep {
    /// The node that is called first: the smaller name.
    pub a: PairEnd,
    /// The other one.
    pub b: PairEnd,
    /// The lanes to make; whole lanes of the pair are not among them. Empty when there is only something to close.
    pub lanes: Vec<LaneStep>,
    /// Whether the links are encrypted: when either node was started to encrypt.
    pub encrypted: bool,
}

/// One side of a [`PairStep`].
#[derive(Debug, Clone, PartialEq)]
pub struct PairEnd {
    /// Where the caller reaches it.
    pub admin_url: String,
    /// Who it is, and how its peer reaches it.
    pub node: Peer,
    /// Its ends to the peer that nobody wants: made for an earlier life of the peer, or on a lane beyond the count.
    pub close: Vec<LinkId>,
}

/// One lane of a [`PairStep`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaneStep {
    pub lane: Lane,
    /// What `a` does with the end that it has.
    pub a: EndAction,
    /// What `b` does with the end that it has.
    pub b: EndAction,
    pub reason: Reason,
}

/// Ends to close at one node, because their peers are gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloseStep {
    /// Where the caller reaches it.
    pub admin_url: String,
    /// Who it is.
    pub node: Peer,
    /// What to close.
    pub ends: Vec<Surplus>,
}

/// An end whose peer is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Surplus {
    pub id: LinkId,
    /// The node that it was made for.
    pub peer: NodeName,
    /// The life of that node that it was made for.
    pub peer_incarnation: Incarnation,
}

/// Two lives of two nodes, in the order of their names: what is driven, held back and counted is always a pair.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PairId {
    /// Name and life of the node with the smaller name.
    pub a: (NodeName, Incarnation),
    /// Name and life of the other one.
    pub b: (NodeName, Incarnation),
}

impl PairId {
    /// The pair of two lives, whichever comes first.
    #[must_use]
    pub fn new(one: (NodeName, Incarnation), other: (NodeName, Incarnation)) -> Self {
        if one <= other {
            Self { a: one, b: other }
        } else {
            Self { a: other, b: one }
        }
    }

    /// The names alone.
    #[must_use]
    pub fn names(&self) -> (NodeName, NodeName) {
        (self.a.0.clone(), self.b.0.clone())
    }
}

impl Step {
    /// The pairs that this step touches: one, or for closing one for each peer's life.
    #[must_use]
    pub fn pairs(&self) -> BTreeSet<PairId> {
        match self {
            Self::Pair(step) => BTreeSet::from([PairId::new(life(&step.a.node), life(&step.b.node))]),
            Self::Close(step) => step.ends.iter().map(|end| step.pair(end)).collect(),
        }
    }

    /// What is left of this step when only some pairs may be touched.
    #[must_use]
    pub fn restricted(self, mut allowed: impl FnMut(&PairId) -> bool) -> Option<Self> {
        let verdicts: BTreeMap<PairId, bool> = self.pairs().into_iter().map(|p| (p.clone(), allowed(&p))).collect();
        match self {
            Self::Pair(_) => verdicts.values().all(|v| *v).then_some(self),
            Self::Close(step) => {
                let ends: Vec<_> = step
                    .ends
                    .iter()
                    .filter(|end| verdicts[&step.pair(end)])
                    .cloned()
                    .collect();
                (!ends.is_empty()).then_some(Self::Close(CloseStep { ends, ..step }))
            }
        }
    }
}

impl CloseStep {
    fn pair(&self, end: &Surplus) -> PairId {
        PairId::new(life(&self.node), (end.peer.clone(), end.peer_incarnation.clone()))
    }
}

fn life(node: &Peer) -> (NodeName, Incarnation) {
    (node.name.clone(), node.incarnation.clone())
}
