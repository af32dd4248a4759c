//! Sessions in the admin API: who is there, and ending what should not be.

use super::extract::detached;
use crate::http::path::Path;
use crate::http::problem::Problem;
use crate::node::Node;
use crate::node::Question;
use crate::sessions::end_reason::EndReason;
use crate::sessions::session::Session;
use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use serde::Deserialize;
use sfumato_admin_api::types::{MAX_KICK_REASON, MAX_SESSIONS_LISTED, SessionRole, Sessions};
use sfumato_admin_api::types::{Problem as ProblemBody, PublicationId, SessionHandle, StreamName};
use std::sync::Arc;

/// Sessions that are listed when nobody says how many.
const DEFAULT_LIMIT: u32 = 200;

/// Which sessions to list.
#[derive(Debug, Deserialize)]
pub(super) struct Which {
    stream: Option<StreamName>,
    role: Option<SessionRole>,
    limit: Option<u32>,
}

/// Why somebody is kicked.
#[derive(Debug, Deserialize)]
pub(super) struct Why {
    reason: Option<String>,
}

fn parameters<T>(parameters: Result<Query<T>, QueryRejection>, field: &'static str) -> Result<T, Problem> {
    parameters
        .map(|Query(it)| it)
        .map_err(|error| Problem::new(StatusCode::BAD_REQUEST, "Malformed parameter", error.body_text()).field(field))
}

#[utoipa::path(get, path = "/admin/v1/sessions", tag = "sessions", params(
    ("stream" = Option<String>, Query, description = "sessions of this stream alone"),
    ("role" = Option<SessionRole>, Query, description = "sessions of this role alone"),
    ("limit" = Option<u32>, Query, description = "most sessions to list: 0 to 1000, 200 when absent")),
    responses((status = 200, description = "sessions and how they go", body = Sessions),
        (status = 400, description = "malformed parameter", body = ProblemBody)))]
pub(super) async fn sessions(
    State(node): State<Arc<Node>>,
    which: Result<Query<Which>, QueryRejection>,
) -> Result<Json<Sessions>, Problem> {
    let which = parameters(which, "query")?;
    let limit = which.limit.unwrap_or(DEFAULT_LIMIT);
    if limit > MAX_SESSIONS_LISTED {
        let detail = format!("{limit} are too many at once: ask for at most {MAX_SESSIONS_LISTED}");
        return Err(Problem::new(StatusCode::BAD_REQUEST, "Malformed parameter", detail).field("limit"));
    }
    let question = Question {
        stream: which.stream,
        role: which.role,
        limit: limit as usize,
    };
    Ok(Json(node.session_reports(&question).await))
}

#[utoipa::path(delete, path = "/admin/v1/sessions/{session}", tag = "sessions", params(
    ("session" = String, Path, description = "id of the session, as the list tells it"),
    ("reason" = Option<String>, Query, description = "why, for the log; at most 200 characters")),
    responses((status = 200, description = "the session has ended: its client sees DTLS close"),
        (status = 400, description = "malformed parameter", body = ProblemBody),
        (status = 404, description = "no such session", body = ProblemBody)))]
pub(super) async fn kick_session(
    State(node): State<Arc<Node>>,
    Path(session): Path<String>,
    why: Result<Query<Why>, QueryRejection>,
) -> Result<Json<serde_json::Value>, Problem> {
    let handle: SessionHandle = session.parse()?;
    let reason = reason(why)?;
    let session = node.sessions.by_handle(&handle);
    let session = session.ok_or_else(|| gone("session", &format!("there is no session {handle} here")))?;
    kick(node, session, reason).await
}

#[utoipa::path(delete, path = "/admin/v1/publications/{publication}", tag = "sessions", params(
    ("publication" = String, Path, description = "id of the publication"),
    ("reason" = Option<String>, Query, description = "why, for the log; at most 200 characters")),
    responses((status = 200, description = "the publication has ended, and with it its viewers everywhere"),
        (status = 400, description = "malformed parameter", body = ProblemBody),
        (status = 404, description = "not published here", body = ProblemBody)))]
pub(super) async fn kick_publication(
    State(node): State<Arc<Node>>,
    Path(publication): Path<String>,
    why: Result<Query<Why>, QueryRejection>,
) -> Result<Json<serde_json::Value>, Problem> {
    let publication: PublicationId = publication.parse()?;
    let reason = reason(why)?;
    let session = node.streams.published.session_of(&publication);
    let session = session.and_then(|id| node.sessions.get(&id));
    let session = session.ok_or_else(|| {
        gone(
            "publication",
            &format!("{publication} is not published here: ask its origin"),
        )
    })?;
    kick(node, session, reason).await
}

async fn kick(node: Arc<Node>, session: Arc<Session>, reason: String) -> Result<Json<serde_json::Value>, Problem> {
    detached(async move {
        let id = session.id.clone();
        tracing::warn!(stream = %session.stream, session = %crate::ids::short(&id), reason, "kicked");
        drop(session);
        node.end_session(&id, EndReason::Kicked).await;
        Ok(Json(serde_json::json!({})))
    })
    .await
}

fn reason(why: Result<Query<Why>, QueryRejection>) -> Result<String, Problem> {
    let reason = parameters(why, "reason")?.reason.unwrap_or_default();
    if reason.chars().count() > MAX_KICK_REASON || reason.chars().any(char::is_control) {
        let detail = format!("a reason is at most {MAX_KICK_REASON} characters on one line");
        return Err(Problem::new(StatusCode::BAD_REQUEST, "Malformed parameter", detail).field("reason"));
    }
    Ok(reason)
}

fn gone(field: &'static str, detail: &str) -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "Unknown session", detail).field(field)
}
