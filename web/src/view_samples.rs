//! Reports for the unit tests.

use super::View;
use sfumato_admin_api::types::{
    API_VERSION, CarriedReport, Lane, LinkReport, LinkState, NodeName, NodeReport, Peer, PublicationReport, TrackKind,
    TrackReport,
};

pub fn name(name: &str) -> NodeName {
    name.parse().unwrap()
}

pub fn peer(node: &str) -> Peer {
    Peer {
        name: name(node),
        incarnation: format!("0.{node}").parse().unwrap(),
        admin_url: format!("http://{node}:4000"),
        client_url: format!("http://{node}:3000"),
    }
}

/// A healthy node with two workers and nothing on it.
pub fn report(node: &str) -> NodeReport {
    NodeReport {
        api_version: API_VERSION,
        version: "0.1.0".into(),
        node: peer(node),
        revision: 1,
        workers: 2,
        lanes: None,
        link_encryption: true,
        ready: true,
        draining: false,
        drain: sfumato_admin_api::types::DrainState::default(),
        redis: true,
        redis_problem: None,
        address_problem: None,
        tokens_required: None,
        secure_client_url: None,
        pid: 4711,
        peers: vec![],
        links: vec![],
        publications: vec![],
        carried: vec![],
        viewers: 0,
        publishers: 0,
        load: 0.0,
    }
}

/// This node's end of one lane to `to`.
pub fn end(from: &str, to: &str, lane: u16, state: LinkState, rtt_us: u64) -> LinkReport {
    LinkReport {
        id: format!("{from}-{to}-{lane}").replace('.', "-").parse().unwrap(),
        peer: name(to),
        peer_incarnation: format!("0.{to}").parse().unwrap(),
        lane: Lane(lane),
        remote: Some(format!("{to}-{from}-{lane}").replace('.', "-").parse().unwrap()),
        state,
        since_ms: 1_000,
        rtt_us: Some(rtt_us),
        beats_received: 10,
        large_packets: None,
        packets_lost: 1,
        packets_received: 100,
        bytes_sent: 0,
        bytes_received: 0,
    }
}

/// Healthy nodes with two fresh lanes between any two of them.
pub fn whole<const N: usize>(names: [&str; N]) -> [NodeReport; N] {
    names.map(|me| {
        let mut mine = report(me);
        for other in names.iter().filter(|other| **other != me) {
            mine.peers.push(peer(other));
            for lane in 0..2 {
                mine.links.push(end(me, other, lane, LinkState::Fresh, 300));
            }
        }
        mine
    })
}

pub fn publication(stream: &str, id: &str, viewers: u32) -> PublicationReport {
    PublicationReport {
        id: id.parse().unwrap(),
        stream: stream.parse().unwrap(),
        generation: 1,
        worker: 0,
        tracks: vec![
            TrackReport {
                kind: TrackKind::Audio,
                codec: "opus".into(),
                state: None,
                layers: Vec::new(),
            },
            TrackReport {
                kind: TrackKind::Video,
                codec: "VP8".into(),
                state: None,
                layers: Vec::new(),
            },
        ],
        viewers,
        subscribers: vec![],
    }
}

pub fn carried(stream: &str, id: &str, origin: &str, viewers: u32) -> CarriedReport {
    CarriedReport {
        publication: id.parse().unwrap(),
        stream: stream.parse().unwrap(),
        origin: name(origin),
        viewers,
        lane: Lane(0),
        packets_lost: 2,
        packets_received: 500,
    }
}

/// A view that has heard these reports, each at the node's own address.
pub fn view_of(reports: impl IntoIterator<Item = NodeReport>) -> View {
    let mut view = View::default();
    for report in reports {
        let url = report.node.admin_url.clone();
        assert!(view.heard(&url, report));
    }
    view
}
