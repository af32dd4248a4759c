//! The admin API on its own listener: for the operator, the peers and the front door. Every call needs the token.

mod extract;
pub mod openapi;
mod sessions;
mod test_faults;

use crate::http::path::Path;
use crate::http::problem::Problem;
use crate::http::refusals::observer_refusal;
use crate::node::Node;
use crate::streams::publication_log::PublicationLog;
use axum::extract::{Query, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{delete, get, post, put};
use axum::{Json, Router};
use extract::{Body, MAX_BODY, detached};
use serde::Deserialize;
use sfumato_admin_api::server::admin_token::{Accepted, Role};
use sfumato_admin_api::types::UnknownReason;
use sfumato_admin_api::types::parse_wait;
use sfumato_admin_api::types::{
    CloseLinks, DrainReason, DrainRequest, DrainState, Links, NameReport, NodeName, NodeReport, Objects, Observer,
    Observing, Problem as ProblemBody, PublicationId, Publications, PutLinks, RenewSubscriptions, RenewedSubscriptions,
    StreamName, Subscribe, Subscribed,
};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Tokens that are accepted at present.
pub type Tokens = Arc<dyn Fn() -> Accepted + Send + Sync>;

/// The admin listener. `tokens` is `None` with `--insecure-admin` only.
pub fn router(node: Arc<Node>, tokens: Option<Tokens>) -> Router {
    let mut api = Router::new();
    if node.options.test_faults {
        api = api.merge(test_faults::router());
    }
    let api = api
        .route("/admin/v1/node", get(node_report))
        .route("/admin/v1/links/{peer}", put(put_links))
        // A node may be named `close` as well.
        .route(
            "/admin/v1/links/close",
            post(close_links).put(|node, request| put_links(node, Path("close".to_owned()), request)),
        )
        .route("/admin/v1/publications", get(publications))
        .route(
            "/admin/v1/publications/{publication}",
            delete(sessions::kick_publication),
        )
        .route("/admin/v1/sessions", get(sessions::sessions))
        .route("/admin/v1/sessions/{session}", delete(sessions::kick_session))
        .route("/admin/v1/names/{stream}", get(name))
        .route("/admin/v1/objects", get(objects))
        .route("/admin/v1/observer", post(observer))
        .route("/admin/v1/subscriptions/renew", post(renew))
        .route("/admin/v1/subscriptions/{publication}", put(subscribe))
        .route("/admin/v1/drain", post(drain).delete(undrain))
        .fallback(|| async {
            Problem::new(
                StatusCode::NOT_FOUND,
                "Not found",
                "there is no such call: docs/admin-api.yaml lists them",
            )
        })
        .method_not_allowed_fallback(|| async {
            Problem::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "Method not allowed",
                "docs/admin-api.yaml lists the calls",
            )
        })
        .layer(axum::extract::DefaultBodyLimit::max(MAX_BODY))
        .with_state(node);
    match tokens {
        None => api,
        Some(tokens) => api.layer(middleware::from_fn(move |request: Request, next: Next| {
            let tokens = Arc::clone(&tokens);
            async move { authorized(&tokens, request, next).await }
        })),
    }
}

async fn authorized(tokens: &Tokens, request: Request, next: Next) -> Result<Response, Problem> {
    let role = tokens().role(request.headers());
    if role.is_some_and(|role| role.may(request.method(), request.uri().path())) {
        return Ok(next.run(request).await);
    }
    if role == Some(Role::FrontDoor) {
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            "Forbidden",
            "this is the front door's token, which may GET and ask who may observe: send the cluster's admin token",
        )
        .field("Authorization"));
    }
    Err(Problem::new(
        StatusCode::UNAUTHORIZED,
        "Unauthorized",
        "send the cluster's admin token as `Authorization: Bearer TOKEN` or `Sfumato-Admin-Token: TOKEN`",
    )
    .field("Authorization")
    .header(
        header::WWW_AUTHENTICATE,
        HeaderValue::from_static("Bearer realm=\"sfumato-admin\""),
    ))
}

/// Parameters of a long poll.
#[derive(Debug, Deserialize)]
pub(super) struct Poll {
    after: Option<u64>,
    wait: Option<String>,
    /// Of publications alone.
    changes: Option<String>,
}

