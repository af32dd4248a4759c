//! The WHEP core extensions, below a viewer's session: `/layer` chooses a layer, `/sse` opens a stream of events,
//! `/sse/{id}` is such a stream.

use super::body::{read, require_type};
use super::protocol::{self, Protocol, not_allowed};
use super::resource;
use crate::events::kind::{self, EventKind};
use crate::events::status::{Event, layer_json};
use crate::http::path::Path;
use crate::http::problem::Problem;
use crate::ids::SessionId;
use crate::layers::request::LayerRequest;
use crate::limits::ClientAddress;
use crate::node::Node;
use crate::sessions::session::Session;
use axum::Router;
use axum::extract::{Extension, Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::sse::{self, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use futures::StreamExt;
use sfumato_admin_api::types::StreamName;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

const JSON: &str = "application/json";
/// A comment is sent this often where no event is, so that a dead connection is noticed and no proxy closes a live one.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// How long a player waits before it reads a broken stream again.
const RETRY: Duration = Duration::from_secs(1);

/// Routes below a session.
pub(super) fn routes() -> Router<Arc<Node>> {
    Router::new()
        .route("/whep/{stream}/{session}/layer", any(layer))
        .route("/whep/{stream}/{session}/sse", any(open))
        .route("/whep/{stream}/{session}/sse/{id}", any(event_stream))
}

/// Links of a new viewer; `layers` says whether its video has several.
pub(super) fn links(stream: &StreamName, session: &SessionId, layers: bool) -> Vec<String> {
    let url = format!("/whep/{stream}/{session}");
    let rel = "urn:ietf:params:whep:ext:core";
    let mut links = vec![format!(
        "<{url}/sse>; rel=\"{rel}:server-sent-events\"; events=\"{}\"",
        EventKind::list()
    )];
    if layers {
        links.push(format!("<{url}/layer>; rel=\"{rel}:layer\""));
    }
    links
}

/// POST chooses a layer; GET says which one is sent at present (`null` before the first picture), beyond the draft.
async fn layer(
    State(node): State<Arc<Node>>,
    Path((stream, id)): Path<(String, String)>,
    request: Request,
) -> Result<Response, Problem> {
    let session = viewer(&node, &stream, &id)?;
    let (Some(layers), Some(local)) = (session.layers(), session.watched()) else {
        let detail = "the video of this session has one layer: there is nothing to choose";
        return Err(Problem::new(StatusCode::NOT_FOUND, "No layers", detail).field("layer"));
    };
    let known = node.layers_of(local);
    match *request.method() {
        Method::POST => {}
        Method::GET => {
            let current = session
                .current_layer()
                .map(|current| usize::from(current.spatial_layer));
            return Ok(axum::Json(current.map(|index| layer_json(index, known.get(index)))).into_response());
        }
        Method::OPTIONS => return Ok(accepts_json()),
        ref other => return Err(not_allowed(other, "POST, GET, OPTIONS")),
    }
    let (parts, body) = request.into_parts();
    require_type(&parts.headers, JSON)?;
    let wish = LayerRequest::parse(&read(body).await?)?;
    layers.ask(wish, &known)?;
    layers.apply(&known).await?;
    Ok(StatusCode::OK.into_response())
}

/// Opens a stream of events.
async fn open(
    State(node): State<Arc<Node>>,
    Path((stream, id)): Path<(String, String)>,
    request: Request,
) -> Result<Response, Problem> {
    let session = viewer(&node, &stream, &id)?;
    match *request.method() {
        Method::POST => {}
        Method::OPTIONS => return Ok(accepts_json()),
        ref other => return Err(not_allowed(other, "POST, OPTIONS")),
    }
    let (parts, body) = request.into_parts();
    let body = read(body).await?;
    if !body.is_empty() {
        require_type(&parts.headers, JSON)?;
    }
    let opened = session.events.open(kind::parse(&body)?)?;
    let location = format!("/whep/{stream}/{id}/sse/{opened}");
    Ok((StatusCode::CREATED, [(header::LOCATION, location)]).into_response())
}

/// A stream of events: GET reads it, DELETE closes it.
async fn event_stream(
    State(node): State<Arc<Node>>,
    Path((stream, id, events)): Path<(String, String, String)>,
    client: Option<Extension<ClientAddress>>,
    method: Method,
) -> Result<Response, Problem> {
    let session = viewer(&node, &stream, &id)?;
    let gone = || {
        let detail = "there is no such event stream: it was closed; POST to /sse for a new one";
        Problem::new(StatusCode::NOT_FOUND, "Unknown event stream", detail).field("sse")
    };
    match method {
        Method::GET => {
            let local = session.watched().ok_or_else(gone)?;
            let holder = node.limits.holder(client.map(|Extension(client)| client), None);
            let place = node.limits.event_stream(&holder);
            let place = place.inspect_err(|full| node.tally.refused(full.into()))?;
            let media = session.layers().map(|layers| layers.media().index);
            let read = session.events.read(&events, local.follow(), media).ok_or_else(gone)?;
            let mut first = true;
            let lines = read.map(move |event| {
                let _held_while_it_flows = &place;
                let retry = std::mem::take(&mut first);
                Ok::<_, Infallible>(line(&event, retry))
            });
            let keep_alive = KeepAlive::new().interval(KEEP_ALIVE).text("alive");
            // Proxies of the nginx family hold events back unless told otherwise.
            Ok(([("x-accel-buffering", "no")], Sse::new(lines).keep_alive(keep_alive)).into_response())
        }
        Method::DELETE if session.events.close(&events) => Ok(StatusCode::OK.into_response()),
        Method::DELETE => Err(gone()),
        Method::OPTIONS => Ok(StatusCode::OK.into_response()),
        other => Err(not_allowed(&other, "GET, DELETE, OPTIONS")),
    }
}

fn line(event: &Event, retry: bool) -> sse::Event {
    let line = sse::Event::default().event(event.kind.name()).data(&event.data);
    if retry { line.retry(RETRY) } else { line }
}

fn viewer(node: &Node, stream: &str, id: &str) -> Result<Arc<Session>, Problem> {
    let stream: StreamName = stream.parse()?;
    resource::find(node, Protocol::Whep, &stream, id)
        .ok_or_else(|| resource::unknown_session(node.sessions.ended_recently(id)))
}

fn accepts_json() -> Response {
    (
        StatusCode::OK,
        [(protocol::ACCEPT_POST, HeaderValue::from_static(JSON))],
    )
        .into_response()
}
