//! The cluster for people and scripts: once as JSON, or as a stream of events; and the front door's own health.

use crate::cluster::cluster;
use crate::limits::ClientPlaces;
use crate::observers::Observers;
use crate::problem::Refusal;
use crate::view::View;
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use sfumato_admin_api::server::health::{Heartbeat, livez};
use std::convert::Infallible;
use std::time::Duration;
use tokio::sync::watch;

/// Shortest time between two events: at most four a second.
pub const EVENT_INTERVAL: Duration = Duration::from_millis(250);
/// How long an event stream stays silent before a comment is sent, so that proxies do not end it.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// That comment.
const COMMENT: &[u8] = b":\n\n";

/// The cluster as everybody is told of it: written once for all readers.
#[derive(Debug, Clone, Default)]
pub struct Told {
    json: Bytes,
    event: Bytes,
}

impl Told {
    fn of(view: &View) -> Self {
        let json = serde_json::to_string(&cluster(view)).expect("the types have text keys and finite numbers only");
        Self {
            // JSON of one line: it needs no escaping in an event.
            event: format!("event: cluster\ndata: {json}\n\n").into(),
            json: json.into(),
        }
    }
}

/// What the handlers need.
#[derive(Clone)]
pub struct Api {
    told: watch::Receiver<Told>,
    observers: Observers,
    streams: ClientPlaces,
}

impl Api {
    /// Serves this view and what is told of it to those who may see it.
    #[must_use]
    pub fn new(told: watch::Receiver<Told>, observers: Observers, streams: ClientPlaces) -> Self {
        Self {
            told,
            observers,
            streams,
        }
    }
}

/// Routes of the API.
pub fn routes(api: Api) -> Router {
    Router::new()
        .route("/api/v1/cluster", get(cluster_json))
        .route("/api/v1/events", get(events))
        .with_state(api)
}

/// Routes of the health checks.
pub fn health(view: watch::Receiver<View>, heartbeat: Heartbeat) -> Router {
    Router::new()
        .route("/livez", get(move || std::future::ready(livez(&heartbeat))))
        .route("/readyz", get(ready))
        .with_state(view)
}

/// Tells of the cluster whenever it differs from what was told last. Ends with the view; when it ends or is dropped, so do
/// all event streams.
pub async fn publish(mut view: watch::Receiver<View>, told: watch::Sender<Told>) {
    loop {
        let now = Told::of(&view.borrow_and_update());
        told.send_if_modified(|last| {
            let changed = last.json != now.json;
            *last = now;
            changed
        });
        tokio::time::sleep(EVENT_INTERVAL).await;
        if view.changed().await.is_err() {
            return;
        }
    }
}

async fn cluster_json(State(mut api): State<Api>, request: Request) -> Result<Response, Refusal> {
    api.observers.admit(&api.observers.asking(&request)).await?;
    let told = api
        .told
        .wait_for(|told| !told.json.is_empty())
        .await
        .map_err(|_| stopping())?;
    let headers = [
        (header::CONTENT_TYPE, "application/json"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    Ok((headers, told.json.clone()).into_response())
}

async fn ready(State(view): State<watch::Receiver<View>>) -> (StatusCode, &'static str) {
    match view.borrow().reports().next() {
        Some(_) => (StatusCode::OK, "ok"),
        None => (
            StatusCode::SERVICE_UNAVAILABLE,
            "waiting for a first node to answer; check --seed and the admin token",
        ),
    }
}

async fn events(State(api): State<Api>, request: Request) -> Result<Response, Refusal> {
    let asking = api.observers.asking(&request);
    api.observers.admit(&asking).await?;
    let place = api.streams.take(&request)?;
    let mut told = api.told;
    told.mark_changed();
    let refused = Box::pin(api.observers.until_refused(asking));
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-store"),
        // Proxies of the nginx family hold events back unless told otherwise.
        (header::HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    Ok((headers, Body::from_stream(follow(told, place).take_until(refused))).into_response())
}

/// `held` is dropped with the stream.
fn follow<H>(told: watch::Receiver<Told>, held: H) -> impl Stream<Item = Result<Bytes, Infallible>> {
    futures::stream::unfold((told, held), |(mut told, held)| async {
        let event = loop {
            match tokio::time::timeout(KEEP_ALIVE, told.changed()).await {
                Err(_) => break Bytes::from_static(COMMENT),
                Ok(changed) => changed.ok()?,
            }
            let event = told.borrow_and_update().event.clone();
            if !event.is_empty() {
                break event;
            }
        };
        Some((Ok(event), (told, held)))
    })
}

fn stopping() -> Refusal {
    Refusal::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "Stopping",
        "the front door is stopping; try again",
    )
    .retry()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::samples::{report, view_of};

    #[tokio::test(start_paused = true)]
    async fn events_are_at_most_four_a_second_and_only_of_changes() {
        let (view, seen) = watch::channel(View::default());
        let (told, received) = watch::channel(Told::default());
        tokio::spawn(publish(seen, told));
        let mut events = std::pin::pin!(follow(received, ()));
        assert!(events.next().await.is_some());

        let changing = async {
            for n in 0..40 {
                let mut changed = report("sfu-1");
                changed.viewers = n;
                view.send_replace(view_of([changed]));
                tokio::time::sleep(Duration::from_millis(25)).await;
            }
        };
        let reading = async {
            let mut times = vec![];
            while tokio::time::timeout(Duration::from_secs(5), events.next())
                .await
                .is_ok()
            {
                times.push(tokio::time::Instant::now());
            }
            times
        };
        let ((), times) = tokio::join!(changing, reading);
        assert!(
            times.windows(2).all(|pair| pair[1] - pair[0] >= EVENT_INTERVAL),
            "{times:?}"
        );
        assert!(
            (4..=5).contains(&times.len()),
            "40 changes in one second gave {} events",
            times.len()
        );

        view.send_modify(|_| {});
        assert!(
            tokio::time::timeout(Duration::from_secs(5), events.next())
                .await
                .is_err(),
            "nothing has changed"
        );
    }
}
