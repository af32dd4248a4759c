//! WHIP and WHEP at the front door: the endpoints pick a node, the session URLs name it.
//!
//! Nothing is remembered between requests. `POST /whip/{stream}` is answered with a `Location` under
//! `/nodes/{node}/`, and every later request of the session carries its node in its path.

use crate::api::Told;
use crate::cors;
use crate::distrust::Distrusted;
use crate::limits::ClientPlaces;
use crate::pass_on::{self, ATTEMPT_DEADLINE, HUNG_FOR, MAX_BODY_BYTES, Outgoing, PassOnError, REQUEST_DEADLINE};
use crate::pick::{Asked, Role, pick};
use crate::problem::Refusal;
use crate::session_path::{SessionPath, split_query, stream_name};
use crate::view::{Openness, View};
use crate::way;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::rejection::BytesRejection;
use axum::extract::rejection::PathRejection;
use axum::extract::{ConnectInfo, DefaultBodyLimit, FromRequest as _, Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use futures::StreamExt as _;
use rand::RngExt as _;
use sfumato_admin_api::files::TokenSource;
use sfumato_admin_api::types::{NodeName, StreamName};
use std::net::{IpAddr, SocketAddr};
use tokio::sync::watch;
use tokio::time::Instant;

/// Most nodes that are asked to take one session. Those that do not take connections cost up to 2 s each.
const MOST_ASKED: usize = 4;

/// What the handlers need.
#[derive(Debug, Clone)]
pub struct Door {
    /// The cluster, to pick from; sessions are counted in it as they are placed.
    pub view: watch::Sender<View>,
    /// Client for the nodes.
    pub client: reqwest::Client,
    /// Nodes whose certificates are refused.
    pub distrusted: Distrusted,
    /// The token by which nodes know us.
    pub token: TokenSource,
    /// Streams of events that may be passed on at a time; each holds two connections.
    pub streams: ClientPlaces,
    /// Requests that may be passed on at a time.
    pub calls: ClientPlaces,
    /// Ends, by losing its sender, when the front door stops: streams of events would hold it open for ever.
    pub open: watch::Receiver<Told>,
}

impl Door {
    /// Changes what the view has of sessions: nobody is woken for it, since it is not told.
    fn note(&self, change: impl FnOnce(&mut View)) {
        self.view.send_if_modified(|view| {
            change(view);
            false
        });
    }
}

/// The two protocols, which differ in who may take a session and in what a `HEAD` finds out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// Publishing (RFC 9725).
    Whip,
    /// Watching (draft-ietf-wish-whep).
    Whep,
}

impl Protocol {
    fn path(self, stream: &StreamName) -> String {
        match self {
            Self::Whip => format!("/whip/{stream}"),
            Self::Whep => format!("/whep/{stream}"),
        }
    }

    fn role(self) -> Role {
        match self {
            Self::Whip => Role::Publisher,
            Self::Whep => Role::Viewer,
        }
    }
}

/// Routes of the endpoints and of the sessions.
pub fn routes(door: Door) -> Router {
    Router::new()
        .route("/whip/{stream}", any(whip))
        .route("/whep/{stream}", any(whep))
        .route("/nodes/{*session}", any(session))
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(middleware::from_fn(cors::allow))
        .with_state(door)
}

/// A path that is not UTF-8 has no text; then the name is refused as what it looks like.
type Name = Result<Path<String>, PathRejection>;

async fn whip(door: State<Door>, stream: Name, request: Request) -> Result<Response, Refusal> {
    endpoint(&door, Protocol::Whip, text(&stream), request).await
}

async fn whep(door: State<Door>, stream: Name, request: Request) -> Result<Response, Refusal> {
    endpoint(&door, Protocol::Whep, text(&stream), request).await
}

fn text(name: &Name) -> &str {
    name.as_ref().map_or("\u{FFFD}", |Path(name)| name)
}

