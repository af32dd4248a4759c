//! `/livez`, `/readyz` and `/metrics` of the operator.

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus_client::registry::Registry;
use sfumato_admin_api::server::health::{self, HealthThread, Heartbeat, livez};
use std::io;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// What `/readyz` waits for; `None` when it waits for nothing.
pub type Waiting = watch::Receiver<Option<&'static str>>;

/// Serves on a thread of its own, until what is returned is dropped.
///
/// # Errors
/// When there is no thread for it.
pub fn serve(listener: TcpListener, waiting: Waiting, registry: Registry) -> io::Result<HealthThread> {
    let heartbeat = Heartbeat::start();
    let app = Router::new()
        // Depends on nothing that the operator waits for: a restart would not help against that.
        .route("/livez", get(move || std::future::ready(livez(&heartbeat))))
        .route("/readyz", get(ready))
        .with_state(waiting)
        .merge(
            Router::new()
                .route("/metrics", get(metrics))
                .with_state(Arc::new(registry)),
        );
    health::start(listener, app)
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
