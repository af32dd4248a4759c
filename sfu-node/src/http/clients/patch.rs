//! PATCH of a session: trickle ICE and ICE restart.

use super::SDPFRAG;
use super::body::{read, require_type};
use crate::ice::Condition;
use crate::negotiate::Patched;
use crate::node::Node;
use crate::problem::Problem;
use crate::session::Session;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use std::sync::Arc;

pub(super) async fn patch(
    node: Arc<Node>,
    session: Arc<Session>,
    request: axum::extract::Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    require_type(&parts.headers, SDPFRAG)?;
    let condition = Condition::of(&parts.headers);
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
