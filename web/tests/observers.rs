//! Who may see the cluster, before fake nodes that ask for tokens.

#![allow(clippy::unwrap_used, reason = "tests")]

mod fake_node;

use axum::http::StatusCode;
use fake_node::FakeNode;
use reqwest::Response;
use sfu_web::limits::Limits;
use sfu_web::options::LimitOptions;
use sfu_web::page::Files;
use sfu_web::server::{self, Site};
use sfumato_admin_api::client::HttpNodeAdmin;
use sfumato_admin_api::files::TokenSource;
use std::time::Duration;
use tokio::net::TcpListener;

const PATHS: [&str; 2] = ["/api/v1/cluster", "/api/v1/events"];

struct Door {
    base: String,
    client: reqwest::Client,
}

impl Door {
    async fn before(node: &FakeNode) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let seeds = vec![node.peer.admin_url.parse().unwrap()];
        let token = TokenSource::fixed("t");
        let nodes = HttpNodeAdmin::new(token.clone());
        let site = Site {
            limits: Limits::of(&LimitOptions::default(), listener.local_addr().unwrap(), &[]),
            health: None,
            page: Files::default(),
            ca: None,
            tls: None,
        };
        tokio::spawn(server::serve(
            listener,
            site,
            seeds,
            nodes,
            token,
            std::future::pending(),
        ));
        let client = sfumato_admin_api::files::http_client(None, |options| options);
        Self { base, client }
    }

    async fn get(&self, path: &str, token: Option<&str>) -> Response {
        let mut request = self.client.get(format!("{}{path}", self.base));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        request.send().await.unwrap()
    }

    /// Asks until the answer has this status.
    async fn until(&self, path: &str, token: Option<&str>, status: StatusCode) -> Response {
        for _ in 0..600 {
            let answer = self.get(path, token).await;
            if answer.status() == status {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!(
            "{path} does not answer {status}: {}",
            self.get(path, token).await.text().await.unwrap()
        );
    }
}

async fn guarded() -> FakeNode {
    let node = FakeNode::start("sfu-1").await;
    node.change(|report| report.tokens_required = Some(true));
    node.observers.lock().push("sees".to_owned());
    node
}

#[tokio::test]
async fn where_tokens_are_needed_nobody_sees_the_cluster_without_one_and_no_node_is_asked() {
    let node = guarded().await;
    let door = Door::before(&node).await;
    for path in PATHS {
        let answer = door.until(path, None, StatusCode::UNAUTHORIZED).await;
        assert_eq!(answer.headers()["www-authenticate"], "Bearer realm=\"sfumato\"");
        let text = answer.text().await.unwrap();
        assert!(text.contains("allows to observe") && !text.contains("sfu-1"), "{text}");
    }
    assert!(node.asked.lock().is_empty());
}

#[tokio::test]
async fn a_token_that_may_observe_opens_and_another_is_refused_in_the_nodes_words() {
    let node = guarded().await;
    let door = Door::before(&node).await;
    for path in PATHS {
        door.until(path, Some("sees"), StatusCode::OK).await;
        let in_query = format!("{path}?access_token=sees");
        assert_eq!(door.get(&in_query, None).await.status(), StatusCode::OK);
        let answer = door.get(path, Some("plays")).await;
        assert_eq!(answer.status(), StatusCode::FORBIDDEN);
        let challenge = answer.headers()["www-authenticate"].to_str().unwrap().to_owned();
        assert!(challenge.contains("insufficient_scope"), "{challenge}");
        let problem: serde_json::Value = answer.json().await.unwrap();
        assert_eq!(problem["detail"], "the token has no `observe` claim");
        let twice = door.get(&in_query, Some("sees")).await;
        assert_eq!(twice.status(), StatusCode::BAD_REQUEST);
    }
    assert!(
        node.asked
            .lock()
            .iter()
            .all(|token| ["sees", "plays"].contains(&token.as_str()))
    );
}

#[tokio::test]
async fn a_cluster_that_asks_for_tokens_stays_closed_while_its_nodes_do_not_answer() {
    let mut node = guarded().await;
    let door = Door::before(&node).await;
    door.until("/api/v1/cluster", Some("sees"), StatusCode::OK).await;
    node.refuse_admin().await;
    let answer = door
        .until("/api/v1/cluster", Some("sees"), StatusCode::SERVICE_UNAVAILABLE)
        .await;
    assert!(answer.headers().contains_key("retry-after"));
    assert_eq!(
        door.get("/api/v1/cluster", None).await.status(),
        StatusCode::UNAUTHORIZED
    );
}

#[tokio::test]
async fn where_no_tokens_are_needed_everybody_sees_the_cluster() {
    let node = FakeNode::start("sfu-1").await;
    node.change(|report| report.tokens_required = Some(false));
    let door = Door::before(&node).await;
    for path in PATHS {
        door.until(path, None, StatusCode::OK).await;
        assert_eq!(door.get(path, Some("nonsense")).await.status(), StatusCode::OK);
    }
    assert!(node.asked.lock().is_empty());
}
