//! Damaged admin calls, through the real listener's router: a 4xx that names the field or a success, never a 5xx.

use super::node;
use super::offers::{damage, hurt};
use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use serde_json::json;
use sfumato_admin_api::types::{PROBLEM_JSON, Problem};
use tower::ServiceExt;

/// Damaged calls that are sent.
const DAMAGED: usize = 1_000;

/// A valid body for each call, one field a line so that damage to lines is damage to fields.
fn calls(incarnation: &str) -> Vec<(Method, &'static str, String)> {
    let pretty = |value: serde_json::Value| serde_json::to_string_pretty(&value).unwrap().replace('\n', "\r\n");
    let peer = json!({"name": "sfu-9", "incarnation": "0.other", "adminUrl": "http://127.0.0.1:9", "clientUrl": "http://127.0.0.1:9"});
    let remote = json!({
        "lane": 0, "id": "theirs", "ip": "127.0.0.1", "port": 9, "beat": {"codecs": [], "encodings": []},
        "srtp": {"cryptoSuite": "AEAD_AES_256_GCM", "keyBase64": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="},
    });
    let links = json!({
        "incarnation": incarnation, "peer": peer, "close": ["a", "b"],
        "lanes": [{"lane": 0, "end": {"action": "ensure"}, "remote": remote}],
    });
    let subscribe =
        json!({"subscriber": "sfu-9", "incarnation": "0.other", "link": "l", "lane": 0, "active": true, "order": 2});
    let renew = json!({"subscriber": "sfu-9", "incarnation": "0.other", "publications": ["p", "q"], "order": 2});
    vec![
        (Method::PUT, "/admin/v1/links/sfu-9", pretty(links)),
        (
            Method::POST,
            "/admin/v1/links/close",
            pretty(json!({"incarnation": incarnation, "links": ["a", "b"]})),
        ),
        (Method::PUT, "/admin/v1/subscriptions/p", pretty(subscribe)),
        (Method::POST, "/admin/v1/subscriptions/renew", pretty(renew)),
        (
            Method::POST,
            "/admin/v1/drain",
            pretty(json!({"reason": "roll", "deadlineSeconds": 60})),
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn no_damaged_admin_call_ends_a_worker_and_each_refusal_is_a_problem() {
    let (node, _inbox) = node().await;
    let app = crate::http::admin::router(node.clone(), None);
    let calls = calls(node.me.incarnation.as_str());
    let mut runner = TestRunner::deterministic();
    let strategy = proptest::collection::vec(damage(), 1..4);
    let mut refused = 0;
    for round in 0..DAMAGED {
        let (method, path, text) = &calls[round % calls.len()];
        let body = hurt(text, &strategy.new_tree(&mut runner).unwrap().current());
        let request = Request::builder()
            .method(method)
            .uri(*path)
            .body(Body::from(body.clone()))
            .unwrap();
        let response = app.clone().oneshot(request).await.unwrap();
        let status = response.status();
        if status == StatusCode::OK {
            continue;
        }
        refused += 1;
        let shown = String::from_utf8_lossy(&body).into_owned();
        assert_eq!(response.headers()["content-type"], PROBLEM_JSON, "{shown}");
        let bytes = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
        let problem: Problem = serde_json::from_slice(&bytes).unwrap();
        // A beat or key that mediasoup itself refuses is the peer's fault; everything else is said before it gets there.
        assert!(status.is_client_error(), "{status} {problem:?} for {shown}");
        assert!(!problem.detail.is_empty());
    }
    assert!(refused > DAMAGED / 4, "only {refused} calls were refused");
    node.workers.get(0).main.dump().await.unwrap();
    assert!(node.state.fatal.borrow().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_may_be_named_as_a_call_is() {
    let (node, _inbox) = node().await;
    let app = crate::http::admin::router(node.clone(), None);
    let peer = json!({"name": "close", "incarnation": "0.1", "adminUrl": "http://127.0.0.1:9", "clientUrl": "http://127.0.0.1:9"});
    let body = json!({
        "incarnation": node.me.incarnation, "peer": peer,
        "lanes": [{"lane": 0, "end": {"action": "ensure"}}],
    });
    let request = Request::put("/admin/v1/links/close")
        .body(Body::from(body.to_string()))
        .unwrap();
    assert_eq!(app.oneshot(request).await.unwrap().status(), StatusCode::OK);
    assert_eq!(node.report().links[0].peer.as_str(), "close");
}
