//! What a node does by itself: beats, states, leases, silent sessions, statistics.

use super::Node;
use super::emptying;
use super::fanout::RENEW_EVERY;
use super::inbox::{Inbox, TransportNews};
use super::keep_names::RTP_SAMPLE_EVERY;
use super::layer_rounds;
use super::pictures;
use super::strangers;
use crate::media::deadline::within;
use crate::sessions::end_reason::EndReason;
use mediasoup::prelude::*;
use sfumato_admin_api::program::task;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::time::MissedTickBehavior;

/// How often states of links are brought up to date.
const STATES_EVERY: Duration = Duration::from_millis(100);
/// How often leases, idle streams and statistics are looked at.
const SWEEP_EVERY: Duration = Duration::from_secs(1);
/// How often the node looks whether it knows what to tell clients of its addresses.
const ADDRESSES_EVERY: Duration = Duration::from_millis(250);
/// How often sessions are asked for signs of life.
const SESSIONS_EVERY: Duration = Duration::from_secs(3);

/// Starts all tasks. They last as long as the process: it ends with the first of them that does.
pub fn start(node: &Arc<Node>, inbox: Inbox) {
    let fatal = &node.state.fatal;
    for (index, sender) in (0..).zip(node.links.beat_senders()) {
        let (sender, there) = (Arc::clone(sender), Arc::clone(node));
        let echoes = move |now| there.links.echoes(index, now);
        let beats = sender.run(node.options.beat_interval, echoes);
        task::vital(fatal, "sending heartbeats over links", beats);
    }
    let states = async |node: &Arc<Node>| {
        if node.links.refresh(Instant::now()) {
            node.state.touch();
        }
    };
    task::vital(fatal, "states of links", every(STATES_EVERY, Arc::clone(node), states));
    task::vital(
        fatal,
        "leases and idle streams",
        every(SWEEP_EVERY, Arc::clone(node), sweep),
    );
    let renew = async |node: &Arc<Node>| node.renew_carried().await;
    task::vital(fatal, "renewing relays", every(RENEW_EVERY, Arc::clone(node), renew));
    let look = async |node: &Arc<Node>| node.empty_what_is_due().await;
    task::vital(fatal, "draining", every(emptying::LOOK_EVERY, Arc::clone(node), look));
    task::vital(
        fatal,
        "signs of life of sessions",
        every(SESSIONS_EVERY, Arc::clone(node), end_overdue),
    );
    let sample = async |node: &Arc<Node>| node.sample_publishers().await;
    task::vital(
        fatal,
        "looking at publishers",
        every(RTP_SAMPLE_EVERY, Arc::clone(node), sample),
    );
    let pictures = every(pictures::EVERY, Arc::clone(node), pictures::round);
    task::vital(fatal, "looking for pictures", pictures);
    let layers = every(layer_rounds::EVERY, Arc::clone(node), layer_rounds::round);
    task::vital(fatal, "choosing layers", layers);
    let sizes = Arc::clone(node);
    task::vital(fatal, "telling of picture sizes", async move {
        let told = sizes.new_sizes.run(layer_rounds::TELL_SIZES_EVERY, |changed| {
            sizes.state.publications_changed(&changed);
        });
        match told.await {}
    });
    if !node.announcing.is_of_listeners() {
        let look = async |node: &Arc<Node>| node.look_for_addresses();
        let looking = every(ADDRESSES_EVERY, Arc::clone(node), look);
        task::vital(fatal, "addresses for clients", looking);
    }
    if node.options.media_tcp {
        let look = async |node: &Arc<Node>| node.end_strangers(Instant::now()).await;
        let looking = every(strangers::LOOK_EVERY, Arc::clone(node), look);
        task::vital(fatal, "strangers at the media ports", looking);
    }
    if node.names.claims.configured() {
        task::vital(fatal, "refreshing names in Redis", Arc::clone(node).keep_claims());
    }
    task::vital(fatal, "reading news of transports", read_inbox(Arc::clone(node), inbox));
}

async fn every(period: Duration, node: Arc<Node>, job: impl AsyncFn(&Arc<Node>)) {
    let mut tick = tokio::time::interval(period);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        job(&node).await;
    }
}

impl Node {
    /// Takes sessions when it is known at which addresses clients reach this node.
    pub fn look_for_addresses(&self) {
        if self.state.set_addressed(self.announcing.is_known()) {
            tracing::info!("known at which addresses clients reach this node: it takes sessions");
        }
        self.state.set_address_problem(self.announcing.problem());
    }
}

async fn sweep(node: &Arc<Node>) {
    let now = Instant::now();
    node.limits.sweep();
    node.workers.sample_loads();
    node.sweep_leases(now).await;
    node.sweep_carried(now).await;
    let idle = node.options.copy_idle_timeout;
    let streams = node.streams.local();
    for local in &streams {
        local.sweep(now, idle).await;
    }
    for router in node.workers.sweep(now, idle).await {
        for local in &streams {
            local.drop_copy(router).await;
        }
    }
    node.sample_carried().await;
    for link in node.links.all() {
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
    while let Some(news) = inbox.recv().await {
        let node = Arc::clone(&node);
        // Not awaited here: giving a name back may wait for Redis, and nobody else's end must wait with it.
        task::brief("acting on news of a transport", async move {
            match news {
                TransportNews::Connected(id) => node.on_connected(&id).await,
                TransportNews::Ended(id, why) => node.end_session(&id, why).await,
            }
        });
    }
}
