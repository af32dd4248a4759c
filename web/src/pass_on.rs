//! Passing one request of a session on to its node, and the node's answer back.
//!
//! Only the headers that WHIP and WHEP need go through, in either direction: what a node says by other means
//! (cookies, CORS of its own) would count for the front door's whole origin. An answer is read whole before it goes on,
//! except a stream of events, which has no end.

use crate::problem::Refusal;
use crate::session_path::is_plain;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use sfumato_admin_api::files::{TrustedCa, http_client, refused_certificate};
use sfumato_admin_api::server::client_address;
use sfumato_admin_api::server::forwarded::{self, FORWARDED_FOR};
use sfumato_admin_api::types::NodeName;
use std::net::IpAddr;
use std::time::Duration;

/// Longest request body, in bytes. An SDP offer of a browser with every codec is about 8 KiB.
pub const MAX_BODY_BYTES: usize = 64 * 1024;
/// Longest answer that is read from a node, in bytes.
pub const MAX_ANSWER_BYTES: usize = 256 * 1024;
/// How long a request may take altogether, the attempts on other nodes included.
pub const REQUEST_DEADLINE: Duration = Duration::from_secs(10);
/// How long one node may take to answer a viewer while there are others to ask: a node that is only slow answers in less, and after
/// it there is time for two more.
pub const ATTEMPT_DEADLINE: Duration = Duration::from_secs(4);
/// How long others are asked before a node that has left a client without an answer.
pub const HUNG_FOR: Duration = Duration::from_secs(10);
/// How long a connection to a node may take to be made. Short, so that time is left for another node.
const CONNECT_DEADLINE: Duration = Duration::from_secs(2);

const ACCEPT_POST: HeaderName = HeaderName::from_static("accept-post");
const ACCEPT_PATCH: HeaderName = HeaderName::from_static("accept-patch");
/// Proxies of the nginx family hold events back unless told otherwise.
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
/// Where a proxy has cut the path. No standard names it; Traefik, Spring and ingress-nginx do so.
const FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");
/// Longest such path, in bytes.
const MAX_PREFIX: usize = 256;
const EVENT_STREAM: &str = "text/event-stream";

/// Headers that a node needs. The user agent tells it the order of simulcast layers; `ETag` is what one published WHIP
/// client sends in the place of `If-Match`.
const TO_NODE: [HeaderName; 6] = [
    header::CONTENT_TYPE,
    header::AUTHORIZATION,
    header::IF_MATCH,
    header::ETAG,
    header::ACCEPT,
    header::USER_AGENT,
];
/// Headers that a client needs, besides `Location` and `Link`, whose paths are rewritten.
const TO_CLIENT: [HeaderName; 9] = [
    header::CONTENT_TYPE,
    header::CACHE_CONTROL,
    ACCEL_BUFFERING,
    header::ETAG,
    header::RETRY_AFTER,
    header::ALLOW,
    header::WWW_AUTHENTICATE,
    ACCEPT_POST,
    ACCEPT_PATCH,
];

/// One request, ready for its node.
#[derive(Debug, Clone)]
pub struct Outgoing {
    pub method: Method,
    /// Path and query at the node.
    pub path: String,
    /// What the node needs of the headers.
    pub headers: HeaderMap,
    pub body: Bytes,
    /// Path below which a proxy offers this front door, or nothing: the client's session URLs lie below it ([`prefix`]).
    pub prefix: String,
}

/// Why a node's answer could not be had.
#[derive(Debug, thiserror::Error)]
pub enum PassOnError {
    /// No connection could be made: the node has not seen the request.
    #[error("node {node} does not take connections")]
    NotConnected {
        node: NodeName,
        /// What the transport says.
        #[source]
        source: reqwest::Error,
    },
    /// Whoever answers there has not proven to be a node of this cluster: nothing was sent.
    #[error("node {node} shows a certificate that is not of this cluster, or not valid now ({why})")]
    NotTrusted {
        node: NodeName,
        /// What is wrong with the certificate.
        why: String,
    },
    /// The connection broke: the node may have carried the request out.
    #[error("the connection to node {node} broke before its answer was complete")]
    Broken {
        node: NodeName,
        /// What the transport says.
        #[source]
        source: reqwest::Error,
    },
    /// Nothing came in time: the node may have carried the request out.
    #[error("node {node} has not answered within {} s", .within.as_secs())]
    Late {
        node: NodeName,
        /// How long it was waited for.
        within: Duration,
    },
    /// The answer cannot be passed back.
    #[error("node {node} gave an answer that cannot be passed on: {why}")]
    BadAnswer {
        node: NodeName,
        /// What is wrong with it.
        why: String,
    },
}

