//! `/livez`, `/readyz` and `/metrics`. No secret is in any of them, and none depends on Redis or on a peer.
//!
//! They are served on a thread of their own. `/livez` says whether the main runtime still runs tasks; metrics are collected
//! on that runtime, so that they hold up no probe.

use super::merged::Merged;
use super::metrics;
use crate::node::Node;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus_client::registry::Registry;
use sfumato_admin_api::server::health::{Heartbeat, livez};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;

/// Longest wait for metrics.
const SCRAPE_DEADLINE: Duration = Duration::from_secs(8);
/// Shortest time between two rounds in which each media worker is asked about its sessions, however many scrape.
const ROUND_INTERVAL: Duration = Duration::from_secs(2);

/// What the handlers need.
#[derive(Clone)]
struct Health {
    node: Arc<Node>,
    registry: Arc<Registry>,
    heartbeat: Heartbeat,
    main: Handle,
    rounds: Arc<Merged>,
}

/// The health listener. To be called on the main runtime.
pub fn router(node: Arc<Node>, heartbeat: Heartbeat) -> Router {
    let health = Health {
        registry: Arc::new(metrics::registry(&node)),
        node,
        heartbeat,
        main: Handle::current(),
        rounds: Arc::new(Merged::every(ROUND_INTERVAL)),
    };
    Router::new()
        .route("/livez", get(live))
        .route("/readyz", get(ready))
        .route("/metrics", get(scrape))
        .with_state(health)
}

async fn live(State(health): State<Health>) -> Response {
    livez(&health.heartbeat)
}

async fn ready(State(health): State<Health>) -> Response {
    if health.node.state.is_ready() {
        return "ready\n".into_response();
    }
    let why = format!("{}\n", health.node.state.why_not_ready());
    (StatusCode::SERVICE_UNAVAILABLE, why).into_response()
}

async fn scrape(State(health): State<Health>) -> Response {
    let (node, registry, rounds) = (health.node, health.registry, health.rounds);
    // The sessions' media is counted now, and not while nobody looks.
    let scraping = health.main.spawn(async move {
        rounds.run(|| node.count_media()).await;
        metrics::text(&registry)
    });
    match tokio::time::timeout(SCRAPE_DEADLINE, scraping).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(_)) => (StatusCode::INTERNAL_SERVER_ERROR, "collecting metrics failed\n").into_response(),
        Err(_) => (
            StatusCode::SERVICE_UNAVAILABLE,
            "the node is too busy to collect metrics\n",
        )
            .into_response(),
    }
}
