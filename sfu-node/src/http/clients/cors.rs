//! Cross-origin rules: any page may publish and play; what it may read of an answer is listed here.

use super::{ACCEPT_PATCH, ACCEPT_POST};
use axum::http::{Method, header};
use std::time::Duration;
use tower_http::cors::{Any, CorsLayer};

/// How long a browser may remember the answer to a preflight.
const PREFLIGHT_LIFE: Duration = Duration::from_secs(600);

/// Answers preflights and marks answers as readable.
pub(super) fn layer() -> CorsLayer {
    CorsLayer::new()
        .allow_origin(Any)
        .allow_methods([
            Method::GET,
            Method::POST,
            Method::PATCH,
            Method::DELETE,
            Method::OPTIONS,
            Method::HEAD,
        ])
        .allow_headers([
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            header::IF_MATCH,
            header::ETAG,
        ])
        .expose_headers([
            header::LOCATION,
            header::ETAG,
            header::LINK,
            ACCEPT_POST,
            ACCEPT_PATCH,
            header::RETRY_AFTER,
        ])
        .max_age(PREFLIGHT_LIFE)
}
