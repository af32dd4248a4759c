//! PATCH of a session: trickle ICE, ICE restart, and the answer to an offer of this server.

use super::body::{is_type, read, require_type};
use super::protocol::{SDP, SDPFRAG};
use crate::http::problem::Problem;
use crate::negotiate::Patched;
use crate::node::Node;
use crate::sessions::ice::Condition;
use crate::sessions::session::Session;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use sfumato_admin_api::types::StreamName;
use std::sync::Arc;

pub(super) async fn patch(
    node: Arc<Node>,
    session: Arc<Session>,
    request: axum::extract::Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    if is_type(&parts.headers, SDP) {
        let detail = "a session is never negotiated again: it waits for no answer; send DELETE and POST a new offer";
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "No offer to answer", detail).field("Content-Type"));
    }
    require_type(&parts.headers, SDPFRAG)?;
    let condition = Condition::of(&parts.headers);
    node.may_patch(&session, &condition).await?;
    let body = read(body).await?;
    // A restart that has begun is finished, or client and server would disagree on the present ETag.
    let work = tokio::spawn(async move { node.patch_ice(&session, &body, &condition).await });
    match work.await.map_err(|panic| Problem::internal("changing ICE", panic))?? {
        Patched::Trickled => Ok(StatusCode::NO_CONTENT.into_response()),
        Patched::Restarted { fragment, etag } => {
            let etag = HeaderValue::from_str(&etag).map_err(|error| Problem::internal("writing the ETag", error))?;
            let headers = [
                (header::CONTENT_TYPE, HeaderValue::from_static(SDPFRAG)),
                (header::ETAG, etag),
            ];
            Ok((headers, fragment).into_response())
        }
    }
}

/// PATCH of a session-to-be: nothing but the answer makes sense yet.
pub(super) async fn answer(
    node: Arc<Node>,
    stream: StreamName,
    id: String,
    request: axum::extract::Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    if is_type(&parts.headers, SDPFRAG) {
        let detail = "the offer of this server has not been answered yet: PATCH an application/sdp answer first";
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "Not answered yet", detail).field("Content-Type"));
    }
    require_type(&parts.headers, SDP)?;
    let condition = Condition::of(&parts.headers);
    node.may_answer(&id, &condition)?;
    let body = read(body).await?;
    // Finished even when the player hangs up, or the offer would be gone and the session never begin.
    let work = tokio::spawn(async move { node.take_answer(&id, &stream, &body, &condition).await });
    work.await
        .map_err(|panic| Problem::internal("taking an answer", panic))??;
    Ok(StatusCode::NO_CONTENT.into_response())
}
