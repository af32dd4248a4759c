//! A session's URL: DELETE ends it, PATCH changes its ICE.

use super::patch::{answer, patch};
use super::protocol::{ACCEPT_PATCH, ACCEPT_POST, Protocol, SDP, SDPFRAG, not_allowed};
use crate::http::path::Path;
use crate::http::problem::Problem;
use crate::node::Node;
use crate::sessions::end_reason::EndReason;
use crate::sessions::session::{Role, Session};
use axum::extract::State;
use axum::http::{HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use sfumato_admin_api::types::StreamName;
use std::sync::Arc;

pub(super) async fn on_session(
    protocol: Protocol,
    State(node): State<Arc<Node>>,
    Path((stream, id)): Path<(String, String)>,
    request: axum::extract::Request,
) -> Result<Response, Problem> {
    let stream: StreamName = stream.parse()?;
    let session = find(&node, protocol, &stream, &id);
    let method = request.method().clone();
    if session.is_none() && protocol == Protocol::Whep && node.offers.has(&id, &stream) {
        return on_offer(node, stream, id, request).await;
    }
    let Some(session) = session else {
        // A client may end its connection before it sends DELETE, and wants 200 all the same.
        let ended = node.sessions.ended_recently(&id);
        if method == Method::DELETE && ended.is_some() {
            return Ok(StatusCode::OK.into_response());
        }
        return Err(unknown_session(ended));
    };
    match method {
        Method::DELETE => {
            drop(session);
            let work = tokio::spawn(async move { node.end_session(&id, EndReason::ClientAsked).await });
            work.await
                .map_err(|panic| Problem::internal("ending a session", panic))?;
            Ok(StatusCode::OK.into_response())
        }
        Method::PATCH => patch(node, session, request).await,
        method => without_body(&method, SDPFRAG),
    }
}

/// The URL of a session that begins with the answer to an offer of this server.
async fn on_offer(
    node: Arc<Node>,
    stream: StreamName,
    id: String,
    request: axum::extract::Request,
) -> Result<Response, Problem> {
    match request.method().clone() {
        Method::PATCH => answer(node, stream, id, request).await,
        Method::DELETE => {
            drop(node.offers.take(&id));
            node.sessions.bury(&id, EndReason::ClientAsked);
            Ok(StatusCode::OK.into_response())
        }
        method => without_body(&method, SDP),
    }
}

/// Methods that tell about the URL alone; `patch` is the type that a PATCH may have.
fn without_body(method: &Method, patch: &'static str) -> Result<Response, Problem> {
    match *method {
        Method::GET | Method::HEAD => Ok(StatusCode::NO_CONTENT.into_response()),
        Method::OPTIONS => {
            let patch = (ACCEPT_PATCH, HeaderValue::from_static(patch));
            let post = (ACCEPT_POST, HeaderValue::from_static(SDP));
            Ok(([patch, post], StatusCode::OK).into_response())
        }
        _ => Err(not_allowed(method, "DELETE, PATCH, GET, HEAD, OPTIONS")),
    }
}

/// The session that a URL names.
pub(super) fn find(node: &Node, protocol: Protocol, stream: &StreamName, id: &str) -> Option<Arc<Session>> {
    node.sessions
        .get(id)
        .filter(|session| session.stream == *stream && is_of(protocol, session))
}

/// The answer for a session that is not there. `ended` is why it ended, if it did a short while ago.
pub(super) fn unknown_session(ended: Option<EndReason>) -> Problem {
    let (title, detail) = match ended {
        Some(why) => (
            "Session has ended",
            format!("this session has ended: {why}; POST a new offer"),
        ),
        None => (
            "Unknown session",
            "there is no such session: it ended long ago, or this is not its node; POST a new offer".to_owned(),
        ),
    };
    Problem::new(StatusCode::NOT_FOUND, title, detail).field("session")
}

fn is_of(protocol: Protocol, session: &Session) -> bool {
    matches!(
        (protocol, &session.role),
        (Protocol::Whip, Role::Publisher { .. }) | (Protocol::Whep, Role::Viewer { .. })
    )
}
