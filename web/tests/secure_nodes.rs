//! Nodes whose listener for front doors has TLS, as on Kubernetes: what a client sends goes there or nowhere.

#![allow(clippy::unwrap_used, reason = "tests")]

mod authority;
mod door;
mod fake_node;

use authority::Authority;
use axum::body::Body;
use axum::http::{Method, StatusCode};
use axum::response::IntoResponse as _;
use door::{Door, header, refused};
use fake_node::{Answer, FakeNode, Seen, as_a_node_does, clients, mesh};
use parking_lot::Mutex;
use sfumato_admin_api::files::ADMIN_SERVER_NAME;
use sfumato_admin_api::server::forwarded;
use sfumato_admin_api::server::serving::{Bounds, Serving, serve};
use sfumato_admin_api::server::tls::{KeyFiles, Tls};
use std::sync::Arc;
use tempfile::TempDir;
use tokio::net::TcpListener;

/// A listener for front doors.
struct Secure {
    seen: Arc<Mutex<Vec<Seen>>>,
    _files: TempDir,
}

impl Secure {
    /// Gives a node one with this certificate; its report says so.
    async fn of(node: &FakeNode, (folder, files): (TempDir, KeyFiles), answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        let seen = Arc::<Mutex<Vec<Seen>>>::default();
        let (tls, app) = (Tls::start(files).unwrap(), clients(answer, Arc::clone(&seen)));
        let serving = Serving::new("test", Bounds::of(100));
        tokio::spawn(serve(listener, tls, app, serving, std::future::pending()));
        node.change(|report| report.secure_client_url = Some(url));
        Self { seen, _files: folder }
    }
}

#[tokio::test]
async fn what_clients_send_goes_to_the_listener_for_front_doors_and_nothing_of_it_in_clear() {
    let authority = Authority::new();
    let nodes = [FakeNode::start("sfu-1").await];
    let answer: Answer = Arc::new(|seen| {
        if seen.uri.path().contains("/sse/") {
            let events = futures::stream::iter(["event: active\ndata: {}\n\n"].map(Ok::<_, std::convert::Infallible>));
            return ([("content-type", "text/event-stream")], Body::from_stream(events)).into_response();
        }
        as_a_node_does(seen)
    });
    let secure = Secure::of(&nodes[0], authority.certify(ADMIN_SERVER_NAME, 2400), answer).await;
    let door = Door::trusting(&nodes, authority.trusted()).await;

    let offer = door
        .client
        .post(format!("{}/whip/demo", door.base))
        .bearer_auth("secret");
    let answer = offer.body("v=0\r\noffer").send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::CREATED);
    let session = header(&answer, "location").to_owned();
    assert_eq!(session, "/nodes/sfu-1/whip/demo/5e55-10n");
    let patched = door.send(Method::PATCH, &session, "a=ice-ufrag:x").await;
    assert_eq!(patched.status(), StatusCode::NO_CONTENT);
    let events = door.get("/nodes/sfu-1/whep/demo/1/sse/2").await;
    assert_eq!(header(&events, "content-type"), "text/event-stream");
    assert_eq!(events.text().await.unwrap(), "event: active\ndata: {}\n\n");
    assert_eq!(door.send(Method::DELETE, &session, "").await.status(), StatusCode::OK);

    assert!(nodes[0].requests().is_empty(), "the listener in clear was asked");
    let seen = secure.seen.lock();
    let methods: Vec<&str> = seen.iter().map(|request| request.method.as_str()).collect();
    assert_eq!(methods, ["POST", "PATCH", "GET", "DELETE"]);
    assert_eq!(seen[0].headers["authorization"], "Bearer secret");
    assert_eq!(seen[0].headers["x-forwarded-for"], "127.0.0.1");
    assert!(forwarded::is_proven(&seen[0].headers, &["t"]));
}

