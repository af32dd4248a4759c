//! A listener for health and metrics that answers while everything else is full or stuck: on a thread of its own, with few
//! connections of its own, and with descriptors that are kept for it.
//!
//! Since it answers by itself, it says nothing of the rest of the process. A [`Heartbeat`] does: the main runtime makes it go
//! on, and `/livez` fails when it has stopped.

mod heartbeat;

pub use heartbeat::{Heartbeat, LIVENESS_LIMIT, livez};

use crate::program::task::{self, Ended};
use crate::server::descriptors::reserve::Reserve;
use crate::server::serving::{Bounds, Deadlines, Hosts, MakeRoom, Plain, Serving, serve};
use axum::Router;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

/// Bounds of a health listener: a few probes and a few scrapes. Who comes when all are taken takes the place of another.
const BOUNDS: Bounds = Bounds {
    connections: 64,
    deadlines: Deadlines {
        header: Duration::from_secs(5),
        handshake: Duration::from_secs(5),
        // Prometheus keeps its connection from scrape to scrape.
        idle: Duration::from_secs(75),
        write: Duration::from_secs(10),
    },
};

/// A health listener that serves; dropping it ends that.
#[derive(Debug)]
#[must_use = "dropping it ends the listener"]
pub struct HealthThread {
    _ends_when_dropped: oneshot::Sender<()>,
}

/// Serves `app` on a thread of its own. What it does on the main runtime is for it to spawn there.
///
/// # Errors
/// When there is no thread, or no runtime for it.
pub fn start(listener: TcpListener, app: Router) -> io::Result<HealthThread> {
    let address: SocketAddr = listener.local_addr()?;
    let listener = listener.into_std()?;
    let reserve = Reserve::filled();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (sender, dropped) = oneshot::channel::<()>();
    task::vital_thread(task::process(), "health", move || {
        runtime.block_on(async move {
            let listener = match TcpListener::from_std(listener) {
                Ok(listener) => listener,
                Err(error) => {
                    tracing::error!(%address, %error, "the health listener cannot be served");
                    return Ended::TooSoon;
                }
            };
            let mut serving = Serving::new("health", BOUNDS);
            serving.hosts = Hosts::of(address, &[], None);
            serving.reserve = Some(reserve);
            // A probe is answered whoever holds the rest: it is over long before so many others have come after it.
            serving.make_room = MakeRoom::Any;
            let stop = async {
                let _ = dropped.await;
            };
            tokio::select! {
                () = serve(listener, Plain, app, serving, async { std::future::pending().await }) => Ended::TooSoon,
                () = stop => Ended::AsAsked,
            }
        })
    })?;
    Ok(HealthThread {
        _ends_when_dropped: sender,
    })
}