impl From<PassOnError> for Refusal {
    fn from(error: PassOnError) -> Self {
        let status = match &error {
            PassOnError::Late { .. } => StatusCode::GATEWAY_TIMEOUT,
            _ => StatusCode::BAD_GATEWAY,
        };
        let (title, what_to_do) = match &error {
            PassOnError::NotConnected { .. } => ("Node does not answer", "try again, or without `?node=`"),
            PassOnError::NotTrusted { .. } => (
                "Node cannot be trusted",
                "try again, or without `?node=`; who runs the cluster finds more in the front door's log",
            ),
            PassOnError::Late { .. } => (
                "Node does not answer in time",
                "it may be starved or cut off: try again",
            ),
            PassOnError::Broken { .. } => ("Node does not answer", "open a new session"),
            PassOnError::BadAnswer { .. } => (
                "Node does not answer",
                "check that node and front door are of supported releases",
            ),
        };
        Refusal::new(status, title, format!("{error}; {what_to_do}")).field("node")
    }
}

/// A client for the nodes' WHIP and WHEP listeners: by HTTPS for nodes whose certificate comes from `ca`, as their admin API.
#[must_use]
pub fn client(ca: Option<&TrustedCa>) -> reqwest::Client {
    http_client(ca, |options| {
        options
            // A user's token goes to the node, to no proxy of the environment, and nowhere that an answer points to.
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_DEADLINE)
            .tcp_nodelay(true)
    })
}

/// Sends the request to `node` at this base URL ([`crate::way`]) and turns the answer into one of the front door.
///
/// # Errors
/// When no whole answer came, or one that cannot be passed back. Has no deadline of its own; a stream of events is
/// answered with its head, and its body follows as it comes.
pub async fn send(
    client: &reqwest::Client,
    node: &NodeName,
    url: &str,
    request: &Outgoing,
) -> Result<Response, PassOnError> {
    let target = format!("{}{}", url.trim_end_matches('/'), request.path);
    let broken = |source: reqwest::Error| {
        let (node, source) = (node.clone(), source.without_url());
        match refused_certificate(&source) {
            Some(why) => PassOnError::NotTrusted { node, why },
            None if source.is_connect() => PassOnError::NotConnected { node, source },
            None => PassOnError::Broken { node, source },
        }
    };
    let sent = client
        .request(request.method.clone(), target)
        .headers(request.headers.clone())
        .body(request.body.clone())
        .send()
        .await;
    let mut answer = sent.map_err(broken)?;
    let bad = |why: String| PassOnError::BadAnswer {
        node: node.clone(),
        why,
    };
    let headers = answer_headers(answer.headers(), node, url, &request.prefix).map_err(bad)?;
    if is_event_stream(&headers) {
        return Ok((answer.status(), headers, Body::from_stream(answer.bytes_stream())).into_response());
    }
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(broken)? {
        if body.len() + chunk.len() > MAX_ANSWER_BYTES {
            return Err(bad(format!("it is longer than {MAX_ANSWER_BYTES} bytes")));
        }
        body.extend_from_slice(&chunk);
    }
    Ok((answer.status(), headers, body).into_response())
}

/// Whether an answer with these headers is a stream of events.
#[must_use]
pub fn is_event_stream(headers: &HeaderMap) -> bool {
    let declared = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = declared.unwrap_or_default().split(';').next().unwrap_or_default();
    essence.trim().eq_ignore_ascii_case(EVENT_STREAM)
}

