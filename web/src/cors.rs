//! CORS for the endpoints and the sessions: a player on any page may use them, and read the headers that WHIP and
//! WHEP put their meaning in (RFC 9725 section 4.2; Location, ETag and Link are hidden from scripts otherwise).
//!
//! No credentials are allowed, so that any origin can be: tokens travel in `Authorization`, which a page must know.

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;

/// Response headers that a page may read.
pub const EXPOSED: &str = "Location, ETag, Link, Accept-Post, Accept-Patch, Allow, Retry-After, WWW-Authenticate";
/// Request headers that a page may send. `ETag` because one published WHIP client sends it instead of `If-Match`.
pub const ALLOWED_HEADERS: &str = "Authorization, Content-Type, If-Match, ETag";
/// Methods that the endpoints and sessions serve. Players decide from this list whether they may trickle and delete.
pub const ALLOWED_METHODS: &str = "POST, PATCH, DELETE, GET, HEAD, OPTIONS";
/// How long a browser may keep the answer to a preflight, in seconds; two hours is the most that Chromium keeps.
const MAX_AGE_SECONDS: u32 = 7_200;

/// Lets every origin read the answer.
pub async fn allow(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
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
