//! What the HTTP client makes of answers: each kind of failure is told apart, and every call ends.

#![allow(clippy::unwrap_used)]

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use sfumato_admin_api::client::MAX_ANSWER_BYTES;
use sfumato_admin_api::client::{AdminError, HttpNodeAdmin, NodeAdmin, Reach};
use sfumato_admin_api::files::TokenSource;
use sfumato_admin_api::types::{CloseLinks, PublicationId, RenewSubscriptions, Subscribe};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// A node that answers every request in the same way.
async fn node<F, R>(answer: F) -> String
where
    F: Fn(Uri, HeaderMap) -> R + Clone + Send + Sync + 'static,
    R: IntoResponse + Send + 'static,
{
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let handler = move |uri: Uri, headers: HeaderMap| std::future::ready(answer(uri, headers).into_response());
    let router = Router::new().fallback(handler);
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    url
}

fn client() -> HttpNodeAdmin {
    HttpNodeAdmin::new(TokenSource::fixed("secret"))
}

fn nothing() -> CloseLinks {
    CloseLinks {
        incarnation: "0.1".parse().unwrap(),
        links: Vec::new(),
    }
}

fn problem(status: u16) -> Response {
    let body = format!(r#"{{"status":{status},"title":"t","detail":"what the node says","aFieldOfTomorrow":1}}"#);
    (
        StatusCode::from_u16(status).unwrap(),
        [(header::CONTENT_TYPE, "application/problem+json")],
        body,
    )
        .into_response()
}

#[tokio::test]
async fn refusals_are_told_apart_and_keep_the_nodes_own_words() {
    for status in [409, 404, 401, 403, 400, 503] {
        let url = node(move |_, _| problem(status)).await;
        let error = client().close_links(&url, &nothing()).await.unwrap_err();
        let right = match &error {
            AdminError::Conflict { .. } => status == 409 && error.is_conflict(),
            AdminError::NotFound { .. } => status == 404,
            AdminError::Unauthorized { .. } => matches!(status, 401 | 403),
            AdminError::Status { status: other, .. } => status == *other,
            _ => false,
        };
        assert!(right, "{status}: {error:?}");
        let text = error.to_string();
        assert!(
            text.starts_with(&format!("POST {url}/admin/v1/links/close: ")),
            "{text}"
        );
        assert!(text.contains("what the node says"), "{text}");
        assert!(!error.is_refused());
    }
}

#[tokio::test]
async fn a_refused_connection_is_known_as_such() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let error = client().node_report(&url, None, Duration::ZERO).await.unwrap_err();
    assert!(error.is_refused(), "{error:?}");
    assert!(error.to_string().contains("connection refused"), "{error}");
}

#[tokio::test]
async fn a_connection_that_breaks_is_not_a_refusal() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { while listener.accept().await.is_ok() {} });
    let error = client().close_links(&url, &nothing()).await.unwrap_err();
    assert!(
        matches!(
            error,
            AdminError::Unreachable {
                reach: Reach::Broken,
                ..
            }
        ),
        "{error:?}"
    );
    assert!(error.to_string().contains("may have been carried out"), "{error}");
}

