//! Tests of the node as a whole, on real mediasoup workers and a real Redis, without HTTP. Tests over HTTP, with browsers
//! and with several nodes, are in `test/e2e`.

mod admin;
mod admin_roles;
mod announced;
mod claims;
mod clients;
mod codecs;
mod conformance;
mod drain;
mod extensions;
mod front_doors;
#[path = "../../../admin-api/tests/support/fuzz.rs"]
pub mod fuzz;
mod fuzz_descriptions;
pub mod habits;
mod hostile;
mod limits;
mod links;
mod media_tcp;
mod metrics;
mod names;
mod offers;
mod quirks;
mod redis_refusals;
mod rejected_sections;
mod sessions;
mod shares;
mod whep;
mod whip;
mod worst;

use crate::node::{Inbox, Node};
use crate::options::Options;
use clap::Parser;
use sfumato_admin_api::client::HttpNodeAdmin;
use sfumato_admin_api::files::TokenSource;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

/// Ports of a node of its own for each test: one for clients, twenty for pipes.
static NEXT_PORT: AtomicU16 = AtomicU16::new(27_300);

/// A node with one worker; its listeners are not opened.
async fn node() -> (Arc<Node>, Inbox) {
    node_with(&[]).await
}

/// The same with more options.
async fn node_with(more: &[&str]) -> (Arc<Node>, Inbox) {
    // Another run of these tests, or a leftover of one, may have a range: the next one does as well.
    let port = std::iter::repeat_with(|| NEXT_PORT.fetch_add(21, Ordering::Relaxed))
        .find(|port| std::net::UdpSocket::bind(("127.0.0.1", *port)).is_ok())
        .unwrap();
    let ports = [
        format!("--media-port={port}"),
        format!("--pipe-ports={}-{}", port + 1, port + 20),
    ];
    let mut all = vec!["sfu-node", "--workers=1", "--insecure-admin", &ports[0]];
    // A test may bring a longer range of its own.
    if !more.iter().any(|option| option.starts_with("--pipe-ports")) {
        all.push(&ports[1]);
    }
    let options = Options::parse_from(all.iter().chain(more));
    let (node, inbox) = Node::start(options, HttpNodeAdmin::new(TokenSource::fixed("")))
        .await
        .unwrap();
    node.state.set_started();
    (node, inbox)
}
