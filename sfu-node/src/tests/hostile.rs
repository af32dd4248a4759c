//! Nothing that a client or a peer can send ends a worker: mediasoup asserts end the whole process, so a test that is still
//! running at its end has proved it.

use super::clients::{SDP, SDPFRAG, Site, answer_to, fragment};
use super::node;
use super::offers::{CAPTURED, captured, damage, hurt};
use crate::negotiate::{Client, Patched};
use crate::sessions::end_reason::EndReason;
use crate::sessions::ice::Condition;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use serde_json::json;
use sfumato_admin_api::server::client_token::Access;
use sfumato_admin_api::types::{LinkEnd, Links, NodeName, PutLinks, StreamName};
use std::sync::Arc;

/// Damaged offers that are sent to a real worker. Enough to hit every line of every captured offer several times.
const DAMAGED: usize = 1_500;
/// Damaged answers and fragments, likewise.
const DAMAGED_ANSWERS: usize = 400;

fn browser() -> Client {
    Client {
        user_agent: super::clients::BROWSER.1.to_owned(),
        ..Client::default()
    }
}

async fn objects(node: &crate::node::Node) -> (usize, usize, usize) {
    let dump = node.workers.get(0).main.dump().await.unwrap();
    (
        dump.transport_ids.len(),
        dump.map_producer_id_consumer_ids.len(),
        dump.map_consumer_id_producer_id.len(),
    )
}

