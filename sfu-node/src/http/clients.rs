//! WHIP and WHEP over HTTP: endpoints `/whip/{stream}` and `/whep/{stream}`, sessions below them.

use super::path::Path;
use crate::negotiate::Answered;
use crate::node::Node;
use crate::problem::Problem;
use crate::session::Session;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, post};
use sfumato_mesh::api::StreamName;
use std::sync::Arc;
use std::time::Duration;
use tower_http::cors::{Any, CorsLayer};

/// Largest body that is read, in bytes. Browsers' offers are 3 to 10 kB.
pub const MAX_BODY: usize = 64 * 1024;
/// Longest wait for a body.
const BODY_DEADLINE: Duration = Duration::from_secs(10);
/// Longest work on a request, beyond every deadline inside it.
const REQUEST_DEADLINE: Duration = Duration::from_secs(15);

const SDP: &str = "application/sdp";
const SDPFRAG: &str = "application/trickle-ice-sdpfrag";
const ACCEPT_POST: HeaderName = HeaderName::from_static("accept-post");
const ACCEPT_PATCH: HeaderName = HeaderName::from_static("accept-patch");

/// Which protocol an URL belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Protocol {
    Whip,
    Whep,
}

impl Protocol {
    fn path(self) -> &'static str {
        match self {
            Self::Whip => "whip",
            Self::Whep => "whep",
        }
    }
}

/// The client listener.
pub fn router(node: Arc<Node>) -> Router {
    let mut routes = Router::new();
    for protocol in [Protocol::Whip, Protocol::Whep] {
        let endpoint = format!("/{}/{{stream}}", protocol.path());
        let session = format!("{endpoint}/{{session}}");
        routes = routes
            .route(
                &endpoint,
                post(move |state, path, request| create(protocol, state, path, request)).fallback(endpoint_other),
            )
            .route(
                &session,
                any(move |state, path, request| on_session(protocol, state, path, request)),
            );
    }
    let cors = CorsLayer::new()
        .allow_origin(Any)
        .allow_methods([
            Method::GET,
            Method::POST,
            Method::PATCH,
            Method::DELETE,
            Method::OPTIONS,
            Method::HEAD,
        ])
        .allow_headers([
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            header::IF_MATCH,
            header::ETAG,
        ])
        .expose_headers([
            header::LOCATION,
            header::ETAG,
            header::LINK,
            ACCEPT_POST,
            ACCEPT_PATCH,
            header::RETRY_AFTER,
        ])
        .max_age(Duration::from_secs(600));
    routes
        .fallback(|| async {
            Problem::new(
                StatusCode::NOT_FOUND,
                "Not found",
                "there is nothing here: POST an SDP offer to /whip/{stream} to publish, to /whep/{stream} to watch",
            )
        })
        .layer(cors)
        .with_state(node)
}

async fn create(
    protocol: Protocol,
    State(node): State<Arc<Node>>,
    Path(stream): Path<String>,
    request: axum::extract::Request,
) -> Result<Response, Problem> {
    let stream: StreamName = stream.parse()?;
    let (parts, body) = request.into_parts();
    require_type(&parts.headers, SDP)?;
    let body = read(body).await?;
    // The work goes on when the client hangs up, or a half-made session would be left to its timeout.
    let work = tokio::spawn(async move {
        let answered = match protocol {
            Protocol::Whip => node.publish(&stream, &body).await,
            Protocol::Whep => node.play(&stream, &body).await,
        }?;
        created(protocol, &stream, answered)
    });
    match tokio::time::timeout(REQUEST_DEADLINE, work).await {
        Ok(Ok(result)) => result,
        Ok(Err(panic)) => Err(Problem::internal("answering an offer", panic)),
        Err(_) => Err(Problem::unavailable("the node is too busy to answer; try another one")),
    }
}

fn created(protocol: Protocol, stream: &StreamName, answered: Answered) -> Result<Response, Problem> {
    let location = format!("/{}/{stream}/{}", protocol.path(), answered.session);
    let value = |text: &str| {
        HeaderValue::from_str(text).map_err(|error| Problem::internal("writing a header of the answer", error))
    };
    let mut response = (StatusCode::CREATED, answered.sdp).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(SDP));
    headers.insert(header::LOCATION, value(&location)?);
    headers.insert(header::ETAG, value(&answered.etag)?);
    headers.insert(ACCEPT_PATCH, HeaderValue::from_static(SDPFRAG));
    Ok(response)
}