async fn endpoint(door: &Door, protocol: Protocol, stream: &str, request: Request) -> Result<Response, Refusal> {
    let stream = stream_name(stream)?;
    match *request.method() {
        Method::POST => {
            let _until_it_is_answered = door.calls.take(&request)?;
            open(door, protocol, &stream, request).await
        }
        Method::OPTIONS => Ok((cors::preflight(), accept("accept-post", "application/sdp")).into_response()),
        // RFC 9725 section 4.2: a GET is answered by a success without content. Players look for an endpoint by HEAD.
        Method::HEAD if protocol == Protocol::Whep => {
            Ok(([(header::CONTENT_TYPE, "application/sdp")], StatusCode::OK).into_response())
        }
        Method::GET | Method::HEAD => Ok(StatusCode::NO_CONTENT.into_response()),
        _ => Err(wrong_method(
            "POST, GET, HEAD, OPTIONS",
            "POST an SDP offer to open a session",
        )),
    }
}

/// Opens a session on the node that `?node=` names, or on one that is picked; in that case nodes that take no session are
/// stepped over.
async fn open(door: &Door, protocol: Protocol, stream: &StreamName, request: Request) -> Result<Response, Refusal> {
    let (forced, query) = split_query(request.uri().query().unwrap_or_default());
    let outgoing = within_deadline(outgoing(door, request, format!("{}{query}", protocol.path(stream)))).await?;
    // A client that is slow takes none of the nodes' time.
    let until = Instant::now() + REQUEST_DEADLINE;
    if let Some(forced) = forced {
        let (node, url) = known_node(door, &forced)?;
        let answer = send_until(door, &node, &url, &outgoing, until).await;
        return answer.map_err(|error| failed(&node, error));
    }
    let mut asked = Asked::default();
    let (mut node, mut url) = place(door, protocol, &asked).ok_or_else(no_node)?;
    loop {
        asked.add(&door.view.borrow(), &node);
        let others = asked.count() < MOST_ASKED && has_another(door, protocol, &asked);
        let attempt = if others && protocol == Protocol::Whep {
            until.min(Instant::now() + ATTEMPT_DEADLINE)
        } else {
            until
        };
        let answer = send_until(door, &node, &url, &outgoing, attempt).await;
        let next = (asked.count() < MOST_ASKED && Instant::now() < until && takes_no_session(protocol, &answer))
            .then(|| place(door, protocol, &asked))
            .flatten();
        let Some(next) = next else {
            return answer.map_err(|error| failed(&node, error));
        };
        tracing::info!(%stream, %node, next = %next.0, "the picked node takes no session; trying another");
        (node, url) = next;
    }
}

/// Whether another node should be asked: nothing has happened on this one. A viewer also goes on when the node does not
/// know what it asks for, or does not answer in time; a publisher does not, since it would be asking twice for one thing. What a
/// slow node has opened for the viewer ends there, since nobody connects to it.
fn takes_no_session(protocol: Protocol, answer: &Result<Response, PassOnError>) -> bool {
    match answer {
        Err(PassOnError::NotConnected { .. } | PassOnError::NotTrusted { .. }) => true,
        Err(PassOnError::Late { .. }) => protocol == Protocol::Whep,
        Err(_) => false,
        Ok(answer) => match answer.status() {
            StatusCode::SERVICE_UNAVAILABLE => true,
            StatusCode::NOT_FOUND => protocol == Protocol::Whep,
            _ => false,
        },
    }
}

async fn session(State(door): State<Door>, request: Request) -> Result<Response, Refusal> {
    let uri = request.uri().clone();
    let path = SessionPath::parse(uri.path())?;
    match *request.method() {
        // POST belongs to the resources of WHEP extensions, which lie under the session.
        Method::PATCH | Method::DELETE | Method::POST => call(&door, &path, request).await,
        Method::OPTIONS => {
            let types = accept("accept-patch", "application/trickle-ice-sdpfrag, application/sdp");
            Ok((cors::preflight(), accept("accept-post", "application/sdp"), types).into_response())
        }
        // What lies below a session can be read: its events.
        Method::GET if path.is_event_stream() => follow(&door, &path, request).await,
        // GET says whether the session lives, and why it does not; only its node knows.
        Method::GET | Method::HEAD => call(&door, &path, request).await,
        _ => Err(wrong_method(
            "PATCH, DELETE, POST, GET, HEAD, OPTIONS",
            "PATCH or DELETE the session",
        )),
    }
}

