//! Cross-origin rules: any page may publish and play, and read the headers that WHIP and WHEP put their meaning in. No
//! cookies are allowed, so that any origin can be.

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::Response;

/// Response headers that a page may read.
const EXPOSED: &str = "Location, ETag, Link, Accept-Post, Accept-Patch, Allow, Retry-After, WWW-Authenticate";
/// Request headers that a page may send. `ETag` because one published WHIP client sends it instead of `If-Match`.
const ALLOWED_HEADERS: &str = "Authorization, Content-Type, If-Match, ETag";
/// Methods of endpoints and sessions. One published client decides from this list whether it may trickle.
const ALLOWED_METHODS: &str = "POST, PATCH, DELETE, GET, HEAD, OPTIONS";
/// How long a browser may keep the answer to a preflight, in seconds; two hours is the most that Chromium keeps.
const MAX_AGE_SECONDS: u32 = 7_200;

/// Lets every origin read the answer, and answers what a preflight asks.
pub(super) async fn allow(request: Request, next: Next) -> Response {
    let asked = request.method() == Method::OPTIONS;
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
    if asked {
        preflight(headers);
    }
    response
}

fn preflight(headers: &mut HeaderMap) {
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_METHODS,
        HeaderValue::from_static(ALLOWED_METHODS),
    );
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_HEADERS,
        HeaderValue::from_static(ALLOWED_HEADERS),
    );
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from(MAX_AGE_SECONDS));
}
