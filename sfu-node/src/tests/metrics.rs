//! Metrics: each is documented, and nothing is documented that is not there.

use super::node;
use axum::body::Body;
use axum::http::Request;
use sfumato_admin_api::server::health::Heartbeat;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use tower::ServiceExt;

const DOCUMENT: &str = include_str!("../../../docs/metrics.md");

/// Name, kind and labels of each metric.
type Metrics = BTreeMap<String, (String, BTreeSet<String>)>;

async fn scraped() -> String {
    let (node, _inbox) = node().await;
    let app = crate::http::health::router(node, Heartbeat::start());
    let request = Request::get("/metrics").body(Body::empty()).unwrap();
    let response = app.oneshot(request).await.unwrap();
    assert_eq!(response.status(), 200);
    let bytes = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn told(text: &str) -> Metrics {
    let mut metrics = Metrics::new();
    for line in text.lines() {
        if let Some(declared) = line.strip_prefix("# TYPE ") {
            let (name, kind) = declared.split_once(' ').unwrap();
            metrics.insert(name.to_owned(), (kind.to_owned(), BTreeSet::new()));
        } else if let Some((name, rest)) = line.split_once('{') {
            let labels = rest.split_once('}').unwrap().0;
            let labels = labels
                .split(',')
                .map(|label| label.split_once('=').unwrap().0.to_owned());
            let name = name.strip_suffix("_total").unwrap_or(name);
            metrics.get_mut(name).unwrap().1.extend(labels);
        }
    }
    metrics
}

/// Rows of the document's tables: `name`, kind, `labels`, meaning.
fn documented() -> Metrics {
    let rows = DOCUMENT.lines().filter(|line| line.starts_with("| `sfu_node_"));
    rows.map(|row| {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let name = cells[0].trim_matches('`');
        let name = name.strip_suffix("_total").unwrap_or(name);
        let labels = cells[2]
            .split(',')
            .map(|label| label.trim().trim_matches('`').to_owned());
        let labels = labels.filter(|label| !label.is_empty()).collect();
        (name.to_owned(), (cells[1].to_owned(), labels))
    })
    .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_metric_is_documented_with_its_kind_and_labels_and_no_other_is() {
    assert_eq!(told(&scraped().await), documented());
}

#[tokio::test(flavor = "multi_thread")]
async fn counters_are_there_before_their_first_event() {
    let text = scraped().await;
    for line in [
        "sfu_node_sessions_ended_total{role=\"viewer\",reason=\"kicked\"} 0",
        "sfu_node_requests_refused_total{reason=\"max_request_rate\"} 0",
        "sfu_node_media_packets_lost_total{role=\"publisher\"} 0",
    ] {
        assert!(text.lines().any(|told| told == line), "{line} is not in\n{text}");
    }
}
