use super::*;
use crate::limits::Limits;
use crate::options::LimitOptions;
use crate::polling::NoReport;
use crate::view::samples::{report, view_of};
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::response::IntoResponse as _;
use sfumato_admin_api::types::NodeReport;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::task::JoinHandle;

/// Nodes that let everybody see the cluster until they are told otherwise.
#[derive(Clone, Default)]
struct Nodes {
    refuse: Arc<AtomicBool>,
    silent: Arc<AtomicBool>,
    /// They begin to answer when this is true.
    answer: watch::Sender<bool>,
}

impl Reports for Nodes {
    async fn report(&self, _: &str, _: Option<u64>, _: Duration) -> Result<NodeReport, NoReport> {
        unreachable!("a token is checked")
    }

    async fn observer(&self, _: &str, _: &Observer) -> Result<Observing, String> {
        let _ = self.answer.subscribe().wait_for(|answer| *answer).await;
        if self.silent.load(Ordering::Relaxed) {
            return Err("it does not answer".to_owned());
        }
        let allowed = !self.refuse.load(Ordering::Relaxed);
        Ok(Observing { allowed, refusal: None })
    }
}

/// Who asks a cluster that asks for tokens, which these nodes check.
fn observers(nodes: &Nodes) -> Observers {
    let mut node = report("sfu-1");
    node.tokens_required = Some(true);
    let (_, seen) = watch::channel(view_of([node]));
    let limits = Limits::of(&LimitOptions::default(), "127.0.0.1:1".parse().unwrap(), &[]);
    Observers::new(seen, nodes.clone(), limits.checks)
}

fn asking(observers: &Observers, from: &str) -> Asking {
    let mut request = axum::http::Request::new(Body::empty());
    let token = HeaderValue::from_static("Bearer t");
    request.headers_mut().insert(header::AUTHORIZATION, token);
    let peer = SocketAddr::new(from.parse().unwrap(), 1);
    request.extensions_mut().insert(ConnectInfo(peer));
    observers.asking(&request)
}

fn ask(observers: &Observers, from: &str) -> JoinHandle<Result<(), NotSeen>> {
    let (observers, asking) = (observers.clone(), asking(observers, from));
    tokio::spawn(async move { observers.admit(&asking).await })
}

#[tokio::test(start_paused = true)]
async fn a_stream_of_events_ends_when_its_token_does_and_not_when_nobody_can_say() {
    let nodes = Nodes::default();
    nodes.answer.send_replace(true);
    let observers = observers(&nodes);
    let asking = asking(&observers, "198.51.100.1");
    assert!(observers.admit(&asking).await.is_ok());
    let mut ended = Box::pin(observers.until_refused(asking));
    let mut goes_on = async |why| {
        let waited = tokio::time::timeout(CHECK_AGAIN * (MOST_UNANSWERED - 2), &mut ended).await;
        assert!(waited.is_err(), "{why}");
    };
    goes_on("the token is good").await;
    nodes.silent.store(true, Ordering::Relaxed);
    goes_on("nobody can say").await;
    nodes.silent.store(false, Ordering::Relaxed);
    goes_on("the token is good again").await;
    nodes.refuse.store(true, Ordering::Relaxed);
    tokio::time::timeout(CHECK_AGAIN * 2, &mut ended)
        .await
        .expect("the stream ends");
}

#[tokio::test(start_paused = true)]
async fn a_stream_of_events_ends_when_nobody_can_say_for_long() {
    let nodes = Nodes::default();
    nodes.answer.send_replace(true);
    nodes.silent.store(true, Ordering::Relaxed);
    let observers = observers(&nodes);
    let asking = asking(&observers, "198.51.100.1");
    tokio::time::timeout(CHECK_AGAIN * (MOST_UNANSWERED + 1), observers.until_refused(asking))
        .await
        .expect("the stream ends");
}

#[tokio::test(start_paused = true)]
async fn an_address_with_many_tokens_has_its_share_of_the_checks_and_an_observer_elsewhere_is_checked_at_once() {
    let nodes = Nodes::default();
    let observers = observers(&nodes);
    let flood: Vec<_> = (0..200).map(|_| ask(&observers, "198.51.100.1")).collect();
    while observers.checks.taken() < 16 {
        tokio::task::yield_now().await;
    }
    let good = asking(&observers, "203.0.113.7");
    let mut good = Box::pin(observers.admit(&good));
    assert!(futures::poll!(&mut good).is_pending(), "the nodes have not answered");
    // Longer than anybody waits for a place.
    tokio::time::sleep(Duration::from_secs(3)).await;
    nodes.answer.send_replace(true);
    assert!(good.await.is_ok());
    let (mut admitted, mut refused) = (0, 0);
    for asked in flood {
        match asked.await.unwrap() {
            Ok(()) => admitted += 1,
            Err(NotSeen::Unanswered(refusal)) => {
                assert_eq!(refusal.into_response().status(), StatusCode::TOO_MANY_REQUESTS);
                refused += 1;
            }
            Err(refused) => panic!("{refused:?}"),
        }
    }
    assert_eq!((admitted, refused), (16, 184), "half of the places, and no more");
}

#[tokio::test(start_paused = true)]
async fn whoever_finds_no_place_gets_the_next_that_is_free() {
    let nodes = Nodes::default();
    let observers = observers(&nodes);
    let asked: Vec<_> = (0..100).map(|_| ask(&observers, "198.51.100.1")).collect();
    while observers.checks.taken() < 16 {
        tokio::task::yield_now().await;
    }
    nodes.answer.send_replace(true);
    for asked in asked {
        assert!(asked.await.unwrap().is_ok());
    }
}