#[tokio::test]
async fn a_node_whose_certificate_is_refused_gets_nothing_and_another_takes_its_clients() {
    let (authority, other) = (Authority::new(), Authority::new());
    for (what, certificate) in [
        ("of another CA", other.certify(ADMIN_SERVER_NAME, 2400)),
        ("for another name", authority.certify("live-0.example", 2400)),
        ("expired", authority.certify(ADMIN_SERVER_NAME, 2001)),
    ] {
        let nodes = [FakeNode::start("sfu-1").await, FakeNode::start("sfu-2").await];
        mesh(&nodes, 1);
        nodes[1].change(|report| (report.load, report.publishers) = (0.9, 9));
        let bad = Secure::of(&nodes[0], certificate, Arc::new(as_a_node_does)).await;
        let certificate = authority.certify(ADMIN_SERVER_NAME, 2400);
        let good = Secure::of(&nodes[1], certificate, Arc::new(as_a_node_does)).await;
        let door = Door::trusting(&nodes, authority.trusted()).await;

        for path in ["/whep/demo", "/whip/demo"] {
            let answer = door.offer(path).await;
            assert_eq!(answer.status(), StatusCode::CREATED, "{what}");
            assert!(header(&answer, "location").starts_with("/nodes/sfu-2/"), "{what}");
        }
        let forced = door.offer("/whip/demo?node=sfu-1").await;
        assert_eq!(forced.status(), StatusCode::BAD_GATEWAY, "{what}");
        let detail = forced.text().await.unwrap();
        assert!(
            detail.contains("node sfu-1") && detail.contains("certificate"),
            "{what}: {detail}"
        );
        let ended = door.send(Method::DELETE, "/nodes/sfu-1/whep/demo/1", "").await;
        assert_eq!(refused(ended, StatusCode::BAD_GATEWAY).await, "node", "{what}");

        assert!(bad.seen.lock().is_empty(), "{what}");
        assert_eq!(good.seen.lock().len(), 2, "{what}");
        for node in &nodes {
            assert!(node.requests().is_empty(), "{what}: fell back to a listener in clear");
        }
    }
}

#[tokio::test]
async fn nodes_of_the_release_before_are_served_beside_those_of_this_one() {
    let authority = Authority::new();
    let nodes = [FakeNode::start("sfu-1").await, FakeNode::start("sfu-2").await];
    mesh(&nodes, 1);
    let certificate = authority.certify(ADMIN_SERVER_NAME, 2400);
    let secure = Secure::of(&nodes[0], certificate, Arc::new(as_a_node_does)).await;
    let door = Door::trusting(&nodes, authority.trusted()).await;
    for node in ["sfu-1", "sfu-2"] {
        let answer = door.offer(&format!("/whip/demo?node={node}")).await;
        assert_eq!(answer.status(), StatusCode::CREATED, "{node}");
        assert_eq!(header(&answer, "location"), format!("/nodes/{node}/whip/demo/5e55-10n"));
    }
    assert_eq!(secure.seen.lock().len(), 1);
    assert_eq!((nodes[0].requests().len(), nodes[1].requests().len()), (0, 1));
}

#[tokio::test]
async fn a_door_without_a_ca_trusts_no_certificate_and_says_so() {
    let authority = Authority::new();
    let nodes = [FakeNode::start("sfu-1").await];
    let certificate = authority.certify(ADMIN_SERVER_NAME, 2400);
    let secure = Secure::of(&nodes[0], certificate, Arc::new(as_a_node_does)).await;
    let door = Door::before(&nodes).await;
    assert_eq!(
        refused(door.offer("/whip/demo").await, StatusCode::BAD_GATEWAY).await,
        "node"
    );
    assert!(secure.seen.lock().is_empty() && nodes[0].requests().is_empty());
}

#[tokio::test]
async fn a_node_of_a_cluster_with_tls_that_only_its_peer_has_named_is_sent_nothing_until_it_answers_itself() {
    let nodes = [FakeNode::start("sfu-1").await];
    let named = FakeNode::start("sfu-2").await;
    let mut peer = named.peer.clone();
    peer.admin_url = "https://127.0.0.1:9".to_owned();
    nodes[0].change(|report| report.peers.push(peer));
    let door = Door::before(&nodes).await;
    door.until(|json| json["nodes"].as_array().unwrap().len() == 2).await;
    let answer = door.offer("/whip/demo?node=sfu-2").await;
    assert!(!header(&answer, "retry-after").is_empty());
    assert_eq!(refused(answer, StatusCode::SERVICE_UNAVAILABLE).await, "node");
    let ended = door.send(Method::DELETE, "/nodes/sfu-2/whep/demo/1", "").await;
    assert_eq!(refused(ended, StatusCode::SERVICE_UNAVAILABLE).await, "node");
    assert!(named.requests().is_empty());
}
