//! Who gets a name on a real node, and what a better claim in Redis does to a publication.

use super::claims::{Redis, claim};
use super::offers::captured;
use super::{node, node_with};
use crate::http::problem::Problem;
use crate::names::redis_claims::{Claim, Claims, Refreshed};
use crate::names::rights::RTP_SILENCE;
use crate::negotiate::Client;
use crate::node::Node;
use crate::sessions::end_reason::EndReason;
use axum::response::IntoResponse;
use sfumato_admin_api::server::client_token::Access;
use sfumato_admin_api::types::StreamName;
use std::sync::Arc;
use std::time::{Duration, Instant};

fn demo() -> StreamName {
    "demo".parse().unwrap()
}

/// Publishes as `demo`; the session's id, or the status of the refusal.
async fn publish(node: &Arc<Node>, access: Access) -> Result<String, u16> {
    let offer = captured("chromium-whip");
    let answered = node
        .publish(&demo(), &Client::default(), offer.as_bytes(), access)
        .await;
    answered
        .map(|answered| answered.session)
        .map_err(|refusal| Problem::from(refusal).into_response().status().as_u16())
}

fn forced() -> Access {
    Access { takeover: true }
}

/// The one publication's generation.
fn generation(node: &Node) -> u64 {
    let rights = node.streams.published.rights();
    assert_eq!(rights.len(), 1);
    rights[0].right.generation
}

#[tokio::test]
async fn a_token_that_may_takes_a_name_over_and_the_one_before_is_told() {
    let (node, _inbox) = node().await;
    let first = publish(&node, Access::default()).await.unwrap();
    assert_eq!(publish(&node, Access::default()).await, Err(409));
    let second = publish(&node, forced()).await.unwrap();
    assert_eq!(generation(&node), 2);
    assert!(node.sessions.get(&first).is_none());
    assert_eq!(node.sessions.ended_recently(&first), Some(EndReason::NameLost));
    assert!(node.sessions.get(&second).is_some());
}

#[tokio::test]
async fn a_publication_without_rtp_keeps_its_name_for_three_seconds_and_no_longer() {
    let (node, _inbox) = node().await;
    publish(&node, Access::default()).await.unwrap();
    let began = Instant::now();
    let deadline = began + RTP_SILENCE + Duration::from_secs(5);
    while publish(&node, Access::default()).await == Err(409) {
        assert!(Instant::now() < deadline, "the name was not given away");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(began.elapsed() >= RTP_SILENCE - Duration::from_millis(100));
    assert_eq!(generation(&node), 2);
}

#[tokio::test]
async fn of_many_publishers_at_once_one_gets_the_name() {
    let (node, _inbox) = node().await;
    let all = futures::future::join_all((0..8).map(|_| publish(&node, Access::default()))).await;
    assert_eq!(all.iter().filter(|one| one.is_ok()).count(), 1, "{all:?}");
    assert_eq!(all.iter().filter(|one| **one == Err(409)).count(), 7, "{all:?}");
}

/// A node with Redis that publishes `demo`, and Redis as another client sees it.
async fn published_with(redis: &Redis) -> (Arc<Node>, crate::node::Inbox, String, Claims) {
    let (node, inbox) = node_with(&["--cluster=test", &format!("--redis-url={}", redis.url())]).await;
    let session = publish(&node, Access::default()).await.unwrap();
    let others = Claims::new((Some(&redis.url()), None), "test").unwrap();
    (node, inbox, session, others)
}

#[tokio::test]
async fn a_better_claim_that_an_earlier_life_left_behind_does_not_end_what_plays() {
    let redis = Redis::start();
    let (node, _inbox, session, others) = published_with(&redis).await;
    let left = Claim {
        node: node.me.name.clone(),
        ..claim("left-behind", 5)
    };
    assert_eq!(others.refresh(&demo(), &left).await, Refreshed::Ours);
    node.refresh_claims().await;
    assert!(node.sessions.get(&session).is_some());
    assert_eq!(generation(&node), 6);
    assert!(matches!(others.refresh(&demo(), &left).await, Refreshed::Lost(holder) if holder.generation == 6));
}

#[tokio::test]
async fn a_better_claim_of_somebody_who_may_live_ends_the_publication_and_says_why() {
    let redis = Redis::start();
    let (node, _inbox, session, others) = published_with(&redis).await;
    let better = Claim {
        node: "sfu-9".parse().unwrap(),
        ..claim("better", 2)
    };
    assert_eq!(others.refresh(&demo(), &better).await, Refreshed::Ours);
    node.refresh_claims().await;
    assert_eq!(node.sessions.ended_recently(&session), Some(EndReason::NameLost));
    assert!(node.streams.published.count() == 0);
    assert_eq!(
        others.refresh(&demo(), &better).await,
        Refreshed::Ours,
        "the winner's claim stands"
    );
}
