//! Draining by the admin API, on a real node.

use super::clients::Site;
use super::links::put;
use super::{node, node_with};
use crate::sessions::end_reason::EndReason;
use crate::sessions::session::Role;
use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use serde_json::{Value, json};
use sfumato_admin_api::server::health::Heartbeat;
use sfumato_admin_api::types::{DrainReason, DrainState, Publications};
use std::time::Duration;
use tower::ServiceExt;

async fn call(app: &Router, method: Method, path: &str, body: &str) -> (StatusCode, Value) {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .body(Body::from(body.to_owned()))
        .unwrap();
    let response = app.clone().oneshot(request).await.unwrap();
    let status = response.status();
    let bytes = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    (status, serde_json::from_slice(&bytes).unwrap_or(Value::String(text)))
}

fn reasons(body: &Value) -> Vec<DrainReason> {
    serde_json::from_value::<DrainState>(body.clone()).unwrap().reasons
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drained_node_refuses_sessions_says_so_everywhere_and_takes_them_again_when_the_last_reason_is_lifted() {
    let (node, _inbox) = node().await;
    let admin = crate::http::admin::router(node.clone(), None);
    let clients = crate::http::clients::router(node.clone(), None);
    let health = crate::http::health::router(node.clone(), Heartbeat::start());
    let (_, before) = call(&admin, Method::GET, "/admin/v1/publications", "").await;
    let before: Publications = serde_json::from_value(before).unwrap();
    assert!(before.ready);

    let post = async |body: Value| call(&admin, Method::POST, "/admin/v1/drain", &body.to_string()).await;
    let (status, body) = post(json!({"reason": "manual"})).await;
    assert_eq!((status, reasons(&body)), (StatusCode::OK, vec![DrainReason::Manual]));
    let (_, body) = post(json!({"reason": "roll", "deadlineSeconds": 7})).await;
    assert_eq!(reasons(&body), [DrainReason::Manual, DrainReason::Roll]);
    assert!(
        (6_000..=7_000).contains(&body["remainingMs"].as_u64().unwrap()),
        "{body}"
    );

    let (_, report) = call(&admin, Method::GET, "/admin/v1/node", "").await;
    assert_eq!((&report["draining"], &report["ready"]), (&json!(true), &json!(false)));
    assert_eq!(report["drain"]["reasons"], json!(["manual", "roll"]));
    let path = format!("/admin/v1/publications?after={}&wait=5s", before.revision);
    let (_, told) = call(&admin, Method::GET, &path, "").await;
    assert_eq!(told["ready"], false, "peers are told");
    assert_eq!(
        call(&health, Method::GET, "/readyz", "").await,
        (StatusCode::SERVICE_UNAVAILABLE, json!("is draining\n"))
    );
    for path in ["/whip/demo", "/whep/demo"] {
        let request = Request::post(path)
            .header("content-type", "application/sdp")
            .body(Body::from("v=0"))
            .unwrap();
        let response = clients.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(response.headers().contains_key("retry-after"));
    }

    let (_, body) = call(&admin, Method::DELETE, "/admin/v1/drain?reason=manual", "").await;
    assert_eq!(reasons(&body), [DrainReason::Roll]);
    assert!(!node.state.is_ready());
    let (_, body) = call(&admin, Method::DELETE, "/admin/v1/drain?reason=roll", "").await;
    assert_eq!(body, json!({"reasons": []}));
    assert!(node.state.is_ready());
    let (again, _) = call(&admin, Method::DELETE, "/admin/v1/drain?reason=roll", "").await;
    assert_eq!(again, StatusCode::OK, "lifting is idempotent");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_a_drain_is_refused_by_the_name_of_its_field() {
    let (node, _inbox) = node().await;
    let admin = crate::http::admin::router(node.clone(), None);
    for (body, field) in [
        (json!({"reason": "sigterm"}), "reason"),
        (json!({"reason": "because"}), "reason"),
        (
            json!({"reason": "manual", "deadlineSeconds": 86_401}),
            "deadlineSeconds",
        ),
        (json!({"reason": "manual", "deadlineSeconds": -1}), "deadlineSeconds"),
    ] {
        let (status, problem) = call(&admin, Method::POST, "/admin/v1/drain", &body.to_string()).await;
        assert_eq!(
            (status, &problem["field"]),
            (StatusCode::BAD_REQUEST, &json!(field)),
            "{body}"
        );
    }
    for (query, status) in [("", 400), ("?reason=other", 400), ("?reason=sigterm", 409)] {
        let (answered, problem) = call(&admin, Method::DELETE, &format!("/admin/v1/drain{query}"), "").await;
        assert_eq!(
            (answered.as_u16(), &problem["field"]),
            (status, &json!("reason")),
            "{query}"
        );
    }
    assert!(node.state.is_ready());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_node_that_was_told_to_end_does_so_at_once_and_a_drained_one_stays() {
    let (node, _inbox) = node().await;
    node.drain_for(DrainReason::ScaleDown, Duration::from_secs(60));
    assert!(
        futures::FutureExt::now_or_never(node.emptied()).is_none(),
        "whoever drained it ends it"
    );
    node.drain_for(DrainReason::Sigterm, Duration::from_secs(60));
    tokio::time::timeout(Duration::from_secs(5), node.emptied())
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_was_told_to_end_does_so_when_the_viewers_of_its_last_publisher_are_gone() {
    let site = Site::start(&[]).await;
    let (other, _inbox) = node_with(&["--name=sfu-9"]).await;
    put(&site.node, &other, true, None).await;
    site.open("/whip/demo", "chromium-whip").await;
    site.open("/whep/demo", "chromium-whep").await;
    let publisher = site.node.sessions.all();
    let publisher = publisher.iter().find(|s| matches!(s.role, Role::Publisher { .. }));
    let publisher = publisher.unwrap().id.clone();
    site.node.drain_for(DrainReason::Sigterm, Duration::from_secs(60));
    let mut emptied = std::pin::pin!(site.node.emptied());
    let link = site.node.links.all().remove(0);
    // The publisher is gone and its viewer is not for as long as this is held.
    let held = link.outgoing.lock().await;
    let (node, mut revision) = (site.node.clone(), site.node.state.revision());
    let before = *revision.borrow();
    let ending = tokio::spawn(async move { node.end_session(&publisher, EndReason::ClientAsked).await });
    let told = revision.wait_for(|now| *now != before);
    assert!(tokio::time::timeout(Duration::from_secs(5), told).await.is_ok());
    assert!(
        futures::FutureExt::now_or_never(emptied.as_mut()).is_none(),
        "a viewer is left"
    );
    drop(held);
    ending.await.unwrap();
    assert_eq!(site.node.sessions.count(), (0, 0));
    tokio::time::timeout(Duration::from_secs(5), emptied).await.unwrap();
}