async fn settles_at(node: &crate::node::Node, wanted: (usize, usize, usize)) {
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(10);
    loop {
        let now = objects(node).await;
        if now == wanted {
            return;
        }
        assert!(
            tokio::time::Instant::now() < deadline,
            "objects are {now:?}, not {wanted:?}"
        );
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_damaged_offer_ends_a_worker_or_leaks_an_object() {
    let (node, _inbox) = node().await;
    let before = objects(&node).await;
    let stream: StreamName = "steady".parse().unwrap();
    let steady = node
        .publish(
            &stream,
            &browser(),
            captured("chromium-whip").as_bytes(),
            Access::default(),
        )
        .await
        .unwrap();
    let mut runner = TestRunner::deterministic();
    let strategy = proptest::collection::vec(damage(), 1..4);
    let mut accepted = 0;
    for round in 0..DAMAGED {
        let damages = strategy.new_tree(&mut runner).unwrap().current();
        let (name, text) = CAPTURED[round % CAPTURED.len()];
        let body = hurt(text, &damages);
        let other: StreamName = format!("damaged-{round}").parse().unwrap();
        let answered = if name.contains("whip") {
            node.publish(&other, &browser(), &body, Access::default()).await
        } else {
            node.play(&stream, &browser(), &body).await
        };
        if let Ok(answered) = answered {
            accepted += 1;
            drop(node.offers.take(&answered.session));
            node.end_session(&answered.session, EndReason::ClientAsked).await;
        }
    }
    assert!(
        accepted > 100,
        "only {accepted} damaged offers were accepted: the damage is too great to prove much"
    );
    node.end_session(&steady.session, EndReason::ClientAsked).await;
    // Profile routers and their pipes are on routers of their own and on the main one; the latter go when idle.
    let (_, producers, consumers) = before;
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(10);
    while {
        let now = objects(&node).await;
        (now.1, now.2) != (producers, consumers)
    } {
        assert!(
            tokio::time::Instant::now() < deadline,
            "{:?} left, {before:?} at first",
            objects(&node).await
        );
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert!(node.state.fatal.borrow().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn no_damaged_answer_or_fragment_ends_a_worker_or_leaks_an_object() {
    let (node, _inbox) = node().await;
    let before = objects(&node).await;
    let stream: StreamName = "steady".parse().unwrap();
    let body = captured("chromium-whip").as_bytes();
    let steady = node
        .publish(&stream, &browser(), body, Access::default())
        .await
        .unwrap();
    let mut runner = TestRunner::deterministic();
    let strategy = proptest::collection::vec(damage(), 1..4);
    let (mut answered, mut restarted) = (0, 0);
    for round in 0..DAMAGED_ANSWERS {
        let mut hurt = |text: &str| hurt(text, &strategy.new_tree(&mut runner).unwrap().current());
        let offer = node.play(&stream, &browser(), b"").await.unwrap();
        let answer = hurt(&answer_to(&offer.sdp));
        let taken = node
            .take_answer(&offer.session, &stream, &answer, &Condition::Missing)
            .await;
        answered += usize::from(taken.is_ok());
        if let Some(session) = node.sessions.get(&offer.session) {
            let fragment = hurt(&fragment(&format!("round{round}"), "0123456789abcdef01234567"));
            let patched = node.patch_ice(&session, &fragment, &Condition::Any).await;
            restarted += usize::from(matches!(patched, Ok(Patched::Restarted { .. })));
        }
        drop(node.offers.take(&offer.session));
        node.end_session(&offer.session, EndReason::ClientAsked).await;
    }
    assert!(
        answered > DAMAGED_ANSWERS / 20,
        "only {answered} damaged answers were taken"
    );
    assert!(restarted > 0, "no damaged fragment restarted ICE");
    node.end_session(&steady.session, EndReason::ClientAsked).await;
    settles_at(&node, before).await;
    assert!(node.state.fatal.borrow().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_with_the_payload_types_of_the_main_router_leaves_nothing_behind() {
    let (node, _inbox) = node().await;
    let before = objects(&node).await;
    let stream: StreamName = "demo".parse().unwrap();
    let publisher = node
        .publish(
            &stream,
            &browser(),
            captured("chromium-whip").as_bytes(),
            Access::default(),
        )
        .await
        .unwrap();
    for _ in 0..20 {
        let viewer = node
            .play(&stream, &browser(), captured("chromium-whep").as_bytes())
            .await
            .unwrap();
        node.end_session(&viewer.session, EndReason::ClientAsked).await;
    }
    node.end_session(&publisher.session, EndReason::ClientAsked).await;
    settles_at(&node, before).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_name_is_refused_and_is_free_again_when_its_publisher_has_gone() {
    let (node, _inbox) = node().await;
    let stream: StreamName = "mine".parse().unwrap();
    let body = captured("firefox-whip").as_bytes();
    let first = node
        .publish(&stream, &browser(), body, Access::default())
        .await
        .unwrap();
    assert!(
        node.publish(&stream, &browser(), body, Access::default())
            .await
            .is_err()
    );
    node.end_session(&first.session, EndReason::ClientAsked).await;
    assert!(node.publish(&stream, &browser(), body, Access::default()).await.is_ok());
}

fn put(node: &crate::node::Node, end: &serde_json::Value, remote: &serde_json::Value) -> PutLinks {
    serde_json::from_value(json!({
        "incarnation": node.me.incarnation,
        "peer": {"name": "sfu-9", "incarnation": "0.other", "adminUrl": "http://127.0.0.1:9", "clientUrl": "http://127.0.0.1:9"},
        "lanes": [{"lane": 0, "end": end, "remote": remote}],
    }))
    .unwrap()
}

async fn ask(node: &Arc<crate::node::Node>, request: &PutLinks) -> Result<Links, crate::node::LinkError> {
    let peer: NodeName = "sfu-9".parse().unwrap();
    node.put_links(&peer, request).await
}

#[tokio::test(flavor = "multi_thread")]
async fn no_wrong_end_of_a_link_ends_a_worker() {
    let (node, _inbox) = node().await;
    let good = ask(&node, &put(&node, &json!({"action": "ensure"}), &json!(null)))
        .await
        .unwrap()
        .links
        .remove(0);
    let of = |change: fn(&mut serde_json::Value)| {
        let mut remote = serde_json::to_value(LinkEnd {
            id: "theirs".parse().unwrap(),
            ..good.clone()
        })
        .unwrap();
        change(&mut remote);
        remote
    };
    for remote in [
        of(|r| r["srtp"] = json!(null)),
        of(|r| r["srtp"] = json!({"cryptoSuite": "AEAD_AES_256_GCM", "keyBase64": "short"})),
        of(|r| r["srtp"] = json!({"cryptoSuite": "AES_CM_128_HMAC_SHA1_80", "keyBase64": "AAAA"})),
        of(|r| r["srtp"] = json!({"cryptoSuite": "nonsense"})),
        of(|r| r["beat"] = json!({})),
        of(|r| r["beat"] = json!([1, 2])),
        of(|r| r["beat"]["codecs"] = json!([])),
        of(|r| r["beat"]["encodings"] = json!([])),
        of(|r| r["beat"]["codecs"][0]["payloadType"] = json!(300)),
        of(|r| r["beat"]["codecs"][0]["mimeType"] = json!("audio/nonsense")),
    ] {
        let end = match current(&node) {
            Some(id) => json!({"action": "replace", "link": id}),
            None => json!({"action": "ensure"}),
        };
        let request = put(&node, &end, &remote);
        // Refused or accepted: what matters is that the node goes on.
        let _ = ask(&node, &request).await;
        node.workers.get(0).main.dump().await.unwrap();
    }
    assert!(node.state.fatal.borrow().is_none());
    // The lane can still be made anew.
    let request = put(&node, &json!({"action": "ensure"}), &json!(null));
    assert!(ask(&node, &request).await.is_ok());
}

fn current(node: &crate::node::Node) -> Option<String> {
    node.links.all().first().map(|link| link.id.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_is_made_once_however_often_it_is_asked_for_and_closed_by_its_own_id_only() {
    let (node, _inbox) = node().await;
    let ensure = put(&node, &json!({"action": "ensure"}), &json!(null));
    let first = ask(&node, &ensure).await.unwrap();
    assert_eq!(ask(&node, &ensure).await.unwrap(), first);
    let keep_other = put(&node, &json!({"action": "keep", "link": "another"}), &json!(null));
    assert!(ask(&node, &keep_other).await.is_err());
    let replace = put(
        &node,
        &json!({"action": "replace", "link": first.links[0].id}),
        &json!(null),
    );
    let second = ask(&node, &replace).await.unwrap();
    assert_ne!(second.links[0].id, first.links[0].id);
    assert!(ask(&node, &replace).await.is_err(), "a second leader saw what is gone");
    assert_eq!(node.links.all().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_name_the_stream_and_the_session_are_judged_before_anything_that_was_sent_is_read() {
    let site = Site::start(&["--max-viewers-per-stream=1"]).await;
    let publisher = site.open("/whip/demo", "chromium-whip").await;
    let garbage = ["nonsense", &"m=".repeat(30_000)];
    for garbage in garbage {
        site.post("/whip/demo", garbage).await.refused(409, "stream");
    }
    for garbage in garbage {
        site.post("/whep/nobody", garbage).await.refused(409, "stream");
        site.patch("/whip/demo/unknown", &[SDPFRAG], garbage)
            .await
            .refused(404, "session");
        let stale = [SDPFRAG, ("if-match", "\"another\"")];
        site.patch(&publisher.location(), &stale, garbage)
            .await
            .refused(412, "If-Match");
        let offer = site.post("/whep/demo", "").await;
        let stale = [SDP, ("if-match", "\"another\"")];
        site.patch(&offer.location(), &stale, garbage)
            .await
            .refused(412, "If-Match");
        // The offer's viewer is one already.
        site.post("/whep/demo", garbage).await.refused(503, "");
        drop(site.node.offers.take(offer.location().rsplit('/').next().unwrap()));
        // And it is read where all of these are right.
        let refused = site.post("/whep/demo", garbage).await;
        assert!(refused.status == 400 || refused.status == 422, "{refused:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_offer_that_is_refused_takes_the_name_from_nobody() {
    let site = Site::start(&[]).await;
    site.post("/whip/mine", "nonsense").await.refused(400, "body");
    assert_eq!(site.node.names.claiming.count(), 0);
    site.open("/whip/mine", "chromium-whip").await;
}
