//! How a front door ends when a task fails that it lives by: with the task's name, and not by going on without it.

#![allow(clippy::unwrap_used, reason = "tests")]

use sfu_web::limits::Limits;
use sfu_web::options::LimitOptions;
use sfu_web::page::Files;
use sfu_web::polling::{NoReport, Reports};
use sfu_web::server::{self, Site};
use sfumato_admin_api::files::TokenSource;
use sfumato_admin_api::types::{NodeReport, Observer, Observing};
use std::time::Duration;
use tokio::net::TcpListener;

/// Asking a node ends in a panic.
#[derive(Clone)]
struct Broken;

impl Reports for Broken {
    #[allow(clippy::panic, reason = "it is the fault that is tested")]
    async fn report(&self, _: &str, _: Option<u64>, _: Duration) -> Result<NodeReport, NoReport> {
        panic!("a test fault")
    }

    async fn observer(&self, _: &str, _: &Observer) -> Result<Observing, String> {
        Err("not asked here".to_owned())
    }
}

#[tokio::test]
async fn a_front_door_that_cannot_ask_nodes_any_more_ends_and_says_so() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let site = Site {
        limits: Limits::of(&LimitOptions::default(), listener.local_addr().unwrap(), &[]),
        health: None,
        page: Files::default(),
        ca: None,
        tls: None,
    };
    // Nobody listens there, and nobody is asked.
    let seeds = vec!["http://127.0.0.1:1".parse().unwrap()];
    let serving = server::serve(
        listener,
        site,
        seeds,
        Broken,
        TokenSource::fixed("t"),
        std::future::pending(),
    );
    // The seeds are looked at every five seconds, and each time what has ended is found.
    let ended = tokio::time::timeout(Duration::from_secs(20), serving).await.unwrap();
    let why = ended.unwrap_err().to_string();
    assert!(why.contains("polling nodes") && why.contains("a test fault"), "{why}");
}
