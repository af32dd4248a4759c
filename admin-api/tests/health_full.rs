//! Health checks while others hold all connections of the health listener, over real sockets.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use axum::Router;
use axum::routing::get;
use sfumato_admin_api::server::health::{self, HealthThread};
use std::net::{IpAddr, SocketAddr};
use support::{PATIENCE, connect_from, rest};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

/// More addresses than the listener has connections, besides the one that a kubelet has.
const ADDRESSES: u8 = 100;
const METRICS: &str = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";
const KUBELET: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 0, 1));

/// The receiver is told of each request for metrics, which is never answered.
async fn listener() -> (SocketAddr, HealthThread, mpsc::UnboundedReceiver<()>) {
    let (asked, begun) = mpsc::unbounded_channel();
    let metrics = move || {
        let _ = asked.send(());
        std::future::pending::<()>()
    };
    let app = Router::new()
        .route("/livez", get(async || "ok"))
        .route("/metrics", get(metrics));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (address, health::start(listener, app).unwrap(), begun)
}

async fn probe(address: SocketAddr) {
    let mut stream = connect_from(KUBELET, address).await;
    let request = b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let answer = rest(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "`{answer}`");
}

#[tokio::test]
async fn a_probe_is_answered_while_more_addresses_than_there_are_places_are_silent_half_sent_or_wait_for_an_answer() {
    let (address, _health, mut begun) = listener().await;
    let mut held = Vec::new();
    for n in 0..ADDRESSES {
        for said in ["", "GET /livez HTTP/1.1\r\nHost: loc", METRICS] {
            let mut stream = connect_from([127, 0, 0, n + 2].into(), address).await;
            stream.write_all(said.as_bytes()).await.unwrap();
            held.push(stream);
            if said == METRICS {
                let asked = tokio::time::timeout(PATIENCE, begun.recv()).await;
                asked.expect("whoever asks something gets a place as well");
            }
            probe(address).await;
        }
    }
}

#[tokio::test]
async fn a_probe_is_answered_while_one_address_opens_connections_as_fast_as_it_can() {
    let (address, _health, _begun) = listener().await;
    let flood = tokio::spawn(async move {
        let mut held = std::collections::VecDeque::new();
        loop {
            held.push_back(connect_from([127, 0, 0, 2].into(), address).await);
            if held.len() > 200 {
                held.pop_front();
            }
        }
    });
    for _ in 0..200 {
        probe(address).await;
    }
    flood.abort();
}
