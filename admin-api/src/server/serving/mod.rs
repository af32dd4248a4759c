//! The serving of every listener of every program: HTTP/1.1 with a bound on everything that a client can hold without
//! having shown that it wants something.
//!
//! | what | bound |
//! |---|---|
//! | connections | [`Bounds::connections`] in all, of one listener or of several [together](Serving::together). Above half of that, an address (IPv6: a /64) that has a tenth gets no more |
//! | a connection without a request | [`Deadlines::header`] from its start to the end of its first header |
//! | a header that comes slowly | [`Deadlines::header`] from its first byte |
//! | a header that is large | [`MAX_HEADER`], and 100 fields: 431 |
//! | a TLS handshake | [`Deadlines::handshake`] |
//! | a connection between two requests | [`Deadlines::idle`] |
//! | a client that does not read | [`Deadlines::write`] without a byte taken |
//!
//! A request that is being answered has no deadline here: long polls and streams of events last as long as their handlers
//! say. The bodies of requests have the deadlines of the handlers that read them.

mod admission;
mod answers;
mod bounds;
mod connection;
mod handshake;
mod hosts;
mod pulse;
mod settings;
mod watched_io;

pub use bounds::{Bounds, Deadlines, MAX_HEADER};
pub use handshake::{Handshake, Plain};
pub use hosts::Hosts;
pub use settings::Serving;

use admission::{Admission, Refused};
use axum::Router;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Pause after an error of the listener, such as no descriptor: to try again at once would only burn the core.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves `app` until `stop` is ready, and then until every request that has begun is answered. Errors of the listener are
/// logged and end nothing. Handlers find the peer as `ConnectInfo<SocketAddr>`.
pub async fn serve<H: Handshake>(
    listener: TcpListener,
    handshake: H,
    app: Router,
    serving: Serving,
    stop: impl Future<Output = ()>,
) {
    let admission = serving.admission();
    let serving = Arc::new(serving);
    let (stopping, stopped) = watch::channel(false);
    let mut connections = JoinSet::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        let accepted = tokio::select! {
            () = &mut stop => break,
            Some(_) = connections.join_next() => {
                if let Some(reserve) = &serving.reserve {
                    reserve.refill();
                }
                continue;
            }
            accepted = listener.accept() => accepted,
        };
        let (stream, from) = match accepted {
            Ok(accepted) => accepted,
            // The client went before it was accepted: the next one is none the worse.
            Err(error) if is_of_the_connection(&error) => continue,
            Err(error)
                if serving
                    .reserve
                    .as_ref()
                    .is_some_and(|reserve| reserve.helps_against(&error)) =>
            {
                continue;
            }
            Err(error) => {
                if let Some(since) = admission.complain() {
                    tracing::warn!(listener = serving.name, %error, since, "cannot accept connections; raise the limit of open files (ulimit -n) if it is reached");
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        match admission.take(from.ip()) {
            Ok(place) => {
                let (handshake, app) = (handshake.clone(), app.clone());
                let (serving, stopped) = (Arc::clone(&serving), stopped.clone());
                connections.spawn(async move {
                    let _place = place;
                    connection::run(stream, from, handshake, app, serving, stopped).await;
                });
            }
            Err(refused) => report(&serving, &admission, from, refused),
        }
    }
    drop(listener);
    let _ = stopping.send(true);
    while connections.join_next().await.is_some() {}
}

/// Says that a connection was closed at once, at most once a minute.
fn report(serving: &Serving, admission: &Admission, from: SocketAddr, refused: Refused) {
    let Some(since) = admission.complain() else { return };
    let what_to_do = match (serving.option, refused) {
        (Some(option), Refused::All(_)) => format!("raise {option}, or see who opens them"),
        (Some(option), Refused::Address(_)) => {
            format!(
                "if many clients are behind this address, raise {option} or name it in --trusted-address or --trusted-proxy"
            )
        }
        (None, _) => "see who opens them".to_owned(),
    };
    tracing::warn!(listener = serving.name, %from, refused_since_last = since, "a new connection was closed: {refused}; {what_to_do}");
}

fn is_of_the_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
    )
}
