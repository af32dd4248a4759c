//! The cluster for people and scripts: once as JSON, or as a stream of events; and the front door's own health.

use crate::cluster::cluster;
use crate::limits::EventStreams;
use crate::problem::Refusal;
use crate::view::View;
use axum::Router;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures::Stream;
use sfumato_admin_api::server::health::{Heartbeat, livez};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Shortest time between two events: at most four a second.
pub const EVENT_INTERVAL: Duration = Duration::from_millis(250);
/// How long an event stream stays silent before a comment is sent, so that proxies do not end it.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// What the handlers need.
#[derive(Debug, Clone)]
pub struct Api {
    view: watch::Receiver<View>,
    texts: watch::Receiver<Arc<str>>,
    streams: EventStreams,
}

impl Api {
    /// Serves this view and these events.
    #[must_use]
    pub fn new(view: watch::Receiver<View>, texts: watch::Receiver<Arc<str>>, streams: EventStreams) -> Self {
        Self { view, texts, streams }
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

/// Writes the cluster's text into `texts` whenever it differs from the last one. Ends with the view; when it ends or is
/// dropped, so do all event streams.
pub async fn publish(mut view: watch::Receiver<View>, texts: watch::Sender<Arc<str>>) {
    loop {
        let now = text(&view.borrow_and_update());
        texts.send_if_modified(|last| {
            let changed = **last != *now;
            *last = now.into();
            changed
        });
        tokio::time::sleep(EVENT_INTERVAL).await;
        if view.changed().await.is_err() {
            return;
        }
    }
}

fn text(view: &View) -> String {
    serde_json::to_string(&cluster(view)).expect("the types have text keys and finite numbers only")
}

async fn cluster_json(State(api): State<Api>) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "application/json"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    let body = text(&api.view.borrow());
    (headers, body).into_response()
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
    let place = api.streams.take(&request)?;
    let mut texts = api.texts.clone();
    texts.mark_changed();
    let stream = Sse::new(follow(texts, place)).keep_alive(KeepAlive::new().interval(KEEP_ALIVE));
    // Proxies of the nginx family hold events back unless told otherwise.
    Ok(([("x-accel-buffering", "no")], stream).into_response())
}

/// `held` is dropped with the stream.
fn follow<H>(texts: watch::Receiver<Arc<str>>, held: H) -> impl Stream<Item = Result<Event, Infallible>> {
    futures::stream::unfold((texts, held), |(mut texts, held)| async {
        texts.changed().await.ok()?;
        let event = Event::default().event("cluster").data(&**texts.borrow_and_update());
        Some((Ok(event), (texts, held)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::samples::{report, view_of};
    use futures::StreamExt as _;

    #[tokio::test(start_paused = true)]
    async fn events_are_at_most_four_a_second_and_only_of_changes() {
        let (view, seen) = watch::channel(View::default());
        let (texts, received) = watch::channel(Arc::from(""));
        tokio::spawn(publish(seen, texts));
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