#[tokio::test]
async fn silence_ends_at_the_deadline_before_and_within_the_body() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let before = format!("http://{}", silent.local_addr().unwrap());
    let within = node(|_, _| {
        let first = futures::stream::iter([Ok::<_, std::io::Error>("{")]);
        Body::from_stream(futures::StreamExt::chain(first, futures::stream::pending()))
    })
    .await;
    let client = client().with_call_deadline(Duration::from_millis(50));
    for url in [before, within] {
        let error = client.close_links(&url, &nothing()).await.unwrap_err();
        assert!(matches!(error, AdminError::Timeout { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn an_answer_of_another_shape_or_without_an_end_is_bad() {
    let shape = node(|_, _| "{}").await;
    let endless = node(|_, _| {
        Body::from_stream(futures::stream::repeat_with(|| {
            Ok::<_, std::io::Error>("x".repeat(65_536))
        }))
    })
    .await;
    for (url, why) in [(shape, "missing field"), (endless, "longer than")] {
        let client = client().with_call_deadline(Duration::from_secs(60));
        let error = client.node_report(&url, None, Duration::ZERO).await.unwrap_err();
        assert!(
            matches!(&error, AdminError::BadAnswer { detail, .. } if detail.contains(why)),
            "{error:?}"
        );
    }
    assert_eq!(MAX_ANSWER_BYTES, 1 << 20);
}

#[tokio::test]
async fn an_answer_that_says_that_it_is_too_long_is_not_read_and_the_field_that_is_wrong_is_named() {
    let announced = node(|_, _| {
        (
            [(header::CONTENT_LENGTH, "1048577")],
            Body::from(vec![b' '; (1 << 20) + 1]),
        )
    })
    .await;
    let error = client()
        .node_report(&announced, None, Duration::ZERO)
        .await
        .unwrap_err();
    assert!(
        error.is_unusable() && error.to_string().contains("longer than 1048576 bytes"),
        "{error}"
    );
    let lying = node(|_, _| {
        let peer = r#""name":"a","incarnation":"0.1","adminUrl":"http://a","clientUrl":"http://a""#;
        format!(r#"{{"apiVersion":1,"version":"1",{peer},"revision":1,"workers":65535}}"#)
    })
    .await;
    let error = client().node_report(&lying, None, Duration::ZERO).await.unwrap_err();
    assert!(
        error.is_unusable() && error.to_string().contains("(workers: 65535 is over 64)"),
        "{error}"
    );
    let shouting = node(|_, _| format!(r#"{{"links":[{{"state":"{}"}}]}}"#, "x\\n".repeat(100_000))).await;
    let error = client().node_report(&shouting, None, Duration::ZERO).await.unwrap_err();
    assert!(
        error.to_string().len() < 1_000 && !error.to_string().contains('\n'),
        "{error}"
    );
}

#[tokio::test]
async fn the_token_is_read_anew_on_every_call() {
    let url = node(|_, headers| {
        let token = headers[header::AUTHORIZATION].to_str().unwrap().to_owned();
        (StatusCode::IM_A_TEAPOT, token)
    })
    .await;
    let reads = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&reads);
    let source = TokenSource::new(move || format!("token-{}\n", counted.fetch_add(1, Ordering::Relaxed)));
    let client = HttpNodeAdmin::new(source);
    for n in 0..3 {
        let error = client.close_links(&url, &nothing()).await.unwrap_err();
        assert!(
            matches!(&error, AdminError::Status { status: 418, detail, .. } if *detail == format!("Bearer token-{n}"))
        );
    }
    assert!(!format!("{client:?}").contains("token-"), "tokens do not reach logs");
}

#[tokio::test]
async fn every_call_goes_where_the_admin_api_says() {
    let url = node(|uri, _| (StatusCode::IM_A_TEAPOT, uri.to_string())).await;
    let (client, wait) = (client(), Duration::from_secs(20));
    let publication: PublicationId = "p-1".parse().unwrap();
    let subscribe = Subscribe {
        subscriber: "sfu-1".parse().unwrap(),
        incarnation: "0.1".parse().unwrap(),
        link: "l1".parse().unwrap(),
        lane: sfumato_admin_api::types::Lane(0),
        active: true,
        order: 2,
    };
    let renew = RenewSubscriptions {
        subscriber: "sfu-1".parse().unwrap(),
        incarnation: "0.1".parse().unwrap(),
        publications: Vec::new(),
        order: 2,
    };
    let base = format!("{url}/some/proxy/");
    let errors = [
        client.node_report(&base, Some(7), wait).await.unwrap_err(),
        client.node_report(&base, None, wait).await.unwrap_err(),
        client.publications(&base, Some(7), wait).await.unwrap_err(),
        client.subscribe(&base, &publication, &subscribe).await.unwrap_err(),
        client.renew(&base, &renew).await.unwrap_err(),
    ];
    let paths = errors.map(|error| match error {
        AdminError::Status { detail, .. } => detail,
        other => panic!("{other:?}"),
    });
    assert_eq!(
        paths,
        [
            "/some/proxy/admin/v1/node?after=7&wait=20s",
            "/some/proxy/admin/v1/node",
            "/some/proxy/admin/v1/publications?after=7&wait=20s&changes=true",
            "/some/proxy/admin/v1/subscriptions/p-1",
            "/some/proxy/admin/v1/subscriptions/renew",
        ]
    );
}

#[test]
fn the_keys_of_a_link_do_not_show_in_debug_output() {
    let end = sfumato_admin_api::types::LinkEnd {
        lane: sfumato_admin_api::types::Lane(0),
        id: "l1".parse().unwrap(),
        ip: std::net::Ipv4Addr::LOCALHOST.into(),
        port: 1,
        srtp: Some(serde_json::json!({ "keyBase64": "c2VjcmV0" })),
        beat: serde_json::Value::Null,
    };
    let text = format!("{:?}", sfumato_admin_api::types::Links { links: vec![end] });
    assert!(text.contains("redacted") && !text.contains("c2VjcmV0"), "{text}");
}
