//! The serving of every listener of every program: HTTP/1.1 with a bound on everything that a client can hold without
//! having shown that it wants something.
//!
//! | what | bound |
//! |---|---|
//! | connections | [`Bounds::connections`] in all, of one listener or of several [together](Serving::together). Above half of that, an address (IPv6: a /64) has at most a tenth. A new one for which there is no place ends an idle one, see [`Serving::make_room`] |
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
mod held;
mod hosts;
mod pulse;
mod question;
mod roster;
mod settings;
mod watched_io;

pub use bounds::{Bounds, Deadlines, MAX_HEADER};
pub use handshake::{Handshake, Plain};
pub use hosts::Hosts;
pub use roster::MakeRoom;
pub use settings::Serving;

use crate::server::client_address::ClientKey;
use crate::server::descriptors::reserve::is_shortage;
use crate::server::places::Place;
use admission::{Admission, Refused};
use axum::Router;
use held::Held;
use parking_lot::Mutex;
use pulse::Pulse;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};
use tokio::time::Instant;

/// Pause after an error of the listener, such as no descriptor: to try again at once would only burn the core.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Of so many connections one makes room at a time, where there is no place for a new one. To look for them takes a walk over
/// all, which a flood of new ones must not cost each time.
const ROOM_PART: u32 = 64;

/// Serves `app` until `stop` is ready, and then until every request that has begun is answered. Errors of the listener are
/// logged and end nothing. Handlers find the peer as `ConnectInfo<SocketAddr>`.
pub async fn serve<H: Handshake>(
    listener: TcpListener,
    handshake: H,
    app: Router,
    serving: Serving,
    stop: impl Future<Output = ()>,
) {
    let mut open = Connections::of(&serving);
    let serving = Arc::new(serving);
    let (stopping, stopped) = watch::channel(false);
    let mut stop = std::pin::pin!(stop);
    loop {
        let accepted = tokio::select! {
            () = &mut stop => break,
            Some(ended) = open.tasks.join_next_with_id() => {
                open.has_ended(ended, &serving);
                continue;
            }
            accepted = listener.accept() => accepted,
        };
        let (stream, from) = match accepted {
            Ok(accepted) => accepted,
            // The client went before it was accepted: the next one is none the worse.
            Err(error) if is_of_the_connection(&error) => continue,
            Err(error) => {
                if is_shortage(&error) && open.free_a_descriptor(&serving).await {
                    continue;
                }
                if let Some(since) = open.held.admission.complain() {
                    tracing::warn!(listener = serving.name, %error, since, "cannot accept connections; raise the limit of open files (ulimit -n) if it is reached");
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
                open.newest = None;
                continue;
            }
        };
        let Some(place) = open.place(from, &serving).await else {
            continue;
        };
        let pulse = Arc::new(Mutex::new(Pulse::new(Instant::now())));
        let (handshake, app, noting) = (handshake.clone(), app.clone(), Arc::clone(&pulse));
        let (serves, stopped) = (Arc::clone(&serving), stopped.clone());
        let task = open.tasks.spawn(async move {
            let _place = place;
            connection::run(stream, from, handshake, app, serves, noting, stopped).await;
        });
        open.newest = Some(task.id());
        open.held.roster.lock().add(ClientKey::from(from.ip()), pulse, task);
    }
    drop(listener);
    let _ = stopping.send(true);
    while open.tasks.join_next().await.is_some() {}
}

/// The connections of a listener.
struct Connections {
    held: Arc<Held>,
    /// The last one that came in, until it has had [`ACCEPT_PAUSE`] to ask something.
    newest: Option<Id>,
    tasks: JoinSet<()>,
}

impl Connections {
    fn of(serving: &Serving) -> Self {
        Self {
            held: serving.held(),
            newest: None,
            tasks: JoinSet::new(),
        }
    }

    /// A place for a new connection, if need be that of another.
    async fn place(&mut self, from: SocketAddr, serving: &Serving) -> Option<Place<ClientKey>> {
        let refused = match self.held.admission.take(from.ip()) {
            Ok(place) => return Some(place),
            Err(refused) => refused,
        };
        let mut place = None;
        // Again, if what made room was about to end by itself, and its place was none of those that are taken.
        while place.is_none() && self.make_room(refused, from.ip(), serving).await {
            place = self.held.admission.take_instead(from.ip());
        }
        report(serving, &self.held.admission, from, refused, place.is_some());
        place
    }

    /// Ends connections for one from this address. Answers whether there were any, when they are closed and their places free.
    async fn make_room(&mut self, refused: Refused, from: IpAddr, serving: &Serving) -> bool {
        let ended = match refused {
            Refused::All(most) => {
                self.held
                    .roster
                    .lock()
                    .end(serving.make_room, (most / ROOM_PART).max(1) as usize, None)
            }
            Refused::Address(_) => self
                .held
                .roster
                .lock()
                .end_of(ClientKey::from(from))
                .into_iter()
                .collect(),
        };
        self.closed(&ended, serving).await
    }

    /// Of a listener that has descriptors kept for it, frees one of these, or that of a connection. Answers whether there was one.
    async fn free_a_descriptor(&mut self, serving: &Serving) -> bool {
        let Some(reserve) = &serving.reserve else {
            return false;
        };
        if reserve.give_up_one() {
            return true;
        }
        // A process without descriptors cannot see whether anybody waits to be let in: it must not end whom it has just let in.
        let ended = self.held.roster.lock().end(serving.make_room, 1, self.newest);
        self.closed(&ended, serving).await
    }

    /// Waits until these are closed, which may be another listener's. Answers whether there are any.
    async fn closed(&mut self, ended: &[AbortHandle], serving: &Serving) -> bool {
        while ended.iter().any(|task| !task.is_finished()) {
            tokio::select! {
                biased;
                Some(ended) = self.tasks.join_next_with_id() => self.has_ended(ended, serving),
                // They have been told to end, and do when they are run next.
                () = tokio::task::yield_now() => {}
            }
        }
        !ended.is_empty()
    }

    fn has_ended(&mut self, ended: Result<(Id, ()), JoinError>, serving: &Serving) {
        let task = ended.map_or_else(|error| error.id(), |(task, ())| task);
        self.held.roster.lock().ended(task);
        if let Some(reserve) = &serving.reserve {
            reserve.refill();
        }
    }
}

/// Says that there was no place for a connection, at most once a minute.
fn report(serving: &Serving, admission: &Admission, from: SocketAddr, refused: Refused, made_room: bool) {
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
    let closed = if made_room {
        "connections were closed for a new one"
    } else {
        "a new connection was closed"
    };
    tracing::warn!(listener = serving.name, %from, refused_since_last = since, "{closed}: {refused}; {what_to_do}");
}

fn is_of_the_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
    )
}