impl Poll {
    /// Waits until the revision differs from `after`, at most `wait`.
    async fn wait<T>(&self, mut changes: watch::Receiver<T>, revision: impl Fn(&T) -> u64) -> Result<(), Problem> {
        let wait = match &self.wait {
            None => Duration::ZERO,
            Some(text) => parse_wait(text)
                .map_err(|error| Problem::new(StatusCode::BAD_REQUEST, "Malformed parameter", error).field("wait"))?,
        };
        if let Some(after) = self.after {
            let _ = tokio::time::timeout(wait, changes.wait_for(|now| revision(now) != after)).await;
        }
        Ok(())
    }

    /// Whether the caller keeps what it was told, and wants what is new.
    fn changes_only(&self) -> Result<bool, Problem> {
        match self.changes.as_deref() {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => {
                let detail = "use changes=true for what changed after the revision, or leave it out for everything";
                Err(Problem::new(StatusCode::BAD_REQUEST, "Malformed parameter", detail).field("changes"))
            }
        }
    }
}

pub(super) type Parameters = Result<Query<Poll>, axum::extract::rejection::QueryRejection>;

fn poll(parameters: Parameters) -> Result<Poll, Problem> {
    parameters
        .map(|Query(poll)| poll)
        .map_err(|error| Problem::new(StatusCode::BAD_REQUEST, "Malformed parameter", error.body_text()).field("after"))
}

#[utoipa::path(get, path = "/admin/v1/node", tag = "node", params(
    ("after" = Option<u64>, Query, description = "answer as soon as the revision differs from this"),
    ("wait" = Option<String>, Query, description = "longest wait: `20s` or `500ms`, at most 30s")),
    responses((status = 200, description = "what the node says of itself", body = NodeReport),
        (status = 401, description = "no valid token", body = ProblemBody)))]
pub(super) async fn node_report(
    State(node): State<Arc<Node>>,
    parameters: Parameters,
) -> Result<Json<NodeReport>, Problem> {
    poll(parameters)?
        .wait(node.state.revision(), |revision| *revision)
        .await?;
    Ok(Json(node.report()))
}

#[utoipa::path(put, path = "/admin/v1/links/{peer}", tag = "links", request_body = PutLinks,
    params(("peer" = String, Path, description = "name of the node at the other end")),
    responses((status = 200, description = "this node's ends, in the order asked for", body = Links),
        (status = 400, description = "malformed; `field` names it", body = ProblemBody),
        (status = 409, description = "another incarnation, or a link changed since it was seen", body = ProblemBody)))]
pub(super) async fn put_links(
    State(node): State<Arc<Node>>,
    Path(peer): Path<String>,
    Body(request): Body<PutLinks>,
) -> Result<Json<Links>, Problem> {
    let peer: NodeName = peer.parse()?;
    detached(async move { Ok(Json(node.put_links(&peer, &request).await?)) }).await
}

#[utoipa::path(post, path = "/admin/v1/links/close", tag = "links", request_body = CloseLinks,
    responses((status = 200, description = "the ends are closed"),
        (status = 409, description = "another incarnation", body = ProblemBody)))]
pub(super) async fn close_links(
    State(node): State<Arc<Node>>,
    Body(request): Body<CloseLinks>,
) -> Result<Json<serde_json::Value>, Problem> {
    detached(async move {
        node.close_links(&request).await?;
        Ok(Json(serde_json::json!({})))
    })
    .await
}

#[utoipa::path(get, path = "/admin/v1/publications", tag = "streams", params(
    ("after" = Option<u64>, Query, description = "answer as soon as the revision differs from this"),
    ("changes" = Option<bool>, Query, description = "answer only what changed after the revision `after`, if the node \
        remembers it: then the answer has `changesSince`"),
    ("wait" = Option<String>, Query, description = "longest wait: `20s` or `500ms`, at most 30s")),
    responses((status = 200, description = "publications whose origin is this node", body = Publications),
        (status = 400, description = "malformed parameter", body = ProblemBody)))]
pub(super) async fn publications(
    State(node): State<Arc<Node>>,
    parameters: Parameters,
) -> Result<Json<Publications>, Problem> {
    let poll = poll(parameters)?;
    let changes_only = poll.changes_only()?;
    poll.wait(node.state.publication_log(), PublicationLog::revision)
        .await?;
    Ok(Json(node.publications(poll.after.filter(|_| changes_only))))
}

#[utoipa::path(get, path = "/admin/v1/names/{stream}", tag = "streams",
    params(("stream" = String, Path, description = "name of a stream")),
    responses((status = 200, description = "the publication that holds the name on this node, if any", body = NameReport)))]
