//! Who may call what on the admin listener, through its real router.

use crate::http::admin::router;
use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, StatusCode, header};
use serde_json::{Value, json};
use sfumato_admin_api::server::admin_token::Accepted;
use std::sync::Arc;
use tower::ServiceExt;

const SECRET: &str = "a secret of more than thirty-two characters";

fn accepted() -> Accepted {
    Accepted {
        admin: vec!["admin".to_owned()],
        front_door: vec!["door".to_owned()],
    }
}

async fn ask(app: &Router, bearer: &str, method: Method, path: &str, body: Value) -> (StatusCode, Value) {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::AUTHORIZATION, format!("Bearer {bearer}"))
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from(body.to_string()))
        .unwrap();
    let response = app.clone().oneshot(request).await.unwrap();
    let status = response.status();
    let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
    (status, serde_json::from_slice(&body).unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_front_doors_token_sees_the_node_and_changes_nothing() {
    let (node, _inbox) = super::node_with(&[]).await;
    let app = router(node, Some(Arc::new(accepted)));
    let drain = json!({"reason": "manual", "deadlineSeconds": 10});
    let (status, report) = ask(&app, "door", Method::GET, "/admin/v1/node", Value::Null).await;
    assert_eq!((status, &report["tokensRequired"]), (StatusCode::OK, &json!(false)));
    for (method, path) in [
        (Method::POST, "/admin/v1/drain"),
        (Method::DELETE, "/admin/v1/drain?reason=manual"),
        (Method::DELETE, "/admin/v1/sessions/0123456789ab"),
        (Method::POST, "/admin/v1/links/close"),
        (Method::GET, "/admin/v1/sessions"),
        (Method::GET, "/admin/v1/publications"),
    ] {
        let (status, problem) = ask(&app, "door", method.clone(), path, drain.clone()).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{method} {path}: {problem}");
        assert!(problem["detail"].as_str().unwrap().contains("admin token"), "{problem}");
    }
    let (status, _) = ask(&app, "nobody", Method::GET, "/admin/v1/node", Value::Null).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    let (_, report) = ask(&app, "admin", Method::GET, "/admin/v1/node", Value::Null).await;
    assert_eq!(report["draining"], json!(false), "nothing has changed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_tells_the_front_door_whose_token_may_observe_and_what_to_answer_to_others() {
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), SECRET).unwrap();
    let (node, _inbox) = super::node_with(&["--auth-secret-file", secret.path().to_str().unwrap()]).await;
    let app = router(node, Some(Arc::new(accepted)));
    let token = |claims: Value| {
        let mut claims = claims;
        claims["exp"] = (jsonwebtoken::get_current_timestamp() + 60).into();
        let key = jsonwebtoken::EncodingKey::from_secret(SECRET.as_bytes());
        jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &key).unwrap()
    };
    let (_, report) = ask(&app, "door", Method::GET, "/admin/v1/node", Value::Null).await;
    assert_eq!(report["tokensRequired"], json!(true));
    for (body, expected, words) in [
        (json!({"token": token(json!({"observe": true}))}), Value::Null, ""),
        (
            json!({"token": token(json!({"play": ["*"]}))}),
            json!(403),
            "insufficient_scope",
        ),
        (json!({"token": "nonsense"}), json!(401), "invalid_token"),
        (json!({"token": "x".repeat(9000)}), json!(400), "invalid_request"),
        (json!({}), json!(401), "Bearer realm=\"sfumato\""),
    ] {
        let (status, verdict) = ask(&app, "door", Method::POST, "/admin/v1/observer", body).await;
        assert_eq!(status, StatusCode::OK, "{verdict}");
        assert_eq!(verdict["allowed"], json!(expected.is_null()), "{verdict}");
        assert_eq!(verdict["refusal"]["status"], expected, "{verdict}");
        let challenge = verdict["refusal"]["challenge"].as_str().unwrap_or_default();
        assert!(challenge.contains(words), "{verdict}");
    }
}
