//! [`NodeAdmin`] over HTTP/1.1: a token on every call, a deadline around every call, a bound on every answer.

use crate::admin::{AdminError, CALL_DEADLINE, LONG_POLL_SLACK, MAX_ANSWER_BYTES, NodeAdmin};
use crate::api::{
    CloseLinks, DrainReason, DrainRequest, DrainState, Links, NameReport, NodeName, NodeReport, Objects, Problem,
    PublicationId, Publications, PutLinks, RenewSubscriptions, RenewedSubscriptions, StreamName, Subscribe, Subscribed,
};
use crate::wait::format_wait;
use async_trait::async_trait;
use reqwest::header::{AUTHORIZATION, HeaderValue};
use reqwest::{Method, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// A connection that carries nothing is probed after this long, and given up after [`KEEPALIVE_RETRIES`] probes: a host
/// that has vanished is noticed in about 6 s instead of at the end of a long poll.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(3);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(1);
const KEEPALIVE_RETRIES: u32 = 3;
/// Longest part of a problem's detail that goes into an error message, in characters.
const MAX_DETAIL: usize = 500;

/// Where the admin token comes from. Asked on every call, so that a rotated secret is used without a restart.
#[derive(Clone)]
pub struct TokenSource(Arc<dyn Fn() -> String + Send + Sync>);

impl TokenSource {
    /// Asks `read` on every call; it should answer from memory.
    #[must_use]
    pub fn new(read: impl Fn() -> String + Send + Sync + 'static) -> Self {
        Self(Arc::new(read))
    }

    /// Always the same token.
    #[must_use]
    pub fn fixed(token: impl Into<String>) -> Self {
        let token = token.into();
        Self::new(move || token.clone())
    }

    fn header(&self) -> Option<HeaderValue> {
        let mut value = HeaderValue::from_str(&format!("Bearer {}", (self.0)().trim())).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

impl fmt::Debug for TokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenSource(redacted)")
    }
}

/// The admin API over HTTP.
#[derive(Debug, Clone)]
pub struct HttpNodeAdmin {
    client: reqwest::Client,
    token: TokenSource,
    call_deadline: Duration,
}

impl HttpNodeAdmin {
    /// A client with its own connection pool. Cheap to clone, and one is enough for any number of nodes.
    #[must_use]
    pub fn new(token: TokenSource) -> Self {
        let client = reqwest::Client::builder()
            // The token goes to nodes only: to no proxy that the environment names, and nowhere that an answer points to.
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CALL_DEADLINE)
            .tcp_nodelay(true)
            .tcp_keepalive(KEEPALIVE_IDLE)
            .tcp_keepalive_interval(KEEPALIVE_INTERVAL)
            .tcp_keepalive_retries(KEEPALIVE_RETRIES)
            .build()
            .expect("a client without TLS, resolver or proxy has nothing that could fail to load");
        Self {
            client,
            token,
            call_deadline: CALL_DEADLINE,
        }
    }

    /// Another deadline than [`CALL_DEADLINE`] for calls that do not wait for news.
    #[must_use]
    pub fn with_call_deadline(self, call_deadline: Duration) -> Self {
        Self { call_deadline, ..self }
    }

    async fn get<A: DeserializeOwned>(
        &self,
        url: &str,
        path: &str,
        after: Option<u64>,
        wait: Duration,
    ) -> Result<A, AdminError> {
        let query = match after {
            Some(after) => format!("?after={after}&wait={}", format_wait(wait)),
            None => String::new(),
        };
        let deadline = if after.is_some() {
            wait + LONG_POLL_SLACK
        } else {
            self.call_deadline
        };
        let call = Call::new(&Method::GET, url, path);
        let body = self.send::<()>(&call, Method::GET, &query, None, deadline).await?;
        call.parse(&body)
    }

    async fn send<B: Serialize>(
        &self,
        call: &Call,
        method: Method,
        query: &str,
        body: Option<&B>,
        deadline: Duration,
    ) -> Result<Vec<u8>, AdminError> {
        let Some(token) = self.token.header() else {
            return Err(AdminError::Unauthorized {
                call: call.name.clone(),
                detail: "our token has characters that a header cannot carry".to_owned(),
            });
        };
        let mut request = self
            .client
            .request(method, format!("{}{query}", call.url))
            .header(AUTHORIZATION, token);
        if let Some(body) = body {
            request = request.json(body);
        }
        let exchange = async {
            let mut response = request.send().await.map_err(|e| call.unreachable(e))?;
            let status = response.status();
            let mut body = Vec::new();
            while let Some(chunk) = response.chunk().await.map_err(|e| call.unreachable(e))? {
                if body.len() + chunk.len() > MAX_ANSWER_BYTES {
                    return Err(call.bad(format!("it is longer than {MAX_ANSWER_BYTES} bytes")));
                }
                body.extend_from_slice(&chunk);
            }
            if status.is_success() {
                Ok(body)
            } else {
                Err(call.refusal(status, &body))
            }
        };
        tokio::time::timeout(deadline, exchange).await.unwrap_or_else(|_| {
            Err(AdminError::Timeout {
                call: call.name.clone(),
                after: deadline,
            })
        })
    }
}

