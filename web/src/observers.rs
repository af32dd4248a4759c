//! Who may see the cluster: everybody where no tokens are asked for, else the holders of a token with `observe`.
//!
//! The front door has no keys. A secret that checks tokens also makes them, and the page's door is the one that is most in
//! the open. So it asks a node.

use crate::polling::Reports;
use crate::problem::Refusal;
use crate::view::{Openness, View};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use sfumato_admin_api::server::presented::{QUERY, presented};
use sfumato_admin_api::types::{Observer, ObserverRefusal, Observing};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, watch};

/// Tokens that are being checked at a time; each takes a node some microseconds.
const MAX_CHECKS: usize = 32;
/// Nodes that are asked about one token, where some do not answer. Each may take 2 s.
const MOST_ASKED: usize = 2;
/// How often a stream of events asks again: a token ends, and a key is taken out.
pub const CHECK_AGAIN: Duration = Duration::from_secs(30);

type Ask = Arc<dyn Fn(String, Observer) -> BoxFuture<'static, Result<Observing, String>> + Send + Sync>;

/// Longest wait for a place among the tokens that are being checked.
const PLACE_WAIT: Duration = Duration::from_secs(2);
/// A stream of events ends after so many checks in a row that nobody answered.
const MOST_UNANSWERED: u32 = 10;

/// Why somebody does not get to see the cluster.
#[derive(Debug, Clone)]
pub enum NotSeen {
    /// The token, or its absence.
    Refused(Refusal),
    /// Nobody could say.
    Unanswered(Refusal),
}

impl From<NotSeen> for Refusal {
    fn from(why: NotSeen) -> Self {
        match why {
            NotSeen::Refused(refusal) | NotSeen::Unanswered(refusal) => refusal,
        }
    }
}

/// Decides who may see the cluster.
#[derive(Clone)]
pub struct Observers {
    view: watch::Receiver<View>,
    ask: Ask,
    checks: Arc<Semaphore>,
}

impl Observers {
    /// By what the nodes of this view say.
    #[must_use]
    pub fn new(view: watch::Receiver<View>, nodes: impl Reports) -> Self {
        let ask: Ask = Arc::new(move |url, observer| {
            let nodes = nodes.clone();
            async move { nodes.observer(&url, &observer).await }.boxed()
        });
        Self {
            view,
            ask,
            checks: Arc::new(Semaphore::new(MAX_CHECKS)),
        }
    }

    /// Whether whoever sends this request may see the cluster.
    ///
    /// # Errors
    /// When not, and when nobody can say.
    pub async fn admit(&self, headers: &HeaderMap, query: Option<&str>) -> Result<(), NotSeen> {
        let openness = self.view.borrow().openness();
        let nodes = match openness {
            Openness::Open => return Ok(()),
            Openness::Unknown => {
                return Err(unanswered(
                    "no media node has answered yet, so nobody knows who may see it",
                ));
            }
            Openness::Closed(nodes) => nodes,
        };
        let token = presented(headers, query).map_err(|fault| {
            let challenge = "Bearer realm=\"sfumato\", error=\"invalid_request\"";
            refused(StatusCode::BAD_REQUEST, "Bad request", fault.to_string(), challenge)
        })?;
        // Answered here: those without a token cost no node anything.
        let token = token.ok_or_else(|| {
            let detail = format!(
                "a token that allows to observe is needed: send `Authorization: Bearer TOKEN`, or `?{QUERY}=TOKEN` in the URL"
            );
            refused(StatusCode::UNAUTHORIZED, "Unauthorized", detail, "Bearer realm=\"sfumato\"")
        })?;
        let observer = Observer {
            token: Some(token.to_owned()),
        };
        let place = tokio::time::timeout(PLACE_WAIT, self.checks.acquire()).await;
        let Ok(Ok(_held_while_nodes_are_asked)) = place else {
            return Err(unanswered("too many tokens are being checked at present"));
        };
        for node in nodes.into_iter().take(MOST_ASKED) {
            match (self.ask)(node, observer.clone()).await {
                Ok(Observing { allowed: true, .. }) => return Ok(()),
                Ok(Observing { refusal, .. }) => return Err(as_the_node_says(refusal)),
                Err(error) => tracing::warn!(error, "a token could not be checked"),
            }
        }
        Err(unanswered("no media node answers that could check the token"))
    }

