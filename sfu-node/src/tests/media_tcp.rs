//! Strangers at the TCP side of the media ports, on a real worker.

use super::node_with;
use crate::limits::media_tcp::{STRANGER_LIFE, Strangers};
use sfumato_admin_api::server::client_address::Networks;
use std::io::ErrorKind;
use std::net::TcpStream;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_nonblocking(true).unwrap();
    stream
}

/// Whether the node has ended it.
fn has_ended(stream: &TcpStream) -> bool {
    match stream.peek(&mut [0]) {
        Ok(0) => true,
        Ok(_) => panic!("nobody has asked anything"),
        Err(error) => error.kind() != ErrorKind::WouldBlock,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_say_nothing_end_and_the_worker_goes_on() {
    let (node, _inbox) = node_with(&[]).await;
    let silent: Vec<TcpStream> = (0..11).map(|_| connect(node.options.media_port)).collect();
    let began = Instant::now();
    node.end_strangers(began).await;
    assert!(!silent.iter().any(has_ended), "they have some time");
    let deadline = began + Duration::from_secs(10);
    let mut now = began;
    // The worker accepts them one after the other, and none is known before that.
    while !silent.iter().all(has_ended) {
        assert!(Instant::now() < deadline, "some are still open");
        now += STRANGER_LIFE;
        node.end_strangers(now).await;
    }
    assert_eq!(node.limits.strangers_ended.load(Ordering::Relaxed), 11);
    let again = connect(node.options.media_port);
    node.end_strangers(now).await;
    assert!(!has_ended(&again));
    assert!(node.objects().await.is_ok(), "the worker answers");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_more_connections_than_may_be_the_oldest_end() {
    let (node, _inbox) = node_with(&[]).await;
    // A thousand connections would take ports from other tests.
    let most = 20;
    *node.limits.strangers.lock() = Strangers::new(most, Networks::default());
    let oldest = connect(node.options.media_port);
    let began = Instant::now();
    // The worker accepts a connection a moment after the client has it.
    while node.limits.strangers.lock().known() == 0 {
        assert!(began.elapsed() < Duration::from_secs(10), "it is not accepted");
        node.end_strangers(began).await;
    }
    let others: Vec<TcpStream> = (0..most).map(|_| connect(node.options.media_port)).collect();
    let deadline = began + Duration::from_secs(10);
    // The worker accepts them one after the other.
    while !has_ended(&oldest) {
        assert!(Instant::now() < deadline, "it is still open");
        node.end_strangers(began + Duration::from_secs(1)).await;
    }
    assert_eq!(node.limits.strangers_ended.load(Ordering::Relaxed), 1);
    drop(others);
}
