//! `/livez`, `/readyz` and `/metrics`. No secret is in any of them, and none depends on Redis or on a peer.

use super::metrics;
use crate::node::Node;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use std::sync::Arc;

/// The health listener.
pub fn router(node: Arc<Node>) -> Router {
    let registry = Arc::new(metrics::registry(&node));
    let scraped = Arc::clone(&node);
    Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route(
            "/metrics",
            get(move || async move { metrics::scrape(&scraped, &registry).await }),
        )
        .with_state(node)
}

async fn ready(State(node): State<Arc<Node>>) -> Response {
    if node.state.is_ready() {
        return "ready\n".into_response();
    }
    let why = if node.state.is_draining() {
        "draining\n"
    } else {
        "starting\n"
    };
    (StatusCode::SERVICE_UNAVAILABLE, why).into_response()
}