async fn call(door: &Door, path: &SessionPath<'_>, request: Request) -> Result<Response, Refusal> {
    let _until_it_is_answered = door.calls.take(&request)?;
    within_deadline(forward(door, path, request)).await
}

async fn forward(door: &Door, path: &SessionPath<'_>, request: Request) -> Result<Response, Refusal> {
    let (node, url) = known_node(door, path.node)?;
    let query = request
        .uri()
        .query()
        .map_or_else(String::new, |query| format!("?{query}"));
    let outgoing = outgoing(door, request, format!("{}{query}", path.at_node)).await?;
    let answer = send(door, &node, &url, &outgoing).await;
    answer.map_err(|error| failed(&node, error))
}

async fn send(door: &Door, node: &NodeName, url: &str, outgoing: &Outgoing) -> Result<Response, PassOnError> {
    let answer = pass_on::send(&door.client, node, url, outgoing).await;
    door.distrusted.note(node, &answer);
    answer
}

/// Sends what opens a session, and waits for its answer until then.
async fn send_until(
    door: &Door,
    node: &NodeName,
    url: &str,
    outgoing: &Outgoing,
    until: Instant,
) -> Result<Response, PassOnError> {
    let waiting = Waiting {
        door,
        node,
        began: Instant::now(),
        is_over: false,
    };
    let Ok(answer) = tokio::time::timeout_at(until, send(door, node, url, outgoing)).await else {
        return Err(PassOnError::Late {
            node: node.clone(),
            within: waiting.began.elapsed(),
        });
    };
    waiting.over(answer.as_ref().is_ok_and(|answer| answer.status().is_success()));
    answer
}

/// A client waits for a node's answer. One that nobody has waited for long enough, neither this front door nor a client that has
/// gone, is one that hangs: others come first for a while.
struct Waiting<'a> {
    door: &'a Door,
    node: &'a NodeName,
    began: Instant,
    is_over: bool,
}

impl Waiting<'_> {
    /// The node has answered, or its connection has broken.
    fn over(mut self, well: bool) {
        self.is_over = true;
        if well {
            self.door.note(|view| view.proven(self.node));
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if !self.is_over && self.began.elapsed() >= ATTEMPT_DEADLINE {
            self.door.note(|view| view.hung(self.node, Instant::now() + HUNG_FOR));
        }
    }
}

/// Passes on what lies below a session. A stream of events goes on until the node, the client or the front door ends it.
async fn follow(door: &Door, path: &SessionPath<'_>, request: Request) -> Result<Response, Refusal> {
    let place = door.streams.take(&request)?;
    let answer = within_deadline(forward(door, path, request)).await?;
    if !pass_on::is_event_stream(answer.headers()) {
        return Ok(answer);
    }
    let mut open = door.open.clone();
    let stopped = async move { while open.changed().await.is_ok() {} };
    Ok(answer.map(|body| {
        let events = body.into_data_stream().take_until(Box::pin(stopped));
        Body::from_stream(events.map(move |chunk| {
            let _held_while_it_flows = &place;
            chunk
        }))
    }))
}

/// Whether there is a node besides those that were asked.
fn has_another(door: &Door, protocol: Protocol, except: &Asked) -> bool {
    let view = door.view.borrow();
    pick(&view, protocol.role(), except, Instant::now(), &mut |_| 0).is_some()
}

