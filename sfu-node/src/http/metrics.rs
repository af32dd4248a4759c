//! `/metrics` in the OpenMetrics text format. What there is, is told in docs/metrics.md; a test compares.

use crate::media::socket_buffers::Lost;
use crate::node::Node;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use sfumato_admin_api::types::{LinkState, NodeReport};
use sfumato_admin_api::types::{SessionRole, TrackKind, TrackState};
use std::fmt::Error;
use std::sync::{Arc, Weak};
use std::time::Instant;

const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Everything that a node tells.
pub fn registry(node: &Arc<Node>) -> Registry {
    let mut registry = Registry::with_prefix("sfu_node");
    node.tally.register(&mut registry);
    registry.register_collector(Box::new(NodeCollector(Arc::downgrade(node))));
    registry
}

/// The answer to a scrape.
pub fn text(registry: &Registry) -> Response {
    let mut text = String::new();
    match encode(&mut text, registry) {
        Ok(()) => ([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response(),
        Err(error) => (
            StatusCode::INTERNAL_SERVER_ERROR,
            format!("writing metrics failed: {error}\n"),
        )
            .into_response(),
    }
}

/// Reads the node's state when it is scraped, so that no gauge can disagree with the report.
#[derive(Debug)]
struct NodeCollector(Weak<Node>);

impl Collector for NodeCollector {
    fn encode(&self, out: DescriptorEncoder<'_>) -> Result<(), Error> {
        let Some(node) = self.0.upgrade() else { return Ok(()) };
        let mut out = Writer(out);
        let report = node.report();
        own_state(&mut out, &node, &report)?;
        sessions(&mut out, &node)?;
        tracks(&mut out, &report)?;
        workers(&mut out, &node)?;
        links(&mut out, &node, &report)
    }
}

/// Writes metrics whose values are known at once.
struct Writer<'a>(DescriptorEncoder<'a>);

impl Writer<'_> {
    fn gauge(&mut self, name: &str, help: &str, value: f64) -> Result<(), Error> {
        let encoder = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        ConstGauge::new(value).encode(encoder)
    }

    fn gauges<L: EncodeLabelSet>(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = (L, f64)>,
    ) -> Result<(), Error> {
        let mut encoder = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (labels, value) in values {
            ConstGauge::new(value).encode(encoder.encode_family(&labels)?)?;
        }
        Ok(())
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) -> Result<(), Error> {
        let encoder = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        ConstCounter::new(value).encode(encoder)
    }
}

fn flag(on: bool) -> f64 {
    f64::from(u8::from(on))
}

fn own_state(out: &mut Writer<'_>, node: &Node, report: &NodeReport) -> Result<(), Error> {
    out.gauge("ready", "1 while new sessions are welcome", flag(report.ready))?;
    out.gauge("draining", "1 while the node is being drained", flag(report.draining))?;
    out.gauge(
        "redis_up",
        "1 while Redis answers; media does not depend on it",
        flag(report.redis),
    )?;
    out.counter(
        "redis_corrupt_claims",
        "values in Redis that were no claims and were overwritten",
        node.names.claims.corrupt(),
    )?;
    let lost = Lost::counted();
    out.counter(
        "udp_receive_buffer_errors",
        "datagrams that found a full receive buffer, in the network namespace of this node",
        lost.received,
    )?;
    out.counter(
        "udp_send_buffer_errors",
        "datagrams that found a full send buffer, in the network namespace of this node",
        lost.sent,
    )?;
    out.gauge(
        "publications",
        "publications whose origin is this node",
        node.streams.published.rights().len() as f64,
    )?;
    out.gauge(
        "carried_publications",
        "publications of other nodes relayed here",
        node.streams.carried.all().len() as f64,
    )?;
    out.gauge(
        "peers",
        "nodes that this one has a link with",
        report.peers.len() as f64,
    )
}

fn sessions(out: &mut Writer<'_>, node: &Node) -> Result<(), Error> {
    let all = node.sessions.all();
    let states = [("connecting", false), ("connected", true)];
    let values = [SessionRole::Publisher, SessionRole::Viewer]
        .into_iter()
        .flat_map(|role| {
            let all = &all;
            states.map(|(state, connected)| {
                let these = all
                    .iter()
                    .filter(|s| s.role.kind() == role && s.is_connected() == connected);
                ([("role", role.as_str()), ("state", state)], these.count() as f64)
            })
        });
    out.gauges("sessions", "open sessions", values)?;
    let black = all
        .iter()
        .filter(|session| session.is_connected() && session.awaits_picture());
    out.gauge(
        "viewers_without_picture",
        "connected viewers to whom no picture could be sent yet",
        black.count() as f64,
    )?;
    out.gauge(
        "offers_waiting",
        "offers of this node that wait for a player's answer",
        node.offers.count() as f64,
    )
}

fn tracks(out: &mut Writer<'_>, report: &NodeReport) -> Result<(), Error> {
    let values = [TrackKind::Audio, TrackKind::Video].into_iter().flat_map(|kind| {
        let all = || report.publications.iter().flat_map(|publication| &publication.tracks);
        TrackState::ALL.map(|state| {
            let these = all().filter(|track| track.kind == kind && track.state == Some(state));
            let labels = [("kind", kind.as_str()), ("state", state.as_str())];
            (labels, these.count() as f64)
        })
    });
    out.gauges("tracks", "tracks published here, by what arrives of them", values)
}

fn workers(out: &mut Writer<'_>, node: &Node) -> Result<(), Error> {
    let loads = node
        .workers
        .all()
        .iter()
        .map(|worker| ([("worker", worker.index.to_string())], worker.load()));
    out.gauges(
        "worker_load_ratio",
        "processor time of a mediasoup worker, 0 to 1 of a core",
        loads,
    )?;
    let profiles = node
        .workers
        .all()
        .iter()
        .map(|worker| ([("worker", worker.index.to_string())], worker.profile_count() as f64));
    out.gauges(
        "profile_routers",
        "profile routers for viewers with other payload types",
        profiles,
    )
}

fn links(out: &mut Writer<'_>, node: &Node, report: &NodeReport) -> Result<(), Error> {
    let states = [
        ("connecting", LinkState::Connecting),
        ("fresh", LinkState::Fresh),
        ("stale", LinkState::Stale),
        ("dead", LinkState::Dead),
    ];
    let counted = states.map(|(name, state)| {
        let these = report.links.iter().filter(|link| link.state == state);
        ([("state", name)], these.count() as f64)
    });
    out.gauges("links", "ends of links, by state", counted)?;
    let narrow = report.links.iter().filter(|link| link.loses_large_packets());
    out.gauge(
        "links_large_packets_lost",
        "ends of links that get small packets only: sound passes, pictures do not",
        narrow.count() as f64,
    )?;
    let worst = report.links.iter().filter_map(|link| link.rtt_us).max();
    out.gauge(
        "link_rtt_max_seconds",
        "longest round trip of a link, by heartbeats",
        worst.unwrap_or(0) as f64 / 1e6,
    )?;
    let sums = node.links.sums(Instant::now());
    out.counter(
        "link_packets_received",
        "RTP packets of streams received over links",
        sums.packets_received,
    )?;
    out.counter(
        "link_packets_lost",
        "RTP packets of streams lost on links to this node",
        sums.packets_lost,
    )?;
    out.counter("link_sent_bytes", "bytes sent over links", sums.bytes_sent)?;
    out.counter("link_received_bytes", "bytes received over links", sums.bytes_received)?;
    out.counter(
        "link_beats_received",
        "heartbeats received over links",
        sums.beats_received,
    )
}
