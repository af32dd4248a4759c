//! The cluster as JSON: a pure function of the view, in a deterministic order, so that equal views give equal text.

use crate::cluster_json::{ClusterJson, Link, Mesh, Node, OnNode, SeedAddress, State, Stream, Summary};
use crate::view::{Known, View};
use sfumato_admin_api::types::{Lane, LinkReport, LinkState, NodeName, PublicationId, StreamName, TrackReport};
use std::collections::{BTreeMap, BTreeSet};

/// The cluster as JSON.
#[must_use]
pub fn cluster(view: &View) -> ClusterJson {
    let known: Vec<&Known> = view.nodes().values().collect();
    let pairs: Vec<Vec<Link>> = known
        .iter()
        .enumerate()
        .flat_map(|(i, a)| known[i + 1..].iter().map(move |b| pair(a, b)))
        .collect();
    let mesh = Mesh {
        desired_pairs: pairs.len(),
        established_pairs: pairs
            .iter()
            .filter(|lanes| lanes.iter().all(|l| l.state == State::Fresh))
            .count(),
    };
    ClusterJson {
        cluster: summary(view),
        nodes: known.iter().copied().map(node).collect(),
        links: pairs.into_iter().flatten().collect(),
        streams: streams(view),
        mesh,
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
fn pair(a: &Known, b: &Known) -> Vec<Link> {
    let (a_ends, b_ends) = (ends(a, b), ends(b, a));
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
                packets_lost: a_end.map_or(0, |e| e.packets_lost) + b_end.map_or(0, |e| e.packets_lost),
                a_state,
                b_state,
                a_id: a_end.map(|e| e.id.clone()),
                b_id: b_end.map(|e| e.id.clone()),
            }
        })
        .collect()
}

/// The ends that `from` reports of its links with the present life of `to`. Ends that were made for an earlier life
/// are not links any more, whatever they say.
fn ends<'a>(from: &'a Known, to: &Known) -> BTreeMap<Lane, &'a LinkReport> {
    from.current()
        .into_iter()
        .flat_map(|report| &report.links)
        .filter(|link| link.peer == to.peer.name && link.peer_incarnation == to.peer.incarnation)
        .map(|link| (link.lane, link))
        .collect()
}

fn state(end: Option<&LinkReport>) -> State {
    match end.map(|end| end.state) {
        None => State::Missing,
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
    for report in view.reports() {
        for publication in &report.publications {
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
            let stream = found
                .entry((carried.stream.clone(), carried.publication.clone()))
                .or_insert_with(|| Stream {
                    name: carried.stream.clone(),
                    publication: carried.publication.clone(),
                    origin: carried.origin.clone(),
                    tracks: last_known_tracks(view, &carried.origin, &carried.publication),
                    viewers: 0,
                    carried_by: vec![],
                    per_node: vec![],
                });
            stream.viewers += carried.viewers;
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

fn last_known_tracks(view: &View, origin: &NodeName, publication: &PublicationId) -> Vec<TrackReport> {
    let report = view.nodes().get(origin).and_then(|known| known.report.as_ref());
    let found = report.and_then(|r| r.publications.iter().find(|p| p.id == *publication));
    found.map(|p| p.tracks.clone()).unwrap_or_default()
}

#[cfg(test)]
#[path = "cluster_tests.rs"]
mod tests;