/// Picks a node and counts the session as its own at once, so that requests that come together spread.
fn place(door: &Door, protocol: Protocol, except: &Asked) -> Option<(NodeName, String)> {
    let mut placed = None;
    door.note(|view| {
        let mut draw = |below: usize| rand::rng().random_range(0..below);
        placed = pick(view, protocol.role(), except, Instant::now(), &mut draw).and_then(|name| {
            let url = way::url(view.nodes().get(&name)?)?.to_owned();
            view.placed(&name);
            Some((name, url))
        });
    });
    placed
}

fn known_node(door: &Door, name: &str) -> Result<(NodeName, String), Refusal> {
    let view = door.view.borrow();
    let found = name
        .parse()
        .ok()
        .and_then(|name: NodeName| Some((way::url(view.nodes().get(&name)?).map(str::to_owned), name)));
    let (url, name) = found.ok_or_else(|| {
        let name: String = name.chars().take(64).collect();
        // Names are a part of the cluster, which only those see who may.
        let detail = if matches!(view.openness(), Openness::Open) {
            let known: Vec<&str> = view.nodes().keys().map(NodeName::as_str).collect();
            format!("no node `{name}` is known; known are: {}", known.join(", "))
        } else {
            format!("no node `{name}` is known")
        };
        Refusal::new(StatusCode::NOT_FOUND, "Unknown node", detail).field("node")
    })?;
    let url = url.ok_or_else(|| {
        let detail = format!(
            "node {name} has not said yet how it is reached without showing tokens to others; try again shortly"
        );
        Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "Node has not answered yet", detail)
            .field("node")
            .retry()
    })?;
    Ok((name, url))
}

async fn outgoing(door: &Door, request: Request, path: String) -> Result<Outgoing, Refusal> {
    let client: Option<IpAddr> = request
        .extensions()
        .get::<ConnectInfo<SocketAddr>>()
        .map(|info| info.0.ip());
    let headers = pass_on::request_headers(request.headers(), client, &door.token.current());
    let prefix = pass_on::prefix(request.headers()).to_owned();
    let method = request.method().clone();
    let body = Bytes::from_request(request, &())
        .await
        .map_err(|rejection| unreadable(&rejection))?;
    Ok(Outgoing {
        method,
        path,
        headers,
        body,
        prefix,
    })
}

async fn within_deadline<T>(work: impl Future<Output = Result<T, Refusal>>) -> Result<T, Refusal> {
    tokio::time::timeout(REQUEST_DEADLINE, work).await.unwrap_or_else(|_| {
        let detail = format!(
            "no whole answer within {} s; the node may be starved or cut off: try again",
            REQUEST_DEADLINE.as_secs()
        );
        Err(Refusal::new(StatusCode::GATEWAY_TIMEOUT, "Node does not answer in time", detail).field("node"))
    })
}

fn failed(node: &NodeName, error: PassOnError) -> Refusal {
    // The log has named a node with a refused certificate.
    if !matches!(error, PassOnError::NotTrusted { .. }) {
        let cause = std::error::Error::source(&error).map_or_else(String::new, |cause| format!(": {cause}"));
        tracing::warn!(%node, error = %format!("{error}{cause}"), "a request could not be passed on");
    }
    error.into()
}

fn no_node() -> Refusal {
    let detail = "no node is reachable, ready and not draining at present; try again shortly";
    Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "No node available", detail).retry()
}

fn unreadable(rejection: &BytesRejection) -> Refusal {
    if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
        let detail = format!("the body may be {MAX_BODY_BYTES} bytes long at most");
        return Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "Body too large", detail).field("body");
    }
    Refusal::new(rejection.status(), "Body cannot be read", rejection.body_text()).field("body")
}

fn wrong_method(allow: &'static str, what_to_do: &str) -> Refusal {
    Refusal::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "Method not allowed",
        format!("{what_to_do}; allowed are {allow}"),
    )
    .header(header::ALLOW, HeaderValue::from_static(allow))
}

fn accept(name: &'static str, types: &'static str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(name, HeaderValue::from_static(types));
    headers
}
