//! Stands in for `sfu-node` and `sfu-web` in the tests of `sfu-operator local`: same options, same health and admin
//! listeners, no media. Links are fresh while the peer's admin port takes connections. Which of the two it is follows
//! from its options.
//!
//! `FAKE_STUBBORN=sfu-2` makes that node ignore SIGTERM and SIGINT; `FAKE_DIES=sfu-2` makes it fail at once;
//! `FAKE_BUSY=sfu-2` gives it a publisher, who leaves when the deadline of a drain is over.

use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use sfumato_admin_api::server::link_rules::{Decision, Existing, decide};
use sfumato_admin_api::types::{
    API_VERSION, CloseLinks, DrainRequest, DrainState, Incarnation, LinkEnd, LinkId, LinkReport, LinkState, Links,
    NodeName, NodeReport, Peer, PutLinks,
};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let options = options();
    let name = options.get("name").cloned().unwrap_or_else(|| "web".to_owned());
    let chosen = |variable: &str| std::env::var(variable).is_ok_and(|node| node == name);
    if chosen("FAKE_DIES") {
        eprintln!("{name} cannot go on");
        std::process::exit(3);
    }
    eprintln!("{name} says hello");
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    let mut interrupt = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::interrupt())?;
    let told = async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    let serving = async {
        if options.contains_key("name") {
            node(&options).await
        } else {
            web(&options).await
        }
    };
    tokio::select! {
        outcome = serving => outcome,
        () = told => {
            if chosen("FAKE_STUBBORN") {
                eprintln!("{name} will not end");
                std::future::pending::<()>().await;
            }
            Ok(())
        }
    }
}

fn options() -> BTreeMap<String, String> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    arguments
        .chunks(2)
        .filter_map(|pair| Some((pair[0].strip_prefix("--")?.to_owned(), pair.get(1)?.clone())))
        .collect()
}

async fn web(options: &BTreeMap<String, String>) -> Result<()> {
    let router = Router::new().route("/readyz", get(|| async { "ok" }));
    Ok(axum::serve(TcpListener::bind(&options["listen"]).await?, router).await?)
}

#[derive(Clone)]
struct Node {
    token: String,
    report: Arc<watch::Sender<NodeReport>>,
    ids: Arc<Mutex<u32>>,
}

async fn node(options: &BTreeMap<String, String>) -> Result<()> {
    let pid = std::process::id();
    let report = NodeReport {
        api_version: API_VERSION,
        version: "fake".to_owned(),
        node: Peer {
            name: options["name"].parse()?,
            incarnation: format!("0.{pid}").parse()?,
            admin_url: options["admin-url"].clone(),
            client_url: options["client-url"].clone(),
        },
        revision: 1,
        workers: options["workers"].parse()?,
        lanes: None,
        link_encryption: true,
        ready: true,
        draining: false,
        drain: DrainState::default(),
        redis: true,
        redis_problem: None,
        address_problem: None,
        tokens_required: None,
        secure_client_url: None,
        pid,
        peers: vec![],
        links: vec![],
        publications: vec![],
        carried: vec![],
        viewers: 0,
        publishers: u32::from(std::env::var("FAKE_BUSY").is_ok_and(|node| node == options["name"])),
        load: 0.0,
    };
    let node = Node {
        token: std::fs::read_to_string(&options["admin-token-file"])?,
        report: Arc::new(watch::Sender::new(report)),
        ids: Arc::new(Mutex::new(0)),
    };
    let health = Router::new().route("/readyz", get(|| async { "ok" }));
    let admin = Router::new()
        .route("/admin/v1/node", get(report_of))
        .route("/admin/v1/links/close", post(close))
        .route("/admin/v1/links/{peer}", put(links))
        .route("/admin/v1/drain", post(drain).delete(undrain))
        .with_state(node.clone());
    let health_listener = TcpListener::bind(&options["health-listen"]).await?;
    let admin_listener = TcpListener::bind(&options["admin-listen"]).await?;
    let _client = TcpListener::bind(&options["listen"]).await?;
    tokio::spawn(beat(node));
    tokio::try_join!(async { axum::serve(health_listener, health).await }, async {
        axum::serve(admin_listener, admin).await
    })?;
    Ok(())
}

#[derive(serde::Deserialize)]
struct Poll {
    after: Option<u64>,
}

async fn report_of(
    State(node): State<Node>,
    headers: HeaderMap,
    Query(poll): Query<Poll>,
) -> std::result::Result<Json<NodeReport>, StatusCode> {
    if !sfumato_admin_api::server::admin_token::token_matches(&headers, &[&node.token]) {
        return Err(StatusCode::UNAUTHORIZED);
    }
    let mut reports = node.report.subscribe();
    let news = reports.wait_for(|report| poll.after != Some(report.revision));
    let _ = tokio::time::timeout(Duration::from_secs(5), news).await;
    Ok(Json(node.report.borrow().clone()))
}

