//! Headers that every answer of every program has, unless its handler says something else.

use axum::http::header::{
    CONNECTION, CONTENT_SECURITY_POLICY, HeaderName, HeaderValue, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use axum::http::{Response, StatusCode};

/// What is no page runs nothing, loads nothing and is shown in no frame, whatever a browser takes it for.
const NO_PAGE: &str = "default-src 'none'; frame-ancestors 'none'";

const FIXED: [(HeaderName, HeaderValue); 4] = [
    (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    // URLs of sessions are secrets.
    (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (CONTENT_SECURITY_POLICY, HeaderValue::from_static(NO_PAGE)),
];

/// Says that the connection is closed after this answer.
pub(super) fn last<B>(response: &mut Response<B>) {
    response
        .headers_mut()
        .insert(CONNECTION, HeaderValue::from_static("close"));
}

/// Adds them.
pub(super) fn secure<B>(response: &mut Response<B>) {
    // Its headers replace those of the answer that a browser has kept (RFC 9111 section 3.2): the policy of a page would be lost.
    if response.status() == StatusCode::NOT_MODIFIED {
        return;
    }
    let headers = response.headers_mut();
    for (name, value) in FIXED {
        headers.entry(name).or_insert(value);
    }
}