/// GET, HEAD and OPTIONS of an endpoint answer without content (RFC 9725 section 4.2); anything else is 405.
async fn endpoint_other(method: Method, Path(stream): Path<String>) -> Result<Response, Problem> {
    let _: StreamName = stream.parse()?;
    let mut response = match method {
        Method::GET | Method::HEAD => StatusCode::NO_CONTENT.into_response(),
        Method::OPTIONS => StatusCode::OK.into_response(),
        other => return Err(not_allowed(&other, "POST, GET, HEAD, OPTIONS")),
    };
    response
        .headers_mut()
        .insert(ACCEPT_POST, HeaderValue::from_static(SDP));
    Ok(response)
}

async fn on_session(
    protocol: Protocol,
    State(node): State<Arc<Node>>,
    Path((stream, id)): Path<(String, String)>,
    request: axum::extract::Request,
) -> Result<Response, Problem> {
    let stream: StreamName = stream.parse()?;
    let session = node
        .sessions
        .get(&id)
        .filter(|s| s.stream == stream && is_of(protocol, s));
    let method = request.method().clone();
    let Some(session) = session else {
        // A client may end its connection before it sends DELETE, and wants 200 all the same.
        if method == Method::DELETE && node.sessions.ended_recently(&id) {
            return Ok(StatusCode::OK.into_response());
        }
        return Err(Problem::new(
            StatusCode::NOT_FOUND,
            "Unknown session",
            "there is no such session: it ended, or this is not its node; POST a new offer",
        )
        .field("session"));
    };
    match method {
        Method::DELETE => {
            drop(session);
            let work = tokio::spawn(async move { node.end_session(&id, "the client asked").await });
            work.await
                .map_err(|panic| Problem::internal("ending a session", panic))?;
            Ok(StatusCode::OK.into_response())
        }
        Method::PATCH => patch(&session, request).await,
        Method::GET | Method::HEAD => Ok(StatusCode::NO_CONTENT.into_response()),
        Method::OPTIONS => Ok(StatusCode::OK.into_response()),
        other => Err(not_allowed(&other, "DELETE, PATCH, GET, HEAD, OPTIONS")),
    }
}

fn is_of(protocol: Protocol, session: &Session) -> bool {
    use crate::session::Role;
    matches!(
        (protocol, &session.role),
        (Protocol::Whip, Role::Publisher { .. }) | (Protocol::Whep, Role::Viewer { .. })
    )
}

/// Trickle ICE (RFC 9725 section 4.3.1). This server is ICE lite and answers with all its candidates, so the client's are
/// checked and then not needed. A fragment with other credentials would be an ICE restart.
async fn patch(session: &Session, request: axum::extract::Request) -> Result<Response, Problem> {
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

fn require_type(headers: &HeaderMap, wanted: &str) -> Result<(), Problem> {
    let given = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("nothing");
    let essence = given.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case(wanted) {
        return Ok(());
    }
    let shown: String = given.chars().take(64).collect();
    let detail = format!("the body is declared as {shown}: send Content-Type: {wanted}");
    Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "Unsupported media type", detail).field("Content-Type"))
}

async fn read(body: Body) -> Result<Bytes, Problem> {
    match tokio::time::timeout(BODY_DEADLINE, axum::body::to_bytes(body, MAX_BODY)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(_)) => Err(Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "Body too large",
            format!("the body is larger than {MAX_BODY} bytes, or broke off"),
        )
        .field("body")),
        Err(_) => Err(Problem::new(
            StatusCode::REQUEST_TIMEOUT,
            "Body too slow",
            format!("the body did not arrive within {BODY_DEADLINE:?}"),
        )
        .field("body")),
    }
}

fn not_allowed(method: &Method, allowed: &'static str) -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "Method not allowed",
        format!("{method} is not allowed here: {allowed}"),
    )
    .header(header::ALLOW, HeaderValue::from_static(allowed))
}
