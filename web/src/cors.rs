//! Adds the cross-origin rules of [`sfumato_admin_api::server::cors`] to what the front door answers.

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use sfumato_admin_api::server::cors::{ALLOWED_HEADERS, ALLOWED_METHODS, EXPOSED, MAX_AGE_SECONDS};

/// Lets every origin read the answer.
pub async fn allow(request: Request, next: Next) -> Response {
    readable(next.run(request).await)
}

/// An answer that every origin may read.
pub fn readable(answer: impl IntoResponse) -> Response {
    let mut response = answer.into_response();
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
    response
}

/// What a preflight is answered with, besides what [`allow`] adds.
#[must_use]
pub fn preflight() -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_METHODS,
        HeaderValue::from_static(ALLOWED_METHODS),
    );
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_HEADERS,
        HeaderValue::from_static(ALLOWED_HEADERS),
    );
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from(MAX_AGE_SECONDS));
    headers
}
