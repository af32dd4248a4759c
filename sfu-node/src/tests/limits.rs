//! Limits and tokens through the client listener's router, with sessions of real offers.

use super::clients::{ADMIN_TOKEN, Reply, SDP, Site};
use super::offers::captured;
use axum::http::{HeaderMap, Method, StatusCode, header};
use sfumato_admin_api::server::forwarded;
use sfumato_admin_api::types::Problem;

impl Site {
    async fn publish(&self, stream: &str) -> Reply {
        self.post(&format!("/whip/{stream}"), captured("chromium-whip")).await
    }

    async fn play(&self, stream: &str) -> Reply {
        self.post(&format!("/whep/{stream}"), captured("chromium-whep")).await
    }
}

fn location(reply: &Reply) -> String {
    assert_eq!(reply.status, StatusCode::CREATED, "{}", reply.body);
    reply.headers[header::LOCATION].to_str().unwrap().to_owned()
}

/// The problem of a refusal, which must say when to come back and name the flag.
fn refused(reply: &Reply, status: StatusCode, flag: &str) {
    assert_eq!(reply.status, status, "{}", reply.body);
    let after: u32 = reply.headers[header::RETRY_AFTER].to_str().unwrap().parse().unwrap();
    assert!((1..=60).contains(&after), "{after}");
    let problem: Problem = serde_json::from_str(&reply.body).unwrap();
    assert!(problem.detail.contains(flag), "{}", problem.detail);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_beyond_the_most_is_503_until_one_ends() {
    let site = Site::start(&["--max-sessions=2"]).await;
    location(&site.publish("one").await);
    let two = location(&site.publish("two").await);
    refused(
        &site.publish("three").await,
        StatusCode::SERVICE_UNAVAILABLE,
        "--max-sessions",
    );
    refused(
        &site.play("one").await,
        StatusCode::SERVICE_UNAVAILABLE,
        "--max-sessions",
    );
    let ended = site.ask(Method::DELETE, &two, &[], "").await;
    assert_eq!(ended.status, StatusCode::OK);
    location(&site.publish("three").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_whose_clients_do_not_come_are_bounded() {
    let site = Site::start(&["--max-half-open=1"]).await;
    location(&site.publish("one").await);
    refused(
        &site.publish("two").await,
        StatusCode::SERVICE_UNAVAILABLE,
        "--max-half-open",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn viewers_of_one_stream_are_bounded_and_other_streams_are_not_touched() {
    let site = Site::start(&["--max-viewers-per-stream=1"]).await;
    location(&site.publish("one").await);
    location(&site.publish("two").await);
    location(&site.play("one").await);
    let flag = "--max-viewers-per-stream";
    refused(&site.play("one").await, StatusCode::SERVICE_UNAVAILABLE, flag);
    location(&site.play("two").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_that_come_at_once_no_more_than_the_most_get_in() {
    let site = Site::start(&["--max-sessions=3"]).await;
    let names: Vec<String> = (0..12).map(|i| format!("s{i}")).collect();
    let replies = futures::future::join_all(names.iter().map(|name| site.publish(name))).await;
    let let_in = replies
        .iter()
        .filter(|reply| reply.status == StatusCode::CREATED)
        .count();
    assert!((1..=3).contains(&let_in), "{let_in}");
    let (publishers, viewers) = site.node.sessions.count();
    assert!(publishers + viewers <= 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_requests_of_one_address_are_429_and_looking_costs_nothing() {
    let site = Site::start(&["--max-request-rate=1"]).await;
    let from = |address: &'static str| [SDP, ("x-forwarded-for", address)];
    let mut last = None;
    // Nobody is at the other end of a socket here, so the address stays that of nobody, whatever a header says.
    for address in ["198.51.100.1", "198.51.100.2", "198.51.100.3", "198.51.100.4"] {
        last = Some(site.ask(Method::DELETE, "/whip/demo/none", &from(address), "").await);
    }
    refused(&last.unwrap(), StatusCode::TOO_MANY_REQUESTS, "--max-request-rate");
    // A front door's word counts, wherever it runs.
    for address in ["198.51.100.1", "198.51.100.2", "198.51.100.3", "198.51.100.4"] {
        let proof = proof_of(address);
        let named = [SDP, ("x-forwarded-for", address), ("sfumato-forwarded-proof", &proof)];
        let reply = site.ask(Method::DELETE, "/whip/demo/none", &named, "").await;
        assert_eq!(reply.status, StatusCode::NOT_FOUND, "{}", reply.body);
    }
    for method in [Method::OPTIONS, Method::HEAD, Method::GET] {
        let looked = site.ask(method, "/whep/demo", &[], "").await;
        assert!(looked.status.is_success(), "{}", looked.status);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_secret_only_tokens_open_sessions_and_the_session_needs_none() {
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), "a secret of more than thirty-two characters").unwrap();
    let site = Site::start(&["--auth-secret-file", secret.path().to_str().unwrap()]).await;
    let reply = site.publish("demo").await;
    assert_eq!(reply.status, StatusCode::UNAUTHORIZED, "{}", reply.body);
    let exp = jsonwebtoken::get_current_timestamp() + 60;
    let token = jsonwebtoken::encode(
        &jsonwebtoken::Header::default(),
        &serde_json::json!({"publish": ["demo"], "exp": exp}),
        &jsonwebtoken::EncodingKey::from_secret(b"a secret of more than thirty-two characters"),
    )
    .unwrap();
    let bearer = format!("Bearer {token}");
    let with_token = [SDP, ("authorization", bearer.as_str())];
    let opened = site
        .ask(Method::POST, "/whip/demo", &with_token, captured("chromium-whip"))
        .await;
    let session = location(&opened);
    let watched = site
        .ask(Method::POST, "/whep/demo", &with_token, captured("chromium-whep"))
        .await;
    assert_eq!(watched.status, StatusCode::FORBIDDEN, "{}", watched.body);
    let ended = site.ask(Method::DELETE, &session, &[], "").await;
    assert_eq!(ended.status, StatusCode::OK);
}

/// What a front door of the cluster adds.
fn proof_of(address: &str) -> String {
    let mut headers = HeaderMap::from_iter([(forwarded::FORWARDED_FOR, address.parse().unwrap())]);
    forwarded::sign(&mut headers, ADMIN_TOKEN);
    headers[forwarded::PROOF].to_str().unwrap().to_owned()
}
