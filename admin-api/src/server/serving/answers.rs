//! Headers that every answer of every program has, unless its handler says something else.

use axum::http::header::{
    CONTENT_SECURITY_POLICY, HeaderMap, HeaderName, HeaderValue, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};

/// What is no page runs nothing, loads nothing and is shown in no frame, whatever a browser takes it for.
const NO_PAGE: &str = "default-src 'none'; frame-ancestors 'none'";

const FIXED: [(HeaderName, HeaderValue); 4] = [
    (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    // URLs of sessions are secrets.
    (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (CONTENT_SECURITY_POLICY, HeaderValue::from_static(NO_PAGE)),
];

/// Adds them.
pub(super) fn secure(headers: &mut HeaderMap) {
    for (name, value) in FIXED {
        headers.entry(name).or_insert(value);
    }
}
