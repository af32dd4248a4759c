//! The cluster as JSON: a pure function of the view, in a deterministic order, so that equal views give equal text.

use crate::cluster_json::{ClusterJson, Link, Mesh, Node, OnNode, SeedAddress, State, Stream, Summary};
use crate::view::{Known, View};
use sfumato_admin_api::types::{Lane, LinkReport, LinkState, NodeName, PublicationId, StreamName, TrackReport};
use std::collections::{BTreeMap, BTreeSet};

/// Most lanes that are listed: 32 nodes have 496 pairs, and ports for 1600 lanes at most. Nodes that claim more workers than
/// they have must not decide how long the list is.
pub const MAX_LANES_LISTED: usize = 4_096;
/// Most streams that are listed.
pub const MAX_STREAMS_LISTED: usize = 8_192;

/// The cluster as JSON.
#[must_use]
pub fn cluster(view: &View) -> ClusterJson {
    let known: Vec<Ends<'_>> = view.nodes().values().map(Ends::of).collect();
    let mut mesh = Mesh {
        desired_pairs: 0,
        established_pairs: 0,
    };
    let mut links = Vec::new();
    for (i, a) in known.iter().enumerate() {
        for b in &known[i + 1..] {
            let lanes = pair(a, b);
            mesh.desired_pairs += 1;
            mesh.established_pairs += usize::from(lanes.iter().all(|lane| lane.state == State::Fresh));
            let room = MAX_LANES_LISTED.saturating_sub(links.len());
            links.extend(lanes.into_iter().take(room));
        }
    }
    ClusterJson {
        cluster: summary(view),
        nodes: view.nodes().values().map(node).collect(),
        links,
        streams: streams(view),
        mesh,
    }
}

/// A node with the ends that it reports, by the node at the other end.
struct Ends<'a> {
    known: &'a Known,
    by_peer: BTreeMap<&'a NodeName, Vec<&'a LinkReport>>,
}

impl<'a> Ends<'a> {
    fn of(known: &'a Known) -> Self {
        let mut by_peer: BTreeMap<&NodeName, Vec<&LinkReport>> = BTreeMap::new();
        for link in known.current().into_iter().flat_map(|report| &report.links) {
            by_peer.entry(&link.peer).or_default().push(link);
        }
        Self { known, by_peer }
    }

    /// Those of its links with the present life of `to`. Ends that were made for an earlier life are not links any more,
    /// whatever they say.
    fn to(&self, to: &Known) -> BTreeMap<Lane, &'a LinkReport> {
        let ends = self.by_peer.get(&to.peer.name).into_iter().flatten();
        ends.filter(|link| link.peer_incarnation == to.peer.incarnation)
            .map(|link| (link.lane, *link))
            .collect()
    }
}

fn summary(view: &View) -> Summary {
    let seeds = view.seeds().iter();
    Summary {
        version: env!("CARGO_PKG_VERSION"),
        nodes_ready: view.reports().filter(|r| r.ready && !r.draining).count(),
        nodes_reachable: view.reports().count(),
        redis: view.reports().all(|r| r.redis),
        seeds: seeds
            .map(|(url, seed)| SeedAddress {
                url: url.clone(),
                node: seed.node.clone(),
                error: seed.error.clone(),
            })
            .collect(),
    }
}

fn node(known: &Known) -> Node {
    let report = known.report.as_ref();
    Node {
        name: known.peer.name.clone(),
        incarnation: known.peer.incarnation.clone(),
        ready: known.current().is_some_and(|r| r.ready),
        draining: report.is_some_and(|r| r.draining),
        reachable: known.reachable,
        workers: report.map_or(0, |r| r.workers),
        version: report.map_or_else(String::new, |r| r.version.clone()),
        pid: report.map_or(0, |r| r.pid),
        publishers: report.map_or(0, |r| r.publishers),
        viewers: report.map_or(0, |r| r.viewers),
        load: report.map_or(0.0, |r| r.load),
        client_url: known.peer.client_url.clone(),
    }
}

