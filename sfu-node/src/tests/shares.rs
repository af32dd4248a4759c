//! One client takes all that it can get, and others still get in.

use super::clients::{Reply, Site};
use super::offers::captured;
use crate::limits::MAX_REQUESTS;
use axum::body::Body;
use axum::http::{Method, StatusCode, header};
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use sfumato_admin_api::types::Problem;

const ATTACKER: &str = "198.51.100.1";
const GOOD: &str = "203.0.113.7";

impl Site {
    /// Publishes under new names until that is refused; answers how many it was, and the refusal.
    async fn fill_from(&self, address: &str, more: &[(&str, &str)]) -> (usize, Reply) {
        for n in 0..100 {
            let path = format!("/whip/{}-{n}", address.replace(['.', ':'], "-"));
            let reply = self.post_from(address, &path, captured("chromium-whip"), more).await;
            if reply.status != StatusCode::CREATED {
                return (n, reply);
            }
        }
        panic!("{address} is never refused");
    }
}

fn refused_for_its_share(reply: &Reply, status: StatusCode, flag: &str) {
    assert_eq!(reply.status, status, "{}", reply.body);
    let after: u32 = reply.headers[header::RETRY_AFTER].to_str().unwrap().parse().unwrap();
    assert!((1..=60).contains(&after), "{after}");
    let problem: Problem = serde_json::from_str(&reply.body).unwrap();
    for named in [flag, "--trusted-address"] {
        assert!(problem.detail.contains(named), "{}", problem.detail);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_one_address_fills_half_open_places_publishers_and_viewers_at_others_get_in() {
    let site = Site::start(&["--max-half-open=20"]).await;
    let (taken, refused) = site.fill_from(ATTACKER, &[]).await;
    assert_eq!(taken, 10, "half of them");
    refused_for_its_share(&refused, StatusCode::TOO_MANY_REQUESTS, "--max-half-open");
    let published = site.post_from(GOOD, "/whip/good", captured("chromium-whip"), &[]).await;
    assert_eq!(published.status, StatusCode::CREATED, "{}", published.body);
    let watched = site
        .post_from("203.0.113.8", "/whep/good", captured("chromium-whep"), &[])
        .await;
    assert_eq!(watched.status, StatusCode::CREATED, "{}", watched.body);
    let again = site
        .post_from(ATTACKER, "/whip/again", captured("chromium-whip"), &[])
        .await;
    refused_for_its_share(&again, StatusCode::TOO_MANY_REQUESTS, "--max-half-open");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attacker_with_a_whole_ipv6_network_has_one_share() {
    let site = Site::start(&["--max-half-open=20"]).await;
    let mut taken = 0;
    for n in 1..=20 {
        let address = format!("2001:db8:0:1::{n}");
        let path = format!("/whip/six-{n}");
        let reply = site.post_from(&address, &path, captured("chromium-whip"), &[]).await;
        taken += usize::from(reply.status == StatusCode::CREATED);
    }
    assert_eq!(taken, 10);
    let good = site
        .post_from("2001:db8:0:2::1", "/whip/good", captured("chromium-whip"), &[])
        .await;
    assert_eq!(good.status, StatusCode::CREATED, "{}", good.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn offers_of_this_node_that_an_attacker_leaves_unanswered_count_as_its_half_open_sessions() {
    let site = Site::start(&["--max-half-open=20"]).await;
    let published = site.post_from(GOOD, "/whip/demo", captured("chromium-whip"), &[]).await;
    assert_eq!(published.status, StatusCode::CREATED, "{}", published.body);
    let mut offered = 0;
    let refused = loop {
        let reply = site.post_from(ATTACKER, "/whep/demo", "", &[]).await;
        if reply.status != StatusCode::CREATED {
            break reply;
        }
        offered += 1;
        assert!(offered < 20, "it ends");
    };
    assert_eq!(offered, 9, "the publisher has the tenth place");
    refused_for_its_share(&refused, StatusCode::TOO_MANY_REQUESTS, "--max-half-open");
    let watched = site
        .post_from("203.0.113.8", "/whep/demo", captured("chromium-whep"), &[])
        .await;
    assert_eq!(watched.status, StatusCode::CREATED, "{}", watched.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn trusted_addresses_and_loopback_are_bounded_by_the_whole_alone() {
    let site = Site::start(&["--max-half-open=4", "--trusted-address=198.51.100.0/24"]).await;
    let (taken, refused) = site.fill_from(ATTACKER, &[]).await;
    assert_eq!((taken, refused.status), (4, StatusCode::SERVICE_UNAVAILABLE));
    let site = Site::start(&["--max-half-open=4"]).await;
    let (taken, refused) = site.fill_from("127.0.0.1", &[]).await;
    assert_eq!((taken, refused.status), (4, StatusCode::SERVICE_UNAVAILABLE));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_subject_of_a_token_has_one_share_wherever_it_comes_from() {
    const SECRET: &str = "a secret of more than thirty-two characters";
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), SECRET).unwrap();
    let path = secret.path().to_str().unwrap();
    let site = Site::start(&["--max-half-open=20", "--auth-secret-file", path]).await;
    let token = |subject: &str| {
        let exp = jsonwebtoken::get_current_timestamp() + 60;
        let claims = serde_json::json!({"publish": ["*"], "sub": subject, "exp": exp});
        let key = jsonwebtoken::EncodingKey::from_secret(SECRET.as_bytes());
        let token = jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &key).unwrap();
        format!("Bearer {token}")
    };
    let (attacker, good) = (token("attacker"), token("good"));
    let mut taken = 0;
    for n in 1..=20 {
        let (address, path) = (format!("198.51.100.{n}"), format!("/whip/s{n}"));
        let with = [("authorization", attacker.as_str())];
        let reply = site.post_from(&address, &path, captured("chromium-whip"), &with).await;
        taken += usize::from(reply.status == StatusCode::CREATED);
    }
    assert_eq!(taken, 10);
    let with = [("authorization", good.as_str())];
    let good = site
        .post_from("198.51.100.1", "/whip/good", captured("chromium-whip"), &with)
        .await;
    assert_eq!(good.status, StatusCode::CREATED, "{}", good.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn places_of_sessions_that_end_are_free_again() {
    let site = Site::start(&["--max-half-open=20"]).await;
    for n in 0..25 {
        let path = format!("/whip/turn-{n}");
        let reply = site.post_from(ATTACKER, &path, captured("chromium-whip"), &[]).await;
        assert_eq!(reply.status, StatusCode::CREATED, "{}", reply.body);
        let session = reply.headers[header::LOCATION].to_str().unwrap();
        let ended = site.ask(Method::DELETE, session, &[], "").await;
        assert_eq!(ended.status, StatusCode::OK);
    }
}

/// A body of which the first bytes come, and no more.
fn half_sent() -> Body {
    let first = futures::stream::once(async { Ok::<_, std::convert::Infallible>("v=0\r\n") });
    Body::from_stream(first.chain(futures::stream::pending()))
}

#[tokio::test(flavor = "multi_thread")]
async fn while_one_address_holds_requests_by_bodies_that_do_not_end_others_are_answered() {
    let site = Site::start(&["--max-request-rate=10000"]).await;
    let slow = || site.post_body_from(ATTACKER, "/whip/slow", half_sent(), &[]);
    let mut held: FuturesUnordered<_> = (0..MAX_REQUESTS).map(|_| slow()).collect();
    // Those beyond its part are refused at once; the others wait for their bodies.
    let refused = held.next().await.unwrap();
    refused_for_its_share(
        &refused,
        StatusCode::TOO_MANY_REQUESTS,
        "requests that are being answered",
    );
    let published = site.post_from(GOOD, "/whip/good", captured("chromium-whip"), &[]).await;
    assert_eq!(published.status, StatusCode::CREATED, "{}", published.body);
    let late = loop {
        let reply = held.next().await.unwrap();
        if reply.status != StatusCode::TOO_MANY_REQUESTS {
            break reply;
        }
    };
    assert_eq!(late.status, StatusCode::REQUEST_TIMEOUT, "{}", late.body);
    let half = usize::try_from(MAX_REQUESTS / 2).unwrap();
    assert_eq!(held.len() + 1, half, "so many were held");
}