/// What the node gets to see of a client's headers, and the client's address, for which the front door's token vouches.
#[must_use]
pub fn request_headers(from: &HeaderMap, client: Option<IpAddr>, token: &str) -> HeaderMap {
    let mut headers = copied(from, &TO_NODE);
    let mut hops: Vec<String> = from
        .get_all(FORWARDED_FOR)
        .iter()
        .filter_map(|v| v.to_str().ok())
        .map(str::to_owned)
        .collect();
    hops.extend(client.map(|ip| client_address::plain(ip).to_string()));
    if let Ok(value) = HeaderValue::from_str(&hops.join(", "))
        && !value.is_empty()
    {
        headers.insert(FORWARDED_FOR, value);
    }
    forwarded::sign(&mut headers, token);
    headers
}

/// The path that a proxy has taken away from this request, by `X-Forwarded-Prefix`: `/live`, or nothing. Whoever sends that header
/// changes the URLs in the answer to this one request, so it needs no trust; and what is not a plain path counts as nothing, or
/// such a URL could lead to another host.
#[must_use]
pub fn prefix(from: &HeaderMap) -> &str {
    let mut values = from.get_all(FORWARDED_PREFIX).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return "";
    };
    let path = value.to_str().unwrap_or_default().trim_end_matches('/');
    let is_path = path.len() <= MAX_PREFIX
        && path
            .strip_prefix('/')
            .is_some_and(|segments| segments.split('/').all(is_plain));
    if is_path { path } else { "" }
}

/// What the client gets to see of a node's headers. Session URLs get the node's name in front, so that any front door
/// finds the node again, and before it the prefix that a proxy takes away.
///
/// # Errors
/// When `Location` is no session URL of that node: without it the client could never end the session.
pub fn answer_headers(from: &HeaderMap, node: &NodeName, url: &str, prefix: &str) -> Result<HeaderMap, String> {
    let mut headers = copied(from, &TO_CLIENT);
    if let Some(location) = from.get(header::LOCATION) {
        let text = location.to_str().unwrap_or_default();
        let rewritten = session_url(text, node, url, prefix).ok_or_else(|| {
            format!(
                "its Location `{}` is no session URL",
                text.chars().take(200).collect::<String>()
            )
        })?;
        headers.insert(header::LOCATION, rewritten);
    }
    // One header a link: clients exist that lose entries of a joined one.
    for link in from.get_all(header::LINK) {
        headers.append(header::LINK, rewritten_link(link, node, prefix));
    }
    Ok(headers)
}

/// `/whip/s/1` or `{url}/whip/s/1` becomes `/nodes/{node}/whip/s/1`: an absolute path without a query, because
/// OBS replaces the whole path and drops the query.
fn session_url(location: &str, node: &NodeName, url: &str, prefix: &str) -> Option<HeaderValue> {
    let path = location.strip_prefix(url.trim_end_matches('/')).unwrap_or(location);
    let is_session = path.starts_with("/whip/") || path.starts_with("/whep/");
    is_session
        .then(|| HeaderValue::from_str(&format!("{prefix}/nodes/{node}{path}")).ok())
        .flatten()
}

/// Links to resources of the session (WHEP extensions) get the node's name in front as well; others stay.
fn rewritten_link(link: &HeaderValue, node: &NodeName, prefix: &str) -> HeaderValue {
    let rewritten = link.to_str().ok().and_then(|text| {
        let text = text.replace("</whip/", &format!("<{prefix}/nodes/{node}/whip/"));
        let text = text.replace("</whep/", &format!("<{prefix}/nodes/{node}/whep/"));
        HeaderValue::from_str(&text).ok()
    });
    rewritten.unwrap_or_else(|| link.clone())
}

fn copied(from: &HeaderMap, names: &[HeaderName]) -> HeaderMap {
    let pairs = names
        .iter()
        .flat_map(|name| from.get_all(name).iter().map(|value| (name.clone(), value.clone())));
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(name, value);
    }
    headers
}

#[cfg(test)]
#[path = "pass_on_tests.rs"]
mod tests;
