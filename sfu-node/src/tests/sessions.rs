//! The list of sessions in the admin API, and kicking.

use super::clients::{SDPFRAG, Site, restart};
use super::offers::captured;
use crate::http::admin;
use axum::body::Body;
use axum::http::{Method, Request, StatusCode, header};
use sfumato_admin_api::types::{Problem, Publications};
use sfumato_admin_api::types::{SessionIceState, SessionRole, Sessions};
use std::sync::Arc;
use tower::ServiceExt;

async fn call(site: &Site, method: Method, path: &str) -> (StatusCode, Vec<u8>) {
    let app = admin::router(Arc::clone(&site.node), None);
    let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
    let response = app.oneshot(request).await.unwrap();
    let status = response.status();
    let bytes = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
    (status, bytes.to_vec())
}

async fn list(site: &Site, query: &str) -> Sessions {
    let (status, body) = call(site, Method::GET, &format!("/admin/v1/sessions{query}")).await;
    assert_eq!(status, StatusCode::OK);
    serde_json::from_slice(&body).unwrap()
}

async fn refused(site: &Site, method: Method, path: &str, status: StatusCode, field: &str) {
    let (got, body) = call(site, method, path).await;
    let problem: Problem = serde_json::from_slice(&body).unwrap();
    assert_eq!(
        (got, problem.field.as_deref()),
        (status, Some(field)),
        "{path}: {problem:?}"
    );
}

