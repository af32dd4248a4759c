//! Bodies of requests: their declared type, their size, and the time they may take.

use crate::http::problem::Problem;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, StatusCode, header};
use std::time::Duration;

/// Largest body that is read, in bytes. Browsers' offers are 3 to 10 kB.
const MAX_BODY: usize = 64 * 1024;
/// Longest wait for a body.
const BODY_DEADLINE: Duration = Duration::from_secs(10);

/// Whether the body is declared as `wanted`; parameters do not matter.
pub(super) fn is_type(headers: &HeaderMap, wanted: &str) -> bool {
    let essence = declared(headers).split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case(wanted)
}

fn declared(headers: &HeaderMap) -> &str {
    let value = headers.get(header::CONTENT_TYPE);
    value.and_then(|value| value.to_str().ok()).unwrap_or("nothing")
}

pub(super) fn require_type(headers: &HeaderMap, wanted: &str) -> Result<(), Problem> {
    if is_type(headers, wanted) {
        return Ok(());
    }
    let shown: String = declared(headers).chars().take(64).collect();
    let detail = format!("the body is declared as {shown}: send Content-Type: {wanted}");
    Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "Unsupported media type", detail).field("Content-Type"))
}

pub(super) async fn read(body: Body) -> Result<Bytes, Problem> {
    match tokio::time::timeout(BODY_DEADLINE, axum::body::to_bytes(body, MAX_BODY)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(_)) => Err(Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "Body too large",
            format!("the body is larger than {MAX_BODY} bytes, or broke off"),
        )
        .field("body")),
        Err(_) => Err(Problem::new(
            StatusCode::REQUEST_TIMEOUT,
            "Body too slow",
            format!(
                "the body did not arrive within {}",
                humantime::format_duration(BODY_DEADLINE)
            ),
        )
        .field("body")),
    }
}
