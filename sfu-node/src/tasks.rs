//! What a node does by itself: beats, states, leases, silent sessions, statistics.

use crate::deadline::within;
use crate::emptying;
use crate::fanout::RENEW_EVERY;
use crate::holding::RTP_SAMPLE_EVERY;
use crate::link::Link;
use crate::node::{Inbox, Node};
use crate::session::EndReason;
use mediasoup::prelude::*;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::time::MissedTickBehavior;

/// How often states of links are brought up to date.
const STATES_EVERY: Duration = Duration::from_millis(100);
/// How often leases, idle streams and statistics are looked at.
const SWEEP_EVERY: Duration = Duration::from_secs(1);
/// How often sessions are asked for signs of life.
const SESSIONS_EVERY: Duration = Duration::from_secs(3);

/// Starts all tasks; they end with the process.
pub fn start(node: &Arc<Node>, inbox: Inbox) {
    for (worker, beats) in node.workers.iter().zip(&node.beats) {
        let (index, links) = (worker.index, Arc::clone(node));
        tokio::spawn(Arc::clone(beats).run(node.options.beat_interval, move || links.links_of_worker(index)));
    }
    tokio::spawn(every(STATES_EVERY, Arc::clone(node), async |node: &Arc<Node>| {
        let now = Instant::now();
        let changed = node
            .links
            .lock()
            .values()
            .fold(false, |changed, link| link.refresh(now) | changed);
        if changed {
            node.touch();
        }
    }));
    tokio::spawn(every(SWEEP_EVERY, Arc::clone(node), sweep));
    tokio::spawn(every(RENEW_EVERY, Arc::clone(node), async |node: &Arc<Node>| {
        node.renew_carried().await;
    }));
    let look = async |node: &Arc<Node>| node.empty_what_is_due().await;
    tokio::spawn(every(emptying::LOOK_EVERY, Arc::clone(node), look));
    tokio::spawn(every(SESSIONS_EVERY, Arc::clone(node), end_overdue));
    tokio::spawn(every(RTP_SAMPLE_EVERY, Arc::clone(node), async |node: &Arc<Node>| {
        node.sample_publishers().await;
    }));
    tokio::spawn(every(
        crate::layers::task::EVERY,
        Arc::clone(node),
        crate::layers::task::round,
    ));
    let sizes = Arc::clone(node);
    tokio::spawn(async move {
        let told = sizes.new_sizes.run(crate::layers::task::TELL_SIZES_EVERY, |changed| {
            sizes.publications_changed(&changed);
        });
        told.await
    });
    tokio::spawn(Arc::clone(node).keep_claims());
    tokio::spawn(read_inbox(Arc::clone(node), inbox));
}

async fn every(period: Duration, node: Arc<Node>, job: impl AsyncFn(&Arc<Node>)) {
    let mut tick = tokio::time::interval(period);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        job(&node).await;
    }
}

async fn sweep(node: &Arc<Node>) {
    let now = Instant::now();
    node.limits.sweep();
    for worker in &node.workers {
        worker.sample_load();
    }
    node.sweep_leases(now).await;
    node.sweep_carried(now).await;
    let idle = node.options.copy_idle_timeout;
    let presences = node.presences();
    for presence in &presences {
        presence.sweep(now, idle).await;
    }
    for worker in &node.workers {
        worker
            .sweep_profiles(idle, |router| presences.iter().any(|presence| presence.is_on(router)))
            .await;
        worker.sweep_pipes(now, idle).await;
    }
    node.sample_carried().await;
    let links: Vec<Arc<Link>> = node.links.lock().values().cloned().collect();
    for link in links {
        link.sample().await;
    }
}

async fn end_overdue(node: &Arc<Node>) {
    node.offers.sweep(Instant::now());
    for session in node.sessions.all() {
        let bytes = if session.is_connected() {
            let stats = within("reading session statistics", session.transport.get_stats()).await;
            stats.ok().and_then(|s| s.first().map(|stat| stat.bytes_received))
        } else {
            None
        };
        let now = Instant::now();
        let limit = node.options.limits.max_publisher_bitrate;
        let too_much = bytes.is_some_and(|bytes| session.sends_too_much(bytes, limit, now));
        let over = too_much.then_some(EndReason::SentTooMuch);
        if let Some(why) = session.overdue(bytes, now).or(over) {
            let id = session.id.clone();
            drop(session);
            node.end_session(&id, why).await;
        }
    }
}

async fn read_inbox(node: Arc<Node>, mut inbox: Inbox) {
    loop {
        tokio::select! {
            // Not awaited here: giving a name back may wait for Redis, and nobody else's end must wait with it.
            Some((id, why)) = inbox.ended.recv() => {
                let node = Arc::clone(&node);
                tokio::spawn(async move { node.end_session(&id, why).await });
            }
            Some(id) = inbox.connected.recv() => {
                let node = Arc::clone(&node);
                tokio::spawn(async move { node.on_connected(&id).await });
            }
            else => return,
        }
    }
}
