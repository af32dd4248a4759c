//! PATCH of a session: trickle ICE.

use super::SDPFRAG;
use super::body::{read, require_type};
use crate::problem::Problem;
use crate::session::Session;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

/// Trickle ICE (RFC 9725 section 4.3.1). This server is ICE lite and answers with all its candidates, so the client's are
/// checked and then not needed. A fragment with other credentials would be an ICE restart.
pub(super) async fn patch(session: &Session, request: axum::extract::Request) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    require_type(&parts.headers, SDPFRAG)?;
    let body = read(body).await?;
    let fragment = std::str::from_utf8(&body).map_err(|_| {
        Problem::new(StatusCode::BAD_REQUEST, "Malformed fragment", "the body is not UTF-8").field("body")
    })?;
    if let Some(line) = fragment.lines().find(|line| !line.is_empty() && !is_sdp_line(line)) {
        let shown: String = line.chars().take(64).collect();
        let detail = format!("`{shown}` is not a line of an SDP fragment (RFC 8840)");
        return Err(Problem::new(StatusCode::BAD_REQUEST, "Malformed fragment", detail).field("body"));
    }
    let ufrag = fragment
        .lines()
        .find_map(|line| line.trim().strip_prefix("a=ice-ufrag:"));
    if ufrag.is_some_and(|ufrag| ufrag != session.client_ufrag) {
        return Err(Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "ICE restart is not supported",
            "this node does not restart ICE: send DELETE and POST a new offer",
        )
        .field("a=ice-ufrag"));
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn is_sdp_line(line: &str) -> bool {
    let bytes = line.as_bytes();
    bytes.len() >= 2 && bytes[0].is_ascii_lowercase() && bytes[1] == b'='
}
