//! What the mesh task tells everyone else: who is a member, what each says, and how many pairs are whole.

use crate::ends::Ends;
use crate::plan::{established_lanes, lanes_between};
use sfumato_admin_api::types::{Incarnation, Lane, NodeName, NodeReport};
use std::collections::BTreeSet;
use std::sync::Arc;

/// The mesh at one moment. Before the targets are known it is empty.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct MeshSnapshot {
    /// Every target, ordered by name.
    pub members: Vec<MemberSnapshot>,
    /// Pairs over all targets, whether they answer or not: n(n-1)/2.
    pub desired_pairs: u32,
    /// Pairs that have all lanes established: whole, and fresh in the reports of both ends.
    pub established_pairs: u32,
    /// Those pairs, each with the smaller name first.
    pub whole: BTreeSet<(NodeName, NodeName)>,
}

/// One target.
#[derive(Debug, Clone, PartialEq)]
pub struct MemberSnapshot {
    pub name: NodeName,
    /// The life that answered last.
    pub incarnation: Option<Incarnation>,
    /// Whether it answers at present.
    pub reachable: bool,
    /// Whether it has been asked once, and has answered or not. Before that nobody knows anything of it.
    pub asked: bool,
    /// What it said last, without its peers and what it publishes and carries; out of date while it is not reachable.
    pub report: Option<Arc<NodeReport>>,
    /// Streams that were published on it when it said that.
    pub streams: usize,
    /// Why its last answer could not be used: it is over a bound, or of another shape. Such a node counts as not reachable.
    pub unusable: Option<String>,
    /// Why it does not answer, as of the first attempt in vain: later ones may differ in words.
    pub silent: Option<String>,
}

/// What is established of a mesh.
#[derive(Debug, Default)]
pub(crate) struct Established {
    /// Pairs with all lanes.
    pub pairs: BTreeSet<(NodeName, NodeName)>,
    /// Single lanes, also those of pairs that lack others.
    pub lanes: BTreeSet<(NodeName, NodeName, Lane)>,
}

impl MeshSnapshot {
    /// Whether nothing is left to do.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.established_pairs == self.desired_pairs && self.members.iter().all(|m| m.reachable)
    }

    /// Whether every member has been asked: else nothing here says that something is wrong.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.members.iter().all(|member| member.asked)
    }

    /// Nodes that the node of this name has whole links with.
    #[must_use]
    pub fn whole_pairs_of(&self, name: &str) -> usize {
        let with = |(a, b): &&(NodeName, NodeName)| a.as_str() == name || b.as_str() == name;
        self.whole.iter().filter(with).count()
    }

    /// Counts the pairs of these members, which are ordered by name.
    pub(crate) fn new(members: Vec<MemberSnapshot>, lanes: Option<u16>) -> (Self, Established) {
        let (mut desired_pairs, mut established_pairs) = (0, 0);
        let mut established = Established::default();
        let ends: Vec<Option<Ends<'_>>> = members.iter().map(|member| member.current().map(Ends::of)).collect();
        for (at, a) in members.iter().enumerate() {
            for (b, y) in members.iter().zip(&ends).skip(at + 1) {
                desired_pairs += 1;
                let (Some(x), Some(y)) = (&ends[at], y) else {
                    continue;
                };
                let up = established_lanes(x, y, lanes);
                if !up.is_empty() && up.len() == usize::from(lanes_between(x.report, y.report, lanes)) {
                    established_pairs += 1;
                    established.pairs.insert((a.name.clone(), b.name.clone()));
                }
                established
                    .lanes
                    .extend(up.into_iter().map(|lane| (a.name.clone(), b.name.clone(), lane)));
            }
        }
        (
            Self {
                members,
                desired_pairs,
                established_pairs,
                whole: established.pairs.clone(),
            },
            established,
        )
    }
}

impl MemberSnapshot {
    /// Its report, while it answers.
    #[must_use]
    pub fn current(&self) -> Option<&NodeReport> {
        self.report.as_deref().filter(|_| self.reachable)
    }
}