async fn links(
    State(node): State<Node>,
    Path(peer): Path<NodeName>,
    Json(request): Json<PutLinks>,
) -> std::result::Result<Json<Links>, StatusCode> {
    if node.report.borrow().node.incarnation != request.incarnation {
        return Err(StatusCode::CONFLICT);
    }
    let mut ends = Vec::new();
    let mut conflict = false;
    node.report.send_modify(|report| {
        report.revision += 1;
        report.peers.retain(|known| known.name != peer);
        report.peers.push(request.peer.clone());
        report.links.retain(|link| !request.close.contains(&link.id));
        for lane in &request.lanes {
            let life = &request.peer.incarnation;
            let there = position(report, &peer, life, lane.lane);
            let existing = there.map(|at| &report.links[at]);
            let existing = existing.map(|link| Existing {
                id: &link.id,
                remote: link.remote.as_ref(),
                usable: true,
            });
            let wanted = lane.remote.as_ref().map(|end| end.id.clone());
            let id = match decide(existing.as_ref(), lane) {
                Decision::Conflict(_) => {
                    conflict = true;
                    continue;
                }
                Decision::Reuse => there.map(|at| report.links[at].id.clone()),
                Decision::Connect => there.map(|at| {
                    report.links[at].remote = wanted;
                    report.links[at].id.clone()
                }),
                Decision::Create { close } => {
                    report.links.retain(|link| Some(&link.id) != close.as_ref());
                    let id = draw(&node);
                    report.links.push(new_link(id.clone(), &request, lane.lane, wanted));
                    Some(id)
                }
            };
            ends.extend(id.map(|id| LinkEnd {
                lane: lane.lane,
                id,
                ip: [127, 0, 0, 1].into(),
                port: 1,
                srtp: None,
                beat: serde_json::Value::Null,
            }));
        }
    });
    if conflict {
        Err(StatusCode::CONFLICT)
    } else {
        Ok(Json(Links { links: ends }))
    }
}

fn position(
    report: &NodeReport,
    peer: &NodeName,
    life: &Incarnation,
    lane: sfumato_admin_api::types::Lane,
) -> Option<usize> {
    report
        .links
        .iter()
        .position(|link| (&link.peer, &link.peer_incarnation, link.lane) == (peer, life, lane))
}

fn draw(node: &Node) -> LinkId {
    let mut next = node.ids.lock().expect("nobody panics with it");
    *next += 1;
    format!("{}-{next}", std::process::id())
        .parse()
        .expect("digits and a dash are allowed")
}

fn new_link(
    id: LinkId,
    request: &PutLinks,
    lane: sfumato_admin_api::types::Lane,
    remote: Option<LinkId>,
) -> LinkReport {
    LinkReport {
        id,
        peer: request.peer.name.clone(),
        peer_incarnation: request.peer.incarnation.clone(),
        lane,
        remote,
        state: LinkState::Connecting,
        since_ms: 0,
        rtt_us: None,
        beats_received: 0,
        large_packets: None,
        packets_lost: 0,
        packets_received: 0,
        bytes_sent: 0,
        bytes_received: 0,
    }
}

async fn close(State(node): State<Node>, Json(request): Json<CloseLinks>) {
    node.report.send_modify(|report| {
        report.revision += 1;
        report.links.retain(|link| !request.links.contains(&link.id));
    });
}

async fn drain(State(node): State<Node>, Json(request): Json<DrainRequest>) -> Json<DrainState> {
    let deadline = Duration::from_secs(request.deadline_seconds.unwrap_or_default());
    node.report.send_modify(|report| {
        report.revision += 1;
        (report.draining, report.ready) = (true, false);
        report.drain.reasons.push(request.reason);
        report.drain.remaining_ms = u64::try_from(deadline.as_millis()).ok();
    });
    let state = node.report.borrow().drain.clone();
    tokio::spawn(async move {
        tokio::time::sleep(deadline).await;
        node.report.send_modify(|report| {
            report.revision += 1;
            report.publishers = 0;
        });
    });
    Json(state)
}

#[derive(serde::Deserialize)]
struct Lifted {
    reason: String,
}

async fn undrain(State(node): State<Node>, Query(lifted): Query<Lifted>) -> Json<DrainState> {
    node.report.send_modify(|report| {
        report.revision += 1;
        report.drain.reasons.retain(|reason| reason.as_str() != lifted.reason);
        report.draining = !report.drain.reasons.is_empty();
        report.ready = !report.draining;
    });
    Json(node.report.borrow().drain.clone())
}

/// In place of beats: a link is fresh while its peer's admin port takes connections.
async fn beat(node: Node) {
    loop {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let peers = node.report.borrow().peers.clone();
        for peer in peers {
            let address = peer.admin_url.trim_start_matches("http://");
            let alive = TcpStream::connect(address).await.is_ok();
            node.report.send_if_modified(|report| {
                let mut changed = false;
                for link in report
                    .links
                    .iter_mut()
                    .filter(|link| link.peer == peer.name && link.remote.is_some())
                {
                    let state = if alive { LinkState::Fresh } else { LinkState::Stale };
                    changed |= std::mem::replace(&mut link.state, state) != state;
                }
                report.revision += u64::from(changed);
                changed
            });
        }
    }
}
