//! A front door before fake nodes, and what clients ask of it.

#![allow(dead_code, reason = "each test uses a part")]
#![allow(clippy::unwrap_used, reason = "a part of tests")]

use crate::fake_node::FakeNode;
use axum::http::{Method, StatusCode};
use reqwest::Response;
use serde_json::Value;
use sfu_web::limits::Limits;
use sfu_web::options::LimitOptions;
use sfu_web::page::Files;
use sfu_web::server::{self, Site};
use sfumato_admin_api::client::HttpNodeAdmin;
use sfumato_admin_api::files::{TokenSource, TrustedCa, http_client};
use sfumato_admin_api::server::tls::Tls;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

pub struct Door {
    pub base: String,
    pub client: reqwest::Client,
    pub stop: Option<oneshot::Sender<()>>,
}

impl Door {
    /// Opens a front door that knows the first of these nodes, and waits until it knows all of them.
    pub async fn before(nodes: &[FakeNode]) -> Self {
        Self::with_page(nodes, Files::default()).await
    }

    pub async fn with_page(nodes: &[FakeNode], page: Files) -> Self {
        Self::with(nodes, page, &LimitOptions::default(), None).await
    }

    /// One that trusts nodes by this CA.
    pub async fn trusting(nodes: &[FakeNode], ca: TrustedCa) -> Self {
        Self::with(nodes, Files::default(), &LimitOptions::default(), Some(ca)).await
    }

    pub async fn with(nodes: &[FakeNode], page: Files, limits: &LimitOptions, ca: Option<TrustedCa>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let site = Site {
            limits: Limits::of(limits, listener.local_addr().unwrap(), &[]),
            health: None,
            page,
            ca,
            tls: None,
        };
        Self::serving(listener, site, nodes, http_client(None, |options| options)).await
    }

    /// One that serves HTTPS, and whose clients trust it by this CA.
    pub async fn secure(nodes: &[FakeNode], tls: Tls, trusted: &TrustedCa) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let site = Site {
            limits: Limits::of(&LimitOptions::default(), listener.local_addr().unwrap(), &[]),
            health: None,
            page: Files::default(),
            ca: None,
            tls: Some(tls),
        };
        Self::serving(listener, site, nodes, http_client(Some(trusted), |options| options)).await
    }

    async fn serving(listener: TcpListener, site: Site, nodes: &[FakeNode], client: reqwest::Client) -> Self {
        let scheme = if site.tls.is_some() { "https" } else { "http" };
        let base = format!("{scheme}://{}", listener.local_addr().unwrap());
        let seeds = nodes
            .iter()
            .take(1)
            .map(|node| node.peer.admin_url.parse().unwrap())
            .collect();
        let (stop, stopped) = oneshot::channel();
        let reports = HttpNodeAdmin::new(TokenSource::fixed("t"));
        tokio::spawn(server::serve(
            listener,
            site,
            seeds,
            reports,
            TokenSource::fixed("t"),
            async {
                let _ = stopped.await;
            },
        ));
        let door = Self {
            base,
            client,
            stop: Some(stop),
        };
        let count = nodes.len();
        door.until(|json| json["cluster"]["nodesReady"] == count).await;
        door
    }

    pub async fn cluster(&self) -> Value {
        self.get("/api/v1/cluster").await.json().await.unwrap()
    }

    pub async fn until(&self, what: impl Fn(&Value) -> bool) -> Value {
        for _ in 0..200 {
            let json = self.cluster().await;
            if what(&json) {
                return json;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("not in time: {}", self.cluster().await);
    }

    pub async fn get(&self, path: &str) -> Response {
        self.send(Method::GET, path, "").await
    }

    pub async fn offer(&self, path: &str) -> Response {
        self.send(Method::POST, path, "v=0\r\noffer").await
    }

    pub async fn send(&self, method: Method, path: &str, body: impl Into<reqwest::Body>) -> Response {
        let request = self.client.request(method, format!("{}{path}", self.base)).body(body);
        request
            .header("content-type", "application/sdp")
            .header("cookie", "a=b")
            .send()
            .await
            .unwrap()
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        let _ = self.stop.take().map(|stop| stop.send(()));
    }
}

pub fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    response
        .headers()
        .get(name)
        .map(|value| value.to_str().unwrap())
        .unwrap_or_default()
}

/// The refusal must be problem details with this status; answers its field.
pub async fn refused(response: Response, status: StatusCode) -> String {
    assert_eq!(response.status(), status);
    assert_eq!(header(&response, "content-type"), "application/problem+json");
    let json: Value = response.json().await.unwrap();
    assert_eq!(json["status"], status.as_u16());
    assert!(!json["detail"].as_str().unwrap().is_empty());
    json["field"].as_str().unwrap_or_default().to_owned()
}