/// A publisher and two viewers of `one`, a publisher of `two`; the URLs of their sessions.
async fn four() -> (Site, Vec<String>) {
    let site = Site::start(&[]).await;
    let mut urls = Vec::new();
    for (path, offer) in [
        ("/whip/one", "chromium-whip"),
        ("/whep/one", "chromium-whep"),
        ("/whep/one", "chromium-whep"),
        ("/whip/two", "chromium-whip"),
    ] {
        let reply = site.post(path, captured(offer)).await;
        assert_eq!(reply.status, StatusCode::CREATED, "{}", reply.body);
        urls.push(reply.headers[header::LOCATION].to_str().unwrap().to_owned());
    }
    (site, urls)
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_are_listed_without_giving_their_urls_away() {
    let (site, urls) = four().await;
    let all = list(&site, "").await;
    assert_eq!((all.total, all.sessions.len()), (4, 4));
    let text = serde_json::to_string(&all).unwrap();
    for url in &urls {
        let secret = url.rsplit('/').next().unwrap();
        assert!(!text.contains(secret), "{text}");
        assert!(all.sessions.iter().any(|s| secret.starts_with(s.id.as_str())), "{text}");
    }
    assert!(all.sessions.iter().all(|s| !s.connected && s.media.is_none()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_names_the_candidates_of_its_client_and_that_no_check_has_come() {
    let site = Site::start(&["--media-announced=203.0.113.7:30100,sfu-0.example.net:30100"]).await;
    let reply = site.open("/whip/one", "chromium-whip").await;
    let told = async || {
        let ice = list(&site, "").await.sessions.remove(0).ice.unwrap();
        assert_eq!((ice.state, ice.selected), (SessionIceState::New, None));
        let candidates = ice.candidates.iter();
        candidates
            .map(|it| format!("{:?} {}:{}", it.protocol, it.address, it.port))
            .collect::<Vec<String>>()
    };
    let expected = [
        "Udp 203.0.113.7:30100",
        "Udp sfu-0.example.net:30100",
        "Tcp 203.0.113.7:30100",
        "Tcp sfu-0.example.net:30100",
    ];
    assert_eq!(told().await, expected);
    let restarted = site
        .patch(&reply.location(), &[SDPFRAG, ("if-match", "*")], &restart())
        .await;
    assert_eq!(restarted.status, StatusCode::OK, "{}", restarted.body);
    assert_eq!(told().await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_can_be_of_one_stream_or_role_and_is_bounded() {
    let (site, _) = four().await;
    let of_one = list(&site, "?stream=one").await;
    assert_eq!(of_one.total, 3);
    assert!(of_one.sessions.iter().all(|s| s.stream.as_str() == "one"));
    let viewers = list(&site, "?stream=one&role=viewer&limit=1").await;
    assert_eq!((viewers.total, viewers.sessions.len()), (2, 1));
    assert_eq!(viewers.sessions[0].role, SessionRole::Viewer);
    for (query, field) in [
        ("?limit=1001", "limit"),
        ("?role=both", "query"),
        ("?stream=a%20b", "query"),
    ] {
        let path = format!("/admin/v1/sessions{query}");
        refused(&site, Method::GET, &path, StatusCode::BAD_REQUEST, field).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kicked_viewer_is_gone_alone_and_a_kicked_publication_takes_its_viewers_along() {
    let (site, _) = four().await;
    let viewers = list(&site, "?role=viewer").await;
    let path = format!("/admin/v1/sessions/{}?reason=test", viewers.sessions[0].id);
    assert_eq!(call(&site, Method::DELETE, &path).await.0, StatusCode::OK);
    assert_eq!(list(&site, "").await.total, 3);
    refused(&site, Method::DELETE, &path, StatusCode::NOT_FOUND, "session").await;

    let publication = list(&site, "?stream=one&role=publisher").await.sessions[0]
        .publication
        .clone();
    let path = format!("/admin/v1/publications/{publication}");
    assert_eq!(call(&site, Method::DELETE, &path).await.0, StatusCode::OK);
    let left = list(&site, "").await;
    assert_eq!((left.total, left.sessions[0].stream.as_str()), (1, "two"));
    refused(&site, Method::DELETE, &path, StatusCode::NOT_FOUND, "publication").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kick_with_a_bad_id_or_reason_is_400() {
    let (site, _) = four().await;
    let id = list(&site, "").await.sessions[0].id.clone();
    for path in [
        "/admin/v1/sessions/x".to_owned(),
        format!("/admin/v1/sessions/{id}00000000"),
    ] {
        refused(&site, Method::DELETE, &path, StatusCode::BAD_REQUEST, "session").await;
    }
    for reason in ["x".repeat(201), "two%0Alines".to_owned()] {
        let path = format!("/admin/v1/sessions/{id}?reason={reason}");
        refused(&site, Method::DELETE, &path, StatusCode::BAD_REQUEST, "reason").await;
    }
    assert_eq!(list(&site, "").await.total, 4);
}

async fn publications(site: &Site, query: &str) -> Publications {
    let (status, body) = call(site, Method::GET, &format!("/admin/v1/publications{query}")).await;
    assert_eq!(status, StatusCode::OK);
    serde_json::from_slice(&body).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_for_changes_of_publications_is_told_those_and_anybody_else_everything() {
    let (site, urls) = four().await;
    let before = publications(&site, "").await;
    assert_eq!((before.publications.len(), before.changes_since), (2, None));
    assert_eq!(site.ask(Method::DELETE, &urls[0], &[], "").await.status, StatusCode::OK);
    site.open("/whip/three", "chromium-whip").await;
    let after = format!("?after={}&wait=5s", before.revision);
    let changes = publications(&site, &format!("{after}&changes=true")).await;
    let streams =
        |all: &Publications| -> Vec<String> { all.publications.iter().map(|p| p.stream.to_string()).collect() };
    assert_eq!(streams(&changes), ["three"]);
    assert_eq!(changes.ended, [before.publications[0].id.clone()]);
    assert_eq!(changes.changes_since, Some(before.revision));

    // Who keeps nothing, whose revision is of another life, and who knows none.
    for everything in [
        after,
        "?after=4000000000&changes=true".to_owned(),
        "?changes=true".to_owned(),
    ] {
        let all = publications(&site, &everything).await;
        assert_eq!(streams(&all), ["three", "two"], "{everything}");
        assert_eq!(
            (all.revision, all.changes_since),
            (changes.revision, None),
            "{everything}"
        );
        assert!(all.ended.is_empty());
    }
    let (_, body) = call(&site, Method::GET, "/admin/v1/publications").await;
    assert!(
        !String::from_utf8_lossy(&body).contains("changesSince"),
        "not for who keeps nothing"
    );

    let quiet = publications(&site, &format!("?after={}&wait=50ms&changes=true", changes.revision)).await;
    assert_eq!(
        (quiet.publications.len(), quiet.changes_since),
        (0, Some(changes.revision))
    );
    let path = "/admin/v1/publications?after=1&changes=maybe";
    refused(&site, Method::GET, path, StatusCode::BAD_REQUEST, "changes").await;
}
