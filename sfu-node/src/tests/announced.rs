//! Addresses that clients are told instead of those that the node listens on.

use super::clients::{Reply, SDPFRAG, Site, restart};
use super::offers::captured;
use axum::body::Body;
use axum::http::Request;
use sfumato_admin_api::server::health::Heartbeat;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::NamedTempFile;
use tower::ServiceExt;

/// Where clients are sent: protocol, address and port of each candidate.
fn told(reply: &Reply) -> Vec<String> {
    let candidates = reply.values("candidate").into_iter();
    let words = |line: &str| {
        let words: Vec<&str> = line.split(' ').collect();
        format!("{} {}:{}", words[2], words[4], words[5])
    };
    candidates.map(words).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_are_told_the_announced_addresses_and_no_other() {
    let site = Site::start(&["--media-announced=203.0.113.7:30100,sfu-0.example.net"]).await;
    let port = site.node.options.media_port;
    let session = site.open("/whip/demo", "chromium-whip").await;
    let expected = [
        "udp 203.0.113.7:30100".to_owned(),
        format!("udp sfu-0.example.net:{port}"),
        "tcp 203.0.113.7:30100".to_owned(),
        format!("tcp sfu-0.example.net:{port}"),
    ];
    // Once in each m-section.
    assert_eq!(told(&session)[..4], expected);
    assert!(!session.body.contains("127.0.0.1 "), "{}", session.body);
}

/// Waits until it holds.
async fn eventually(mut holds: impl AsyncFnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(30);
    while !holds().await {
        assert!(Instant::now() < end, "not within 30 s");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_takes_sessions_when_its_addresses_are_known_and_a_restart_brings_new_ones() {
    let file = NamedTempFile::new().unwrap();
    let site = Site::start(&[&format!("--media-announced-file={}", file.path().display())]).await;
    let reply = site.post("/whip/demo", captured("chromium-whip")).await;
    reply.refused(503, "");
    assert!(reply.body.contains("at which addresses"), "{}", reply.body);
    let health = crate::http::health::router(Arc::clone(&site.node), Heartbeat::start());
    let probe = Request::get("/readyz").body(Body::empty()).unwrap();
    assert_eq!(health.oneshot(probe).await.unwrap().status(), 503);

    std::fs::write(file.path(), "203.0.113.7:30100").unwrap();
    eventually(async || {
        site.node.look_for_addresses();
        site.node.state.is_ready()
    })
    .await;
    let session = site.open("/whip/demo", "chromium-whip").await;
    assert_eq!(told(&session)[0], "udp 203.0.113.7:30100");

    let mut restarts = 0;
    let mut restarted = async || {
        restarts += 1;
        let credentials = restart().replace("fresh", &format!("fresh{restarts}"));
        let reply = site
            .patch(&session.location(), &[SDPFRAG, ("if-match", "*")], &credentials)
            .await;
        told(&reply).remove(0)
    };
    assert_eq!(restarted().await, "udp 203.0.113.7:30100");
    std::fs::write(file.path(), "203.0.113.8:30200").unwrap();
    eventually(async || restarted().await == "udp 203.0.113.8:30200").await;
    assert_eq!(site.node.streams.published.count(), 1, "the stream goes on");
}
