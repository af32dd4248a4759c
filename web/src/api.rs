//! The cluster for people and scripts: once as JSON, or as a stream of events; and the front door's own health.

use crate::cluster::cluster;
use crate::observers::Observers;
use crate::problem::Refusal;
use crate::view::View;
use axum::Router;
use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

/// Shortest time between two events: at most four a second.
pub const EVENT_INTERVAL: Duration = Duration::from_millis(250);
/// How long an event stream stays silent before a comment is sent, so that proxies do not end it.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// That comment.
const COMMENT: &[u8] = b":\n\n";
/// Event streams that are served at once; each holds a connection.
const MAX_EVENT_STREAMS: usize = 256;

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
    view: watch::Receiver<View>,
    told: watch::Receiver<Told>,
    observers: Observers,
    streams: Arc<Semaphore>,
}

impl Api {
    /// Serves this view and what is told of it to those who may see it.
    #[must_use]
    pub fn new(view: watch::Receiver<View>, told: watch::Receiver<Told>, observers: Observers) -> Self {
        Self {
            view,
            told,
            observers,
            streams: Arc::new(Semaphore::new(MAX_EVENT_STREAMS)),
        }
    }
}

/// Routes of the API and of the health checks.
pub fn routes(api: Api) -> Router {
    Router::new()
        .route("/api/v1/cluster", get(cluster_json))
        .route("/api/v1/events", get(events))
        .route("/livez", get("ok"))
        .route("/readyz", get(ready))
        .with_state(api)
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

async fn cluster_json(
    State(mut api): State<Api>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    api.observers.admit(&headers, query.as_deref()).await?;
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

async fn ready(State(api): State<Api>) -> (StatusCode, &'static str) {
    match api.view.borrow().reports().next() {
        Some(_) => (StatusCode::OK, "ok"),
        None => (
            StatusCode::SERVICE_UNAVAILABLE,
            "waiting for a first node to answer; check --seed and the admin token",
        ),
    }
}

async fn events(State(api): State<Api>, RawQuery(query): RawQuery, headers: HeaderMap) -> Result<Response, Refusal> {
    api.observers.admit(&headers, query.as_deref()).await?;
    let permit = Arc::clone(&api.streams).try_acquire_owned().map_err(|_| {
        let detail = format!("{MAX_EVENT_STREAMS} event streams are open already; poll /api/v1/cluster instead");
        Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "Too many event streams", detail).retry()
    })?;
    let mut told = api.told;
    told.mark_changed();
    let refused = Box::pin(api.observers.until_refused(headers, query));
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-store"),
        // Proxies of the nginx family hold events back unless told otherwise.
        (header::HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    Ok((headers, Body::from_stream(follow(told, permit).take_until(refused))).into_response())
}

fn follow(told: watch::Receiver<Told>, permit: OwnedSemaphorePermit) -> impl Stream<Item = Result<Bytes, Infallible>> {
    futures::stream::unfold((told, permit), |(mut told, permit)| async {
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
        Some((Ok(event), (told, permit)))
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
        let permit = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        let mut events = std::pin::pin!(follow(received, permit));
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
