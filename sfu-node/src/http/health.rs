//! `/livez`, `/readyz` and `/metrics`. No secret is in any of them, and none depends on Redis or on a peer.

use crate::node::Node;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use sfumato_mesh::api::LinkState;
use std::sync::{Arc, Weak};

/// The health listener.
pub fn router(node: Arc<Node>) -> Router {
    let mut registry = Registry::with_prefix("sfu_node");
    registry.register_collector(Box::new(NodeCollector(Arc::downgrade(&node))));
    let registry = Arc::new(registry);
    Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(move || metrics(Arc::clone(&registry))))
        .with_state(node)
}

async fn ready(State(node): State<Arc<Node>>) -> Response {
    if node.is_ready() {
        return "ready\n".into_response();
    }
    let why = if node.is_draining() { "draining\n" } else { "starting\n" };
    (StatusCode::SERVICE_UNAVAILABLE, why).into_response()
}

async fn metrics(registry: Arc<Registry>) -> Response {
    let mut text = String::new();
    match prometheus_client::encoding::text::encode(&mut text, &registry) {
        Ok(()) => (
            [(
                header::CONTENT_TYPE,
                "application/openmetrics-text; version=1.0.0; charset=utf-8",
            )],
            text,
        )
            .into_response(),
        Err(error) => (
            StatusCode::INTERNAL_SERVER_ERROR,
            format!("writing metrics failed: {error}\n"),
        )
            .into_response(),
    }
}

/// Reads the node's state when it is scraped, so that no counter can disagree with the report.
#[derive(Debug)]
struct NodeCollector(Weak<Node>);

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Node({})", self.me.name)
    }
}

impl Collector for NodeCollector {
    fn encode(&self, mut out: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let Some(node) = self.0.upgrade() else { return Ok(()) };
        let report = node.report();
        let mut gauge = |name: &str, help: &str, value: f64| -> Result<(), std::fmt::Error> {
            let metric = ConstGauge::new(value);
            metric.encode(out.encode_descriptor(name, help, None, MetricType::Gauge)?)
        };
        gauge(
            "ready",
            "1 while new sessions are welcome",
            f64::from(u8::from(report.ready)),
        )?;
        gauge(
            "draining",
            "1 while the node is being emptied",
            f64::from(u8::from(report.draining)),
        )?;
        gauge(
            "redis_up",
            "1 while Redis answers; media does not depend on it",
            f64::from(u8::from(report.redis)),
        )?;
        gauge("workers", "mediasoup workers", f64::from(report.workers))?;
        gauge("publishers", "open WHIP sessions", f64::from(report.publishers))?;
        gauge("viewers", "open WHEP sessions", f64::from(report.viewers))?;
        gauge(
            "publications",
            "publications whose origin is this node",
            report.publications.len() as f64,
        )?;
        gauge(
            "carried_publications",
            "publications of other nodes carried here",
            report.carried.len() as f64,
        )?;
        gauge(
            "peers",
            "nodes that this one has a link with",
            report.peers.len() as f64,
        )?;
        gauge(
            "worker_load_ratio",
            "processor time of the busiest worker, 0 to 1",
            report.load,
        )?;
        let profiles: usize = node.workers.iter().map(|worker| worker.profile_count()).sum();
        gauge(
            "profile_routers",
            "profile routers for viewers with other payload types",
            profiles as f64,
        )?;
        let worst = report.links.iter().filter_map(|link| link.rtt_us).max();
        gauge(
            "link_rtt_max_seconds",
            "longest round trip of a link, by beats",
            worst.unwrap_or(0) as f64 / 1e6,
        )?;
        for (state, name) in [
            (LinkState::Connecting, "links_connecting"),
            (LinkState::Fresh, "links_fresh"),
            (LinkState::Stale, "links_stale"),
            (LinkState::Dead, "links_dead"),
        ] {
            let count = report.links.iter().filter(|link| link.state == state).count();
            gauge(name, "ends of links in this state", count as f64)?;
        }
        let mut counter = |name: &str, help: &str, value: u64| -> Result<(), std::fmt::Error> {
            let metric = ConstCounter::new(value);
            metric.encode(out.encode_descriptor(name, help, None, MetricType::Counter)?)
        };
        let sum = |of: fn(&sfumato_mesh::api::LinkReport) -> u64| report.links.iter().map(of).sum::<u64>();
        counter(
            "link_packets_received",
            "RTP packets received over present links",
            sum(|l| l.packets_received),
        )?;
        counter(
            "link_packets_lost",
            "RTP packets lost on present links",
            sum(|l| l.packets_lost),
        )?;
        counter(
            "link_sent_bytes",
            "bytes sent over present links",
            sum(|l| l.bytes_sent),
        )?;
        counter(
            "link_received_bytes",
            "bytes received over present links",
            sum(|l| l.bytes_received),
        )?;
        counter(
            "link_beats_received",
            "beats received on present links",
            sum(|l| l.beats_received),
        )?;
        Ok(())
    }
}