    /// Ends when whoever sent these may not see the cluster any more. While nobody can say, they may, but not for ever.
    pub async fn until_refused(self, headers: HeaderMap, query: Option<String>) {
        let mut unanswered = 0;
        while unanswered < MOST_UNANSWERED {
            tokio::time::sleep(CHECK_AGAIN).await;
            match self.admit(&headers, query.as_deref()).await {
                Ok(()) => unanswered = 0,
                Err(NotSeen::Unanswered(_)) => unanswered += 1,
                Err(NotSeen::Refused(_)) => return,
            }
        }
    }
}

fn unanswered(detail: &str) -> NotSeen {
    let detail = format!("{detail}; try again");
    NotSeen::Unanswered(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "Not known", detail).retry())
}

fn refused(status: StatusCode, title: &str, detail: String, challenge: &str) -> NotSeen {
    let challenge = HeaderValue::from_str(challenge).unwrap_or(HeaderValue::from_static("Bearer realm=\"sfumato\""));
    let refusal = Refusal::new(status, title, detail).field("Authorization");
    NotSeen::Refused(refusal.header(header::WWW_AUTHENTICATE, challenge))
}

/// The node's words. Whatever status it gives, the answer is a refusal.
fn as_the_node_says(refusal: Option<ObserverRefusal>) -> NotSeen {
    let Some(said) = refusal else {
        return refused(
            StatusCode::FORBIDDEN,
            "Forbidden",
            "the node gives no reason".to_owned(),
            "",
        );
    };
    let status = StatusCode::from_u16(said.status)
        .ok()
        .filter(StatusCode::is_client_error);
    refused(
        status.unwrap_or(StatusCode::FORBIDDEN),
        &said.title,
        said.detail,
        &said.challenge,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::polling::NoReport;
    use crate::view::samples::{report, view_of};
    use sfumato_admin_api::types::NodeReport;
    use std::sync::atomic::{AtomicBool, Ordering};

    /// Nodes that let everybody see the cluster until they are told otherwise.
    #[derive(Clone, Default)]
    struct Nodes {
        refuse: Arc<AtomicBool>,
        silent: Arc<AtomicBool>,
    }

    impl Reports for Nodes {
        async fn report(&self, _: &str, _: Option<u64>, _: Duration) -> Result<NodeReport, NoReport> {
            unreachable!("a token is checked")
        }

        async fn observer(&self, _: &str, _: &Observer) -> Result<Observing, String> {
            if self.silent.load(Ordering::Relaxed) {
                return Err("it does not answer".to_owned());
            }
            let allowed = !self.refuse.load(Ordering::Relaxed);
            Ok(Observing { allowed, refusal: None })
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_of_events_ends_when_its_token_does_and_not_when_nobody_can_say() {
        let mut node = report("sfu-1");
        node.tokens_required = Some(true);
        let (_view, seen) = watch::channel(view_of([node]));
        let nodes = Nodes::default();
        let observers = Observers::new(seen, nodes.clone());
        let headers = HeaderMap::from_iter([(header::AUTHORIZATION, HeaderValue::from_static("Bearer t"))]);
        assert!(observers.admit(&headers, None).await.is_ok());
        let mut ended = Box::pin(observers.until_refused(headers, None));
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
        let mut node = report("sfu-1");
        node.tokens_required = Some(true);
        let (_view, seen) = watch::channel(view_of([node]));
        let nodes = Nodes::default();
        nodes.silent.store(true, Ordering::Relaxed);
        let headers = HeaderMap::from_iter([(header::AUTHORIZATION, HeaderValue::from_static("Bearer t"))]);
        let ended = Observers::new(seen, nodes).until_refused(headers, None);
        tokio::time::timeout(CHECK_AGAIN * (MOST_UNANSWERED + 1), ended)
            .await
            .expect("the stream ends");
    }
}
