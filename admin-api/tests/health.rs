//! Health checks while everything else is full, stuck, or out of descriptors. One test: it changes the limits of the process.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use axum::Router;
use axum::routing::get;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use sfumato_admin_api::server::health::{self, Heartbeat, livez};
use sfumato_admin_api::server::serving::Bounds;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use support::{PATIENCE, Site, hello};
use tokio::net::TcpListener;

/// Asks while this thread, and with it the main runtime of the test, does nothing else.
fn ask(address: SocketAddr) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
        .write_all(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[tokio::test]
async fn livez_answers_while_hundreds_of_idle_connections_fill_another_listener_and_while_there_is_no_descriptor_left()
{
    let heartbeat = Heartbeat::start();
    let app = Router::new().route("/livez", get(move || std::future::ready(livez(&heartbeat))));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let health_address = listener.local_addr().unwrap();
    let _health = health::start(listener, app).unwrap();

    let full = Site::bounded(hello(), Bounds::of(300)).await;
    let mut idle = Vec::new();
    for _ in 0..400 {
        idle.push(full.connect().await);
    }
    assert!(
        ask(health_address).starts_with("HTTP/1.1 200"),
        "the other listener is full"
    );

    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    let opened = std::fs::read_dir("/proc/self/fd").unwrap().count() as u64;
    setrlimit(Resource::RLIMIT_NOFILE, opened + 50, hard).unwrap();
    let mut files: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok())
        .take(1_000)
        .collect();
    assert!(files.len() < 1_000, "the limit was reached");
    // The client takes the one that becomes free; nothing is left for the server.
    for _ in 0..3 {
        drop(files.pop());
        let answer = ask(health_address);
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        files.extend(std::iter::from_fn(|| File::open("/dev/null").ok()));
    }
}
