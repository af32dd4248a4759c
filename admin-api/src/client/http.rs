//! [`NodeAdmin`] over HTTP/1.1: a token on every call, a deadline around every call, a bound on every answer.

use super::node_admin::{AdminError, CALL_DEADLINE, LONG_POLL_SLACK, NodeAdmin};
use super::transport::{Request, Straight, Transport, TransportError};
use crate::files::{TokenSource, TrustedCa};
use crate::types::format_wait;
use crate::types::{
    CloseLinks, DrainReason, DrainRequest, DrainState, Links, NameReport, NodeName, NodeReport, Objects, Observer,
    Observing, Problem, PublicationId, Publications, PutLinks, RenewSubscriptions, RenewedSubscriptions, StreamName,
    Subscribe, Subscribed,
};
use async_trait::async_trait;
use reqwest::{Method, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::sync::Arc;
use std::time::Duration;

/// Longest part of a problem's detail that goes into an error message, in characters.
const MAX_DETAIL: usize = 500;

/// The admin API over HTTP.
#[derive(Debug, Clone)]
pub struct HttpNodeAdmin {
    transport: Arc<dyn Transport>,
    token: TokenSource,
    call_deadline: Duration,
}

impl HttpNodeAdmin {
    /// A client with its own connection pool. Cheap to clone, and one is enough for any number of nodes.
    #[must_use]
    pub fn new(token: TokenSource) -> Self {
        Self::over(Arc::new(Straight::new(None)), token)
    }

    /// A client that speaks `https` with nodes whose certificate comes from this CA.
    #[must_use]
    pub fn with_ca(token: TokenSource, ca: &TrustedCa) -> Self {
        Self::over(Arc::new(Straight::new(Some(ca))), token)
    }

    /// A client whose calls go another way.
    #[must_use]
    pub fn over(transport: Arc<dyn Transport>, token: TokenSource) -> Self {
        Self {
            transport,
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
        self.get_with(url, path, after, wait, "").await
    }

    /// With more parameters on a call that waits.
    async fn get_with<A: DeserializeOwned>(
        &self,
        url: &str,
        path: &str,
        after: Option<u64>,
        wait: Duration,
        more: &str,
    ) -> Result<A, AdminError> {
        let query = match after {
            Some(after) => format!("?after={after}&wait={}{more}", format_wait(wait)),
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
        let token = self.token.current();
        let url = format!("{}{query}", call.url);
        let request = Request {
            method,
            url: &url,
            token: token.trim(),
            body: body
                .map(serde_json::to_vec)
                .transpose()
                .map_err(|e| call.bad(e.to_string()))?,
        };
        let timeout = AdminError::Timeout {
            call: call.name.clone(),
            after: deadline,
        };
        match tokio::time::timeout(deadline, self.transport.exchange(request)).await {
            Ok(Ok((status, body))) if status.is_success() => Ok(body),
            Ok(Ok((status, body))) => Err(call.refusal(status, &body)),
            Ok(Err(error)) => Err(call.failed(error)),
            Err(_) => Err(timeout),
        }
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

    /// `POST /admin/v1/observer`: whether the holder of a client token may see the cluster.
    ///
    /// # Errors
    /// As every call of [`NodeAdmin`].
    pub async fn observer(&self, url: &str, observer: &Observer) -> Result<Observing, AdminError> {
        let call = Call::new(&Method::POST, url, "/admin/v1/observer");
        call.parse(
            &self
                .send(&call, Method::POST, "", Some(observer), self.call_deadline)
                .await?,
        )
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
        self.get_with(url, "/admin/v1/publications", after, wait, "&changes=true")
            .await
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
    // Names need no escaping: the types of names allow only characters that a path segment may hold.
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

    fn failed(&self, error: TransportError) -> AdminError {
        let call = self.name.clone();
        match error {
            TransportError::Token => AdminError::Unauthorized {
                call,
                detail: error.to_string(),
            },
            TransportError::TooLong => self.bad(error.to_string()),
            TransportError::Unreachable { reach, source } => AdminError::Unreachable { call, reach, source },
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
