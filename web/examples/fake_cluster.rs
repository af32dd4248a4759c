//! Three nodes without media, and a front door before them: to look at the page, and to work on it.
//!
//! ```text
//! cargo run --example fake_cluster            # then open http://127.0.0.1:2020/
//! cargo run --example fake_cluster -- 2021    # on another port
//! SFUMATO_WEB_PAGE_DIR=web/ui cargo run --example fake_cluster    # with the page as it is in that directory
//! ```
//! Loads and viewers move a little, and the mesh breaks and heals every now and then. Sessions open, but no media flows.

#![allow(clippy::unwrap_used, reason = "an example for developers")]

#[path = "../tests/fake_node/mod.rs"]
mod fake_node;

use fake_node::{FakeNode, mesh};
use sfu_web::limits::Limits;
use sfu_web::options::LimitOptions;
use sfu_web::page::Files;
use sfu_web::server::{self, Site};
use sfumato_admin_api::client::HttpNodeAdmin;
use sfumato_admin_api::files::TokenSource;
use sfumato_admin_api::program::log::LogFormat;
use sfumato_admin_api::program::log_fields::LogFields;
use sfumato_admin_api::types::{CarriedReport, Lane, LinkState, NodeReport, PublicationReport, TrackKind, TrackReport};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use tokio::net::TcpListener;

/// Time between two changes of the figures.
const STEP: Duration = Duration::from_secs(2);
/// One link is stale in the last of so many steps.
const BLIP_EVERY: u64 = 10;

#[tokio::main]
async fn main() {
    sfumato_admin_api::program::log::start(&"info".parse().unwrap(), LogFormat::Human, LogFields::default());
    let port = std::env::args()
        .nth(1)
        .map_or(2020, |port| port.parse().expect("the port is a number"));
    let nodes = vec![
        FakeNode::start("sfu-1").await,
        FakeNode::start("sfu-2").await,
        FakeNode::start("sfu-3").await,
    ];
    mesh(&nodes, 2);
    publish(&nodes, "studio-a", 0, &[(1, 4), (2, 7)], "H264");
    publish(&nodes, "demo", 1, &[(2, 0)], "VP8");
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], port)))
        .await
        .unwrap();
    tracing::info!("open http://127.0.0.1:{port}/");
    let seeds = vec![nodes[0].peer.admin_url.parse().unwrap()];
    let token = TokenSource::fixed("");
    let page = Files::of(std::env::var_os("SFUMATO_WEB_PAGE_DIR").map(PathBuf::from).as_deref()).unwrap();
    let limits = Limits::of(&LimitOptions::default(), listener.local_addr().unwrap(), &[]);
    let site = Site {
        limits,
        health: None,
        page,
        ca: None,
        tls: None,
    };
    let stop = async {
        let _ = tokio::signal::ctrl_c().await;
    };
    tokio::select! {
        served = server::serve(listener, site, seeds, HttpNodeAdmin::new(token.clone()), token, stop) => served.unwrap(),
        () = move_figures(&nodes) => {}
    }
}

/// Publishes a stream on the node `origin`, carried to others with so many viewers there.
fn publish(nodes: &[FakeNode], stream: &str, origin: usize, carried: &[(usize, u32)], codec: &str) {
    let track = |kind, codec: &str| TrackReport {
        kind,
        codec: codec.to_owned(),
        state: None,
        layers: Vec::new(),
    };
    nodes[origin].change(|report| {
        report.publishers += 1;
        report.viewers += 2;
        report.publications.push(PublicationReport {
            id: format!("pub-{stream}").parse().unwrap(),
            stream: stream.parse().unwrap(),
            generation: 1,
            worker: 0,
            tracks: vec![track(TrackKind::Audio, "opus"), track(TrackKind::Video, codec)],
            viewers: 2,
            subscribers: carried.iter().map(|(node, _)| nodes[*node].peer.name.clone()).collect(),
        });
    });
    for (node, viewers) in carried {
        nodes[*node].change(|report| {
            report.viewers += viewers;
            report.carried.push(CarriedReport {
                publication: format!("pub-{stream}").parse().unwrap(),
                stream: stream.parse().unwrap(),
                origin: nodes[origin].peer.name.clone(),
                viewers: *viewers,
                lane: Lane(0),
                packets_lost: 3,
                packets_received: 48_211,
            });
        });
    }
}

async fn move_figures(nodes: &[FakeNode]) {
    for step in 0_u64.. {
        for (index, node) in (0_u64..).zip(nodes) {
            let phase = step + 3 * index;
            node.change(|report| {
                report.load = 0.15 + 0.12 * (index as f64) + 0.05 * (phase as f64 * 0.7).sin();
                let rtts = report.links.iter_mut().zip(0_u64..);
                rtts.for_each(|(link, n)| link.rtt_us = Some(240 + 60 * ((phase + n) % 5)));
            });
        }
        nodes[2].change(|report| blip(report, step));
        tokio::time::sleep(STEP).await;
    }
}

fn blip(report: &mut NodeReport, step: u64) {
    let stale = step % BLIP_EVERY == BLIP_EVERY - 1;
    report.links[0].state = if stale { LinkState::Stale } else { LinkState::Fresh };
}