pub(super) async fn name(
    State(node): State<Arc<Node>>,
    Path(stream): Path<String>,
) -> Result<Json<NameReport>, Problem> {
    let stream: StreamName = stream.parse()?;
    Ok(Json(node.name_report(&stream).await))
}

#[utoipa::path(get, path = "/admin/v1/objects", tag = "node",
    responses((status = 200, description = "what the node and its workers hold at present", body = Objects)))]
pub(super) async fn objects(State(node): State<Arc<Node>>) -> Result<Json<Objects>, Problem> {
    Ok(Json(node.objects().await?))
}

#[utoipa::path(post, path = "/admin/v1/observer", tag = "node", request_body = Observer,
    description = "Whether the holder of a client token may see the cluster. The front door asks this, since it has no keys.",
    responses((status = 200, description = "whether, and what to tell the client if not", body = Observing)))]
pub(super) async fn observer(State(node): State<Arc<Node>>, Body(request): Body<Observer>) -> Json<Observing> {
    let refused = node.gate.admit_observer(request.token.as_deref()).err();
    Json(Observing {
        allowed: refused.is_none(),
        refusal: refused.as_ref().map(observer_refusal),
    })
}

#[utoipa::path(put, path = "/admin/v1/subscriptions/{publication}", tag = "streams", request_body = Subscribe,
    params(("publication" = String, Path, description = "id of the publication")),
    responses((status = 200, description = "the tracks that cross the link", body = Subscribed),
        (status = 404, description = "not published here", body = ProblemBody),
        (status = 409, description = "stale incarnation or link", body = ProblemBody)))]
pub(super) async fn subscribe(
    State(node): State<Arc<Node>>,
    Path(publication): Path<String>,
    Body(request): Body<Subscribe>,
) -> Result<Json<Subscribed>, Problem> {
    let publication: PublicationId = publication.parse()?;
    detached(async move { Ok(Json(node.subscribe(&publication, &request).await?)) }).await
}

#[utoipa::path(post, path = "/admin/v1/subscriptions/renew", tag = "streams", request_body = RenewSubscriptions,
    responses((status = 200, description = "what is not sent to this subscriber", body = RenewedSubscriptions)))]
pub(super) async fn renew(
    State(node): State<Arc<Node>>,
    Body(request): Body<RenewSubscriptions>,
) -> Result<Json<RenewedSubscriptions>, Problem> {
    detached(async move { Ok(Json(node.renew(&request).await)) }).await
}

#[utoipa::path(post, path = "/admin/v1/drain", tag = "node", request_body = DrainRequest,
    description = "Empties the node for one more reason: no new sessions, viewers move when another node can take them, \
        publishers stay until the deadline, links stay up. The process does not end.",
    responses((status = 200, description = "every reason that holds now", body = DrainState),
        (status = 400, description = "malformed; `field` names it", body = ProblemBody)))]
pub(super) async fn drain(
    State(node): State<Arc<Node>>,
    Body(request): Body<DrainRequest>,
) -> Result<Json<DrainState>, Problem> {
    Ok(Json(node.drain_on_request(&request)?))
}

/// Which reason is lifted.
#[derive(Debug, Deserialize)]
pub(super) struct Lifted {
    reason: String,
}

#[utoipa::path(delete, path = "/admin/v1/drain", tag = "node",
    params(("reason" = String, Query, description = "the reason that is lifted, and no other: `manual`, `roll` or `scaleDown`")),
    responses((status = 200, description = "the reasons that are left", body = DrainState),
        (status = 400, description = "no such reason", body = ProblemBody),
        (status = 409, description = "`sigterm` cannot be lifted", body = ProblemBody)))]
pub(super) async fn undrain(
    State(node): State<Arc<Node>>,
    parameters: Result<Query<Lifted>, axum::extract::rejection::QueryRejection>,
) -> Result<Json<DrainState>, Problem> {
    let malformed =
        |detail: String| Problem::new(StatusCode::BAD_REQUEST, "Malformed parameter", detail).field("reason");
    let Query(lifted) = parameters.map_err(|error| malformed(error.body_text()))?;
    let reason: DrainReason = lifted
        .reason
        .parse()
        .map_err(|error: UnknownReason| malformed(error.to_string()))?;
    Ok(Json(node.undrain(reason)?))
}