/// Every lane of a pair: those that should be there (one at least, so that a pair is never invisible), and any other
/// that is reported.
fn pair(a: &Ends<'_>, b: &Ends<'_>) -> Vec<Link> {
    let (a_ends, b_ends) = (a.to(b.known), b.to(a.known));
    let (a, b) = (a.known, b.known);
    let most = |known: &Known| {
        let report = known.report.as_ref();
        report.map_or(1, |r| r.workers.min(r.lanes.unwrap_or(u16::MAX)).max(1))
    };
    let desired = (0..most(a).min(most(b))).map(Lane);
    let lanes: BTreeSet<Lane> = desired
        .chain(a_ends.keys().copied())
        .chain(b_ends.keys().copied())
        .collect();
    lanes
        .into_iter()
        .map(|lane| {
            let (a_end, b_end) = (a_ends.get(&lane).copied(), b_ends.get(&lane).copied());
            let (a_state, b_state) = (state(a_end), state(b_end));
            Link {
                a: a.peer.name.clone(),
                b: b.peer.name.clone(),
                lane,
                state: a_state.max(b_state),
                rtt_us: mean(a_end.and_then(|e| e.rtt_us), b_end.and_then(|e| e.rtt_us)),
                packets_lost: a_end
                    .map_or(0, |e| e.packets_lost)
                    .saturating_add(b_end.map_or(0, |e| e.packets_lost)),
                a_state,
                b_state,
                a_id: a_end.map(|e| e.id.clone()),
                b_id: b_end.map(|e| e.id.clone()),
            }
        })
        .collect()
}

fn state(end: Option<&LinkReport>) -> State {
    match end.map(|end| end.state) {
        None => State::Missing,
        Some(LinkState::Fresh) if end.is_some_and(LinkReport::loses_large_packets) => State::Narrow,
        Some(LinkState::Connecting) => State::Connecting,
        Some(LinkState::Fresh) => State::Fresh,
        Some(LinkState::Stale) => State::Stale,
        Some(LinkState::Dead) => State::Dead,
    }
}

fn mean(a: Option<u64>, b: Option<u64>) -> Option<u64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.midpoint(b)),
        (one, other) => one.or(other),
    }
}

/// Every publication that a reachable node has or carries. One whose origin is not reachable plays on as long as
/// others carry it; what it consists of is taken from the origin's last report then.
fn streams(view: &View) -> Vec<Stream> {
    let mut found: BTreeMap<(StreamName, PublicationId), Stream> = BTreeMap::new();
    let gone = publications_of_the_unreachable(view);
    for report in view.reports() {
        for publication in &report.publications {
            if found.len() == MAX_STREAMS_LISTED {
                break;
            }
            let on_origin = OnNode {
                node: report.node.name.clone(),
                viewers: publication.viewers,
                packets_lost: 0,
                packets_received: 0,
            };
            let stream = Stream {
                name: publication.stream.clone(),
                publication: publication.id.clone(),
                origin: report.node.name.clone(),
                tracks: publication.tracks.clone(),
                viewers: publication.viewers,
                carried_by: vec![],
                per_node: vec![on_origin],
            };
            found.insert((publication.stream.clone(), publication.id.clone()), stream);
        }
    }
    for report in view.reports() {
        for carried in &report.carried {
            let key = (carried.stream.clone(), carried.publication.clone());
            if found.len() >= MAX_STREAMS_LISTED && !found.contains_key(&key) {
                continue;
            }
            let stream = found.entry(key).or_insert_with(|| Stream {
                name: carried.stream.clone(),
                publication: carried.publication.clone(),
                origin: carried.origin.clone(),
                tracks: gone
                    .get(&(&carried.origin, &carried.publication))
                    .map(|tracks| tracks.to_vec())
                    .unwrap_or_default(),
                viewers: 0,
                carried_by: vec![],
                per_node: vec![],
            });
            stream.viewers = stream.viewers.saturating_add(carried.viewers);
            stream.carried_by.push(report.node.name.clone());
            stream.per_node.push(OnNode {
                node: report.node.name.clone(),
                viewers: carried.viewers,
                packets_lost: carried.packets_lost,
                packets_received: carried.packets_received,
            });
        }
    }
    found.into_values().collect()
}

/// What publications consist of whose origin does not answer, by its last report.
fn publications_of_the_unreachable(view: &View) -> BTreeMap<(&NodeName, &PublicationId), &[TrackReport]> {
    let gone = view.nodes().iter().filter(|(_, known)| known.current().is_none());
    gone.filter_map(|(name, known)| Some((name, known.report.as_ref()?)))
        .flat_map(|(name, report)| {
            report
                .publications
                .iter()
                .map(move |it| ((name, &it.id), it.tracks.as_slice()))
        })
        .collect()
}

#[cfg(test)]
#[path = "cluster_tests.rs"]
mod tests;
