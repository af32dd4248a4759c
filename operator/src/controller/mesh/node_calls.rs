//! Calls of nodes: counted, and for an operator outside the cluster through the API server, which reaches pods.

use crate::controller::process::metrics::Metrics;
use async_trait::async_trait;
use http::header::CONTENT_TYPE;
use http::{StatusCode, Uri};
use kube::Client;
use sfumato_admin_api::client::{Answer, Reach, Request, Transport, TransportError, secret_header};
use sfumato_admin_api::types::TOKEN_HEADER;
use std::fmt;
use std::sync::Arc;

/// Counts the calls of another transport.
pub struct Counted {
    calls: Arc<dyn Transport>,
    metrics: Arc<Metrics>,
}

impl Counted {
    #[must_use]
    pub fn new(calls: Arc<dyn Transport>, metrics: Arc<Metrics>) -> Self {
        Self { calls, metrics }
    }
}

impl fmt::Debug for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.calls.fmt(f)
    }
}

#[async_trait]
impl Transport for Counted {
    async fn exchange(&self, request: Request<'_>) -> Result<Answer, TransportError> {
        let op = operation(request.url);
        let result = self.calls.exchange(request).await;
        let outcome = match &result {
            Ok(answer) if answer.status.is_success() => "ok",
            Ok(answer) if answer.status == StatusCode::CONFLICT => "conflict",
            Ok(_) => "refused",
            Err(_) => "unreachable",
        };
        self.metrics.called(op, outcome);
        result
    }
}

/// What a call is about, without the names in its path: labels must be few.
fn operation(url: &str) -> &'static str {
    let path = url.split_once("/admin/v1/").map_or("", |(_, path)| path);
    let first = path.split(['/', '?']).next().unwrap_or_default();
    ["node", "links", "drain", "publications", "subscriptions"]
        .into_iter()
        .find(|known| *known == first)
        .unwrap_or("other")
}

/// Through the API server's pod proxy. It strips `Authorization`, so the token travels in a header of ours; it does not check
/// the node's certificate, but it is trusted with everything else as well.
pub struct ThroughApiServer(Client);

impl ThroughApiServer {
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self(client)
    }
}

impl fmt::Debug for ThroughApiServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ThroughApiServer")
    }
}

#[async_trait]
impl Transport for ThroughApiServer {
    async fn exchange(&self, request: Request<'_>) -> Result<Answer, TransportError> {
        let failed = |reach: Reach, source: Box<dyn std::error::Error + Send + Sync>| TransportError::Unreachable {
            reach,
            source,
        };
        // The client puts the API server's own address before the path.
        let url: Uri = request
            .url
            .parse()
            .map_err(|error| failed(Reach::NotConnected, Box::<http::uri::InvalidUri>::new(error)))?;
        let path = url.path_and_query().map_or("/", |path| path.as_str());
        let mut building = http::Request::builder()
            .method(request.method)
            .uri(path)
            .header(TOKEN_HEADER, secret_header(request.token)?);
        if request.body.is_some() {
            building = building.header(CONTENT_TYPE, "application/json");
        }
        let call = building
            .body(request.body.unwrap_or_default().into())
            .map_err(|error| failed(Reach::NotConnected, error.into()))?;
        // Whether the API server had passed the call on to the pod when something broke, it does not say.
        let answer = self.0.send(call).await;
        let answer = answer.map_err(|error| failed(Reach::Unknown, error.into()))?;
        let from_api_server = answer.status() == StatusCode::SERVICE_UNAVAILABLE && !is_problem(&answer);
        let broken = |error: kube::Error| failed(Reach::Broken, error.into());
        let answer = request.room.read(answer, request.max_answer, broken).await?;
        if from_api_server {
            let text: String = String::from_utf8_lossy(&answer.body).chars().take(200).collect();
            let source = format!("the API server does not reach the pod: {text}");
            return Err(failed(Reach::Unknown, source.into()));
        }
        Ok(answer)
    }
}

/// Nodes say no with problem details; the API server with an object of its own.
fn is_problem<B>(answer: &http::Response<B>) -> bool {
    let kind = answer.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    kind.is_some_and(|kind| kind.starts_with(sfumato_admin_api::types::PROBLEM_JSON))
}

#[cfg(test)]
mod tests {
    use super::*;
    use sfumato_admin_api::client::Room;

    #[test]
    fn calls_are_counted_by_what_they_are_about_and_not_by_whom() {
        for (url, op) in [
            ("https://10.0.0.1:4001/admin/v1/node?after=3&wait=20s", "node"),
            ("https://10.0.0.1:4001/admin/v1/links/live-2", "links"),
            (
                "http://api-server/api/v1/namespaces/a/pods/https:x:4001/proxy/admin/v1/drain",
                "drain",
            ),
            ("https://10.0.0.1:4001/admin/v1/anything", "other"),
            ("https://10.0.0.1:4001/", "other"),
        ] {
            assert_eq!(operation(url), op, "{url}");
        }
    }

    /// What is said of a call when the API server answers in its own name, or is not asked at all.
    async fn failure(url: &str) -> String {
        let answers = tower::service_fn(async |_: http::Request<kube::client::Body>| {
            let answer = http::Response::builder().status(StatusCode::SERVICE_UNAVAILABLE);
            answer.body(kube::client::Body::from(b"no endpoints".to_vec()))
        });
        let way = ThroughApiServer::new(Client::new(answers, "default"));
        let request = Request {
            method: http::Method::GET,
            url,
            token: "secret",
            body: None,
            max_answer: 1_000,
            room: &Room::default(),
        };
        match way.exchange(request).await {
            Err(TransportError::Unreachable { reach, source }) => format!("{reach}: {source}"),
            other => format!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn of_a_call_that_the_api_server_does_not_pass_on_it_is_said_that_nothing_is_known() {
        let told = failure("http://api-server/api/v1/namespaces/a/pods/https:x:4001/proxy/admin/v1/node").await;
        assert!(told.contains("may have been carried out"), "{told}");
        assert!(
            told.ends_with("the API server does not reach the pod: no endpoints"),
            "{told}"
        );
    }

    #[tokio::test]
    async fn a_call_that_cannot_be_written_was_not_carried_out() {
        let told = failure("http://api server/admin/v1/node").await;
        assert!(told.contains("the call was not carried out"), "{told}");
    }
}
