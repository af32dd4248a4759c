//! [`NodeAdmin`] over HTTP/1.1: a token on every call, a deadline around every call, a bound on every answer.

use super::node_admin::{
    AdminError, CALL_DEADLINE, LONG_POLL_SLACK, MAX_ANSWER_BYTES, MAX_PUBLICATIONS_BYTES, NodeAdmin,
};
use super::room::{Answer, Room};
use super::transport::{Request, Straight, Transport};
use super::transport_error::TransportError;
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

/// Longest part of what a node says, or of what is wrong with it, that goes into an error message, in characters.
const MAX_DETAIL: usize = 500;

/// The admin API over HTTP.
#[derive(Debug, Clone)]
pub struct HttpNodeAdmin {
    transport: Arc<dyn Transport>,
    token: TokenSource,
    call_deadline: Duration,
    room: Room,
}

impl HttpNodeAdmin {
    /// A client with its own connection pool, and its own [`Room`] for answers. Cheap to clone, and one is enough for any number
    /// of nodes. Clusters that do not trust each other have one each.
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
            room: Room::default(),
        }
    }

    /// With a room for answers that is one of several.
    #[must_use]
    pub fn with_room(self, room: Room) -> Self {
        Self { room, ..self }
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
        self.get_with(url, path, after, wait, ("", MAX_ANSWER_BYTES)).await
    }

    /// With more parameters on a call that waits, and a bound on its answer.
    async fn get_with<A: DeserializeOwned>(
        &self,
        url: &str,
        path: &str,
        after: Option<u64>,
        wait: Duration,
        (more, max_answer): (&str, usize),
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
        let call = Call {
            max_answer,
            ..Call::new(&Method::GET, url, path)
        };
        let answer = self.send::<()>(&call, Method::GET, &query, None, deadline).await?;
        call.parse(&answer)
    }

    async fn send<B: Serialize>(
        &self,
        call: &Call,
        method: Method,
        query: &str,
        body: Option<&B>,
        deadline: Duration,
    ) -> Result<Answer, AdminError> {
        let token = self.token.current();
        let url = format!("{}{query}", call.url);
        let request = Request {
            method,
            url: &url,
            token: token.trim(),
            body: body
                .map(serde_json::to_vec)
                .transpose()
                .map_err(|e| call.bad(&e.to_string()))?,
            max_answer: call.max_answer,
            room: &self.room,
        };
        let timeout = AdminError::Timeout {
            call: call.name.clone(),
            after: deadline,
        };
        match tokio::time::timeout(deadline, self.transport.exchange(request)).await {
            Ok(Ok(answer)) if answer.status.is_success() => Ok(answer),
            Ok(Ok(answer)) => Err(call.refusal(answer.status, &answer.body)),
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
        let (path, more) = ("/admin/v1/publications", "&changes=true");
        self.get_with(url, path, after, wait, (more, MAX_PUBLICATIONS_BYTES))
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
    max_answer: usize,
}

impl Call {
    // Names need no escaping: the types of names allow only characters that a path segment may hold.
    fn new(method: &Method, base: &str, path: &str) -> Self {
        let url = format!("{}{path}", base.trim_end_matches('/'));
        let name = format!("{method} {url}");
        Self {
            url,
            name,
            max_answer: MAX_ANSWER_BYTES,
        }
    }

    fn parse<A: DeserializeOwned>(&self, answer: &Answer) -> Result<A, AdminError> {
        let mut json = serde_json::Deserializer::from_slice(&answer.body);
        let answer = serde_path_to_error::deserialize(&mut json).map_err(|e| self.bad(&unusable(&e)))?;
        json.end().map_err(|e| self.bad(&e.to_string()))?;
        Ok(answer)
    }

    fn bad(&self, detail: &str) -> AdminError {
        AdminError::BadAnswer {
            call: self.name.clone(),
            detail: clipped(detail),
        }
    }

    fn failed(&self, error: TransportError) -> AdminError {
        let call = self.name.clone();
        match error {
            TransportError::Token => AdminError::Unauthorized {
                call,
                detail: error.to_string(),
            },
            TransportError::TooLong(_) => self.bad(&error.to_string()),
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
            text => clipped(text),
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

/// Which field is at fault, and how. Where it stands in the answer changes with everything before it, and tells nobody anything.
fn unusable(error: &serde_path_to_error::Error<serde_json::Error>) -> String {
    let whole = error.inner().to_string();
    let what = if error.inner().is_data() {
        whole.rsplit_once(" at line ").map_or(whole.as_str(), |(what, _)| what)
    } else {
        &whole
    };
    match error.path().to_string().as_str() {
        "." => what.to_owned(),
        field => format!("{field}: {what}"),
    }
}

/// The begin of a foreign text, fit for a log.
fn clipped(text: &str) -> String {
    let plain = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    plain.take(MAX_DETAIL).collect()
}
