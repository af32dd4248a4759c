//! `/livez`, `/readyz` and `/metrics` of the operator.

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus_client::registry::Registry;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// What `/readyz` waits for; `None` when it waits for nothing.
pub type Waiting = watch::Receiver<Option<&'static str>>;

/// Serves until the process ends.
pub async fn serve(listener: TcpListener, waiting: Waiting, registry: Registry) {
    let app = Router::new()
        // Depends on nothing: a restart helps against nothing that the operator waits for.
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .with_state(waiting)
        .merge(
            Router::new()
                .route("/metrics", get(metrics))
                .with_state(Arc::new(registry)),
        );
    if let Err(error) = axum::serve(listener, app).await {
        tracing::error!(%error, "the health listener ended");
    }
}

async fn ready(State(waiting): State<Waiting>) -> Response {
    match *waiting.borrow() {
        None => "ready\n".into_response(),
        Some(what) => (StatusCode::SERVICE_UNAVAILABLE, format!("waiting for {what}\n")).into_response(),
    }
}

async fn metrics(State(registry): State<Arc<Registry>>) -> Response {
    let mut text = String::new();
    match prometheus_client::encoding::text::encode(&mut text, &registry) {
        Ok(()) => {
            let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            ([(header::CONTENT_TYPE, kind)], text).into_response()
        }
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}