impl HttpNodeAdmin {
    /// `GET /admin/v1/objects`: what a node and its workers hold, counted when asked.
    ///
    /// # Errors
    /// As every call of [`NodeAdmin`].
    pub async fn objects(&self, url: &str) -> Result<Objects, AdminError> {
        self.get(url, "/admin/v1/objects", None, Duration::ZERO).await
    }
}

#[async_trait]
impl NodeAdmin for HttpNodeAdmin {
    async fn node_report(&self, url: &str, after: Option<u64>, wait: Duration) -> Result<NodeReport, AdminError> {
        self.get(url, "/admin/v1/node", after, wait).await
    }

    async fn put_links(&self, url: &str, peer: &NodeName, request: &PutLinks) -> Result<Links, AdminError> {
        let call = Call::new(&Method::PUT, url, &format!("/admin/v1/links/{peer}"));
        call.parse(
            &self
                .send(&call, Method::PUT, "", Some(request), self.call_deadline)
                .await?,
        )
    }

    async fn close_links(&self, url: &str, request: &CloseLinks) -> Result<(), AdminError> {
        let call = Call::new(&Method::POST, url, "/admin/v1/links/close");
        self.send(&call, Method::POST, "", Some(request), self.call_deadline)
            .await
            .map(drop)
    }

    async fn publications(&self, url: &str, after: Option<u64>, wait: Duration) -> Result<Publications, AdminError> {
        self.get(url, "/admin/v1/publications", after, wait).await
    }

    async fn name(&self, url: &str, stream: &StreamName) -> Result<NameReport, AdminError> {
        self.get(url, &format!("/admin/v1/names/{stream}"), None, Duration::ZERO)
            .await
    }

    async fn subscribe(
        &self,
        url: &str,
        publication: &PublicationId,
        request: &Subscribe,
    ) -> Result<Subscribed, AdminError> {
        let call = Call::new(&Method::PUT, url, &format!("/admin/v1/subscriptions/{publication}"));
        call.parse(
            &self
                .send(&call, Method::PUT, "", Some(request), self.call_deadline)
                .await?,
        )
    }

    async fn renew(&self, url: &str, request: &RenewSubscriptions) -> Result<RenewedSubscriptions, AdminError> {
        let call = Call::new(&Method::POST, url, "/admin/v1/subscriptions/renew");
        call.parse(
            &self
                .send(&call, Method::POST, "", Some(request), self.call_deadline)
                .await?,
        )
    }

    async fn drain(&self, url: &str, request: &DrainRequest) -> Result<DrainState, AdminError> {
        let call = Call::new(&Method::POST, url, "/admin/v1/drain");
        call.parse(
            &self
                .send(&call, Method::POST, "", Some(request), self.call_deadline)
                .await?,
        )
    }

    async fn undrain(&self, url: &str, reason: DrainReason) -> Result<DrainState, AdminError> {
        let call = Call::new(&Method::DELETE, url, "/admin/v1/drain");
        let query = format!("?reason={reason}");
        call.parse(
            &self
                .send::<()>(&call, Method::DELETE, &query, None, self.call_deadline)
                .await?,
        )
    }
}

/// One call, for its error messages.
struct Call {
    url: String,
    name: String,
}

impl Call {
    // Names need no escaping: the types of `api` allow only characters that a path segment may hold.
    fn new(method: &Method, base: &str, path: &str) -> Self {
        let url = format!("{}{path}", base.trim_end_matches('/'));
        let name = format!("{method} {url}");
        Self { url, name }
    }

    fn parse<A: DeserializeOwned>(&self, body: &[u8]) -> Result<A, AdminError> {
        serde_json::from_slice(body).map_err(|e| self.bad(e.to_string()))
    }

    fn bad(&self, detail: String) -> AdminError {
        AdminError::BadAnswer {
            call: self.name.clone(),
            detail,
        }
    }

    fn unreachable(&self, error: reqwest::Error) -> AdminError {
        let call = self.name.clone();
        if error.is_timeout() {
            return AdminError::Timeout {
                call,
                after: CALL_DEADLINE,
            };
        }
        let refused = is_refused(&error);
        // Its own text would repeat the URL.
        AdminError::Unreachable {
            call,
            refused,
            source: Box::new(error.without_url()),
        }
    }

    fn refusal(&self, status: StatusCode, body: &[u8]) -> AdminError {
        let detail = match serde_json::from_slice::<Problem>(body) {
            Ok(problem) => problem.detail,
            Err(_) => String::from_utf8_lossy(body).into_owned(),
        };
        let detail = match detail.trim() {
            "" => "no detail".to_owned(),
            text => text.chars().take(MAX_DETAIL).collect(),
        };
        let call = self.name.clone();
        match status {
            StatusCode::CONFLICT => AdminError::Conflict { call, detail },
            StatusCode::NOT_FOUND => AdminError::NotFound { call, detail },
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => AdminError::Unauthorized { call, detail },
            other => AdminError::Status {
                call,
                status: other.as_u16(),
                detail,
            },
        }
    }
}

fn is_refused(error: &(dyn std::error::Error + 'static)) -> bool {
    std::iter::successors(Some(error), |e| e.source())
        .filter_map(|e| e.downcast_ref::<std::io::Error>())
        .any(|io| io.kind() == std::io::ErrorKind::ConnectionRefused)
}
