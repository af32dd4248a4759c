//! How a call of the admin API gets to a node: straight over HTTP, or, in the operator, through the API server of
//! Kubernetes.

use super::node_admin::{CONNECT_DEADLINE, Reach};
use super::room::{Answer, Room};
use super::transport_error::TransportError;
use crate::files::{TrustedCa, http_client};
use async_trait::async_trait;
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use std::fmt;
use std::time::Duration;

/// A connection that carries nothing is probed after this long, and given up after [`KEEPALIVE_RETRIES`] probes: a host
/// that has vanished is noticed in about 6 s instead of at the end of a long poll.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(3);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(1);
const KEEPALIVE_RETRIES: u32 = 3;

/// One call.
pub struct Request<'a> {
    pub method: Method,
    /// Its whole URL.
    pub url: &'a str,
    /// The admin token. A secret.
    pub token: &'a str,
    /// JSON to send.
    pub body: Option<Vec<u8>>,
    /// Most bytes of the answer that are read.
    pub max_answer: usize,
    /// Where an answer that is not small has its room.
    pub room: &'a Room,
}

// By hand, so that neither a token nor a link's keys can reach a log.
impl fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.url)
    }
}

/// Carries calls. The caller puts a deadline around each.
#[async_trait]
pub trait Transport: fmt::Debug + Send + Sync + 'static {
    /// Sends a call and reads its whole answer.
    async fn exchange(&self, request: Request<'_>) -> Result<Answer, TransportError>;
}

/// Straight to the node, over HTTP/1.1.
#[derive(Debug, Clone)]
pub struct Straight(reqwest::Client);

impl Straight {
    /// With its own connection pool; `https` with nodes whose certificate comes from `ca`.
    #[must_use]
    pub fn new(ca: Option<&TrustedCa>) -> Self {
        Self(http_client(ca, |options| {
            options
                // The token goes to nodes only: to no proxy that the environment names, and nowhere that an answer points to.
                .redirect(reqwest::redirect::Policy::none())
                .connect_timeout(CONNECT_DEADLINE)
                .tcp_nodelay(true)
                .tcp_keepalive(KEEPALIVE_IDLE)
                .tcp_keepalive_interval(KEEPALIVE_INTERVAL)
                .tcp_keepalive_retries(KEEPALIVE_RETRIES)
        }))
    }
}

#[async_trait]
impl Transport for Straight {
    async fn exchange(&self, request: Request<'_>) -> Result<Answer, TransportError> {
        let token = secret_header(&format!("Bearer {}", request.token))?;
        let mut building = self.0.request(request.method, request.url).header(AUTHORIZATION, token);
        if let Some(body) = request.body {
            building = building.header(CONTENT_TYPE, "application/json").body(body);
        }
        let response = building.send().await.map_err(unreachable)?;
        let response = http::Response::<reqwest::Body>::from(response);
        request.room.read(response, request.max_answer, unreachable).await
    }
}

/// A header value that is written to no log.
///
/// # Errors
/// When the text cannot be a header.
pub fn secret_header(text: &str) -> Result<HeaderValue, TransportError> {
    let mut value = HeaderValue::from_str(text).map_err(|_| TransportError::Token)?;
    value.set_sensitive(true);
    Ok(value)
}

fn unreachable(error: reqwest::Error) -> TransportError {
    let reach = if is_refused(&error) {
        Reach::Refused
    } else if error.is_connect() {
        Reach::NotConnected
    } else {
        Reach::Broken
    };
    TransportError::Unreachable {
        reach,
        // Its own text would repeat the URL.
        source: Box::new(error.without_url()),
    }
}

fn is_refused(error: &(dyn std::error::Error + 'static)) -> bool {
    std::iter::successors(Some(error), |e| e.source())
        .filter_map(|e| e.downcast_ref::<std::io::Error>())
        .any(|io| io.kind() == std::io::ErrorKind::ConnectionRefused)
}
