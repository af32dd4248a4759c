//! Links that carry small packets only: heartbeats pass, so that they look whole, and pictures do not.

use super::remark::Remark;
use sfumato_admin_api::types::{LinkState, NodeName};
use sfumato_mesh::{MemberSnapshot, MeshSnapshot};
use std::collections::BTreeSet;

/// Reason of node pairs whose links carry small packets only.
pub const LARGE_PACKETS_LOST: &str = "LargePacketsLost";
/// What SRTP, UDP and IPv6 add to an RTP packet, in bytes: 16 (RFC 7714 section 12), 8 and 40.
const HEADERS: u16 = 64;

/// What is lost between nodes.
#[derive(Debug, PartialEq, Eq)]
pub struct Lost {
    /// Each with the smaller name first; never empty.
    pairs: BTreeSet<(NodeName, NodeName)>,
    /// Size of an RTP packet that does not come through, in bytes.
    bytes: u16,
}

/// What the nodes of this mesh say that they do not get.
#[must_use]
pub fn lost(mesh: &MeshSnapshot) -> Option<Lost> {
    let mut pairs = BTreeSet::new();
    let mut smallest = u16::MAX;
    for member in &mesh.members {
        let links = member
            .current()
            .map(|report| report.links.as_slice())
            .unwrap_or_default();
        for link in links.iter().filter(|link| link.state == LinkState::Fresh) {
            let from = mesh.members.iter().find(|from| from.name == link.peer);
            let lives = from.and_then(|from| from.incarnation.as_ref()) == Some(&link.peer_incarnation);
            if let Some(large) = link.large_packets.filter(|large| !large.carried && lives) {
                pairs.insert(pair(member, &link.peer));
                smallest = smallest.min(large.bytes);
            }
        }
    }
    (!pairs.is_empty()).then_some(Lost { pairs, bytes: smallest })
}

fn pair(member: &MemberSnapshot, peer: &NodeName) -> (NodeName, NodeName) {
    let (a, b) = (member.name.clone(), peer.clone());
    if a < b { (a, b) } else { (b, a) }
}

impl Lost {
    /// Where, in a few words.
    #[must_use]
    pub fn place(&self) -> String {
        let first = self.pairs.first().map(|(a, b)| format!("between {a} and {b}"));
        let more = match self.pairs.len() {
            0 | 1 => String::new(),
            2 => " and in one more pair".to_owned(),
            all => format!(" and in {} more pairs", all - 1),
        };
        first.unwrap_or_default() + &more
    }

    /// What to do.
    #[must_use]
    pub fn remark(&self) -> Remark {
        let (place, bytes, whole) = (self.place(), self.bytes, self.bytes.saturating_add(HEADERS));
        Remark::new(
            LARGE_PACKETS_LOST,
            format!(
                "{place}, links carry no packets of {bytes} bytes ({whole} with SRTP, UDP and IP), and small ones pass: there is \
                 sound and no picture across them; set the MTU of the pod network to what the path between these Kubernetes nodes \
                 carries, or let ICMP \"fragmentation needed\" and \"packet too big\" through"
            ),
        )
    }
}
