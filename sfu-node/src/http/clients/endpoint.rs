//! Endpoints `/whip/{stream}` and `/whep/{stream}`: POST an offer, look with GET, HEAD and OPTIONS.

use super::body::{read, require_type};
use super::links::links;
use super::protocol::{ACCEPT_PATCH, ACCEPT_POST, Protocol, SDP, SDPFRAG, not_allowed};
use crate::access::NotAdmitted;
use crate::http::path::Path;
use crate::http::problem::Problem;
use crate::layers::request;
use crate::negotiate::{Answered, Client, Given};
use crate::node::Node;
use crate::sessions::pending_offers::OFFER_LIFE;
use crate::stats::tally::Refused;
use axum::extract::State;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use sfumato_admin_api::types::StreamName;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// Longest work on a request, beyond every deadline inside it.
const REQUEST_DEADLINE: Duration = Duration::from_secs(15);

pub(super) async fn create(
    protocol: Protocol,
    State(node): State<Arc<Node>>,
    Path(stream): Path<String>,
    request: axum::extract::Request,
) -> Result<Response, Problem> {
    let stream: StreamName = stream.parse()?;
    let (parts, body) = request.into_parts();
    // Before the body is read: who may not, shall cost little.
    let (access, subject) = node
        .gate
        .admit(protocol.action(), &stream, &parts.headers, parts.uri.query())
        .inspect_err(|refused| {
            node.tally.refused(match refused {
                NotAdmitted::Insufficient(_) => Refused::Forbidden,
                _ => Refused::Unauthorized,
            });
        })?;
    let declared = parts.headers.contains_key(header::CONTENT_TYPE);
    let agent = parts.headers.get(header::USER_AGENT);
    let client = Client {
        user_agent: agent
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
            .to_owned(),
        max_height: request::max_height(parts.uri.query())?,
        holder: node.limits.holder(parts.extensions.get().copied(), subject),
    };
    let body = read(body).await?;
    // An empty POST asks for an offer of this server, as WHEP was before its second draft; some send no type with it.
    if declared || !body.is_empty() || protocol == Protocol::Whip {
        require_type(&parts.headers, SDP)?;
    }
    // The work goes on when the client hangs up, or a half-made session would be left to its timeout.
    let work = tokio::spawn(async move {
        let answered = match protocol {
            Protocol::Whip => node.publish(&stream, &client, &body, access).await,
            Protocol::Whep => node.play(&stream, &client, &body).await,
        }?;
        created(protocol, &stream, answered, &node)
    });
    match tokio::time::timeout(REQUEST_DEADLINE, work).await {
        Ok(Ok(result)) => result,
        Ok(Err(panic)) => Err(Problem::internal("answering an offer", panic)),
        Err(_) => Err(Problem::unavailable("the node is too busy to answer; try another one")),
    }
}

fn created(protocol: Protocol, stream: &StreamName, answered: Answered, node: &Node) -> Result<Response, Problem> {
    let location = format!("/{}/{stream}/{}", protocol.path(), answered.session);
    let value = |text: &str| {
        HeaderValue::from_str(text).map_err(|error| Problem::internal("writing a header of the answer", error))
    };
    let (status, content_type) = match answered.given {
        Given::Answer => (StatusCode::CREATED, HeaderValue::from_static(SDP)),
        Given::Offer => (StatusCode::CREATED, value(&offer_type())?),
        Given::CounterOffer => (StatusCode::NOT_ACCEPTABLE, value(&offer_type())?),
    };
    let mut response = (status, answered.sdp).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, content_type);
    headers.insert(header::LOCATION, value(&location)?);
    headers.insert(header::ETAG, value(&answered.etag)?);
    let patch = match answered.given {
        Given::Answer => SDPFRAG,
        Given::Offer | Given::CounterOffer => SDP,
    };
    headers.insert(ACCEPT_PATCH, HeaderValue::from_static(patch));
    for link in links(node, protocol, stream, &answered.session) {
        headers.append(header::LINK, link);
    }
    Ok(response)
}

/// The type of an offer of this server says until when it may be answered.
fn offer_type() -> String {
    let until = httpdate::fmt_http_date(SystemTime::now() + OFFER_LIFE);
    format!("{SDP};valid-until=\"{until}\"")
}

/// GET, HEAD and OPTIONS of an endpoint answer without content (RFC 9725 section 4.2); players look for a WHEP endpoint by
/// the type that HEAD answers. Anything else is 405.
pub(super) async fn other(protocol: Protocol, method: Method, Path(stream): Path<String>) -> Result<Response, Problem> {
    let _: StreamName = stream.parse()?;
    let mut response = match method {
        Method::HEAD if protocol == Protocol::Whep => {
            ([(header::CONTENT_TYPE, HeaderValue::from_static(SDP))], StatusCode::OK).into_response()
        }
        Method::GET | Method::HEAD => StatusCode::NO_CONTENT.into_response(),
        Method::OPTIONS => StatusCode::OK.into_response(),
        other => return Err(not_allowed(&other, "POST, GET, HEAD, OPTIONS")),
    };
    response
        .headers_mut()
        .insert(ACCEPT_POST, HeaderValue::from_static(SDP));
    Ok(response)
}
