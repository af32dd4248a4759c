//! The ends of links that a node reports, by what they lead to: each is looked up for every pair and lane, and how many there are
//! is up to the node.

use sfumato_admin_api::types::{Incarnation, Lane, LinkReport, NodeName, NodeReport, Peer};
use std::collections::BTreeMap;

/// Most ends of one lane to one life of a peer. A node holds one, and for a moment two.
pub const MAX_ENDS_OF_A_LANE: usize = 4;

type Where<'a> = (&'a NodeName, &'a Incarnation, Lane);

/// The ends of one node.
pub struct Ends<'a> {
    pub report: &'a NodeReport,
    by_lane: BTreeMap<Where<'a>, Vec<&'a LinkReport>>,
}

impl<'a> Ends<'a> {
    pub fn of(report: &'a NodeReport) -> Self {
        let mut by_lane: BTreeMap<Where<'a>, Vec<&'a LinkReport>> = BTreeMap::new();
        for link in &report.links {
            by_lane
                .entry((&link.peer, &link.peer_incarnation, link.lane))
                .or_default()
                .push(link);
        }
        Self { report, by_lane }
    }

    /// Those of one lane to this life of a peer.
    pub fn to(&self, peer: &'a Peer, lane: Lane) -> impl Iterator<Item = &'a LinkReport> + use<'_, 'a> {
        let found = self.by_lane.get(&(&peer.name, &peer.incarnation, lane));
        found.into_iter().flatten().copied()
    }

    /// A lane of which there are more than a node can have.
    pub fn overfull(&self) -> Option<(&'a NodeName, Lane, usize)> {
        let over = self.by_lane.iter().find(|(_, ends)| ends.len() > MAX_ENDS_OF_A_LANE);
        over.map(|((peer, _, lane), ends)| (*peer, *lane, ends.len()))
    }
}
