//! Who may see the cluster: everybody where no tokens are asked for, else the holders of a token with `observe`.
//!
//! The front door has no keys. A secret that checks tokens also makes them, and the page's door is the one that is most in
//! the open. So it asks a node.

use crate::limits::Checks;
use crate::polling::Reports;
use crate::problem::Refusal;
use crate::view::{Openness, View};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use sfumato_admin_api::server::client_address::ClientKey;
use sfumato_admin_api::server::presented::{QUERY, presented};
use sfumato_admin_api::server::shares::Over;
use sfumato_admin_api::types::{Observer, ObserverRefusal, Observing};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Nodes that are asked about one token, where some do not answer. Each may take 2 s.
const MOST_ASKED: usize = 2;
/// How often a stream of events asks again: a token ends, and a key is taken out.
pub const CHECK_AGAIN: Duration = Duration::from_secs(30);

type Ask = Arc<dyn Fn(String, Observer) -> BoxFuture<'static, Result<Observing, String>> + Send + Sync>;

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
    checks: Checks,
}

/// What somebody presents who wants to see the cluster, and who that is.
#[derive(Debug, Clone)]
pub struct Asking {
    headers: HeaderMap,
    query: Option<String>,
    holder: Option<ClientKey>,
}

impl Observers {
    /// By what the nodes of this view say, who are asked about so many tokens at a time.
    #[must_use]
    pub fn new(view: watch::Receiver<View>, nodes: impl Reports, checks: Checks) -> Self {
        let ask: Ask = Arc::new(move |url, observer| {
            let nodes = nodes.clone();
            async move { nodes.observer(&url, &observer).await }.boxed()
        });
        Self { view, ask, checks }
    }

    /// What this request presents.
    #[must_use]
    pub fn asking(&self, request: &Request) -> Asking {
        Asking {
            headers: request.headers().clone(),
            query: request.uri().query().map(str::to_owned),
            holder: self.checks.holder(request),
        }
    }

    /// Whether whoever presents this may see the cluster.
    ///
    /// # Errors
    /// When not, and when nobody can say.
    pub async fn admit(&self, asking: &Asking) -> Result<(), NotSeen> {
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
        let token = presented(&asking.headers, asking.query.as_deref()).map_err(|fault| {
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
        let _held_while_nodes_are_asked = self.checks.take(asking.holder).await.map_err(no_place)?;
        for node in nodes.into_iter().take(MOST_ASKED) {
            match (self.ask)(node, observer.clone()).await {
                Ok(Observing { allowed: true, .. }) => return Ok(()),
                Ok(Observing { refusal, .. }) => return Err(as_the_node_says(refusal)),
                Err(error) => tracing::warn!(error, "a token could not be checked"),
            }
        }
        Err(unanswered("no media node answers that could check the token"))
    }

    /// Ends when whoever presents this may not see the cluster any more. While nobody can say, they may, but not for ever.
    pub async fn until_refused(self, asking: Asking) {
        let mut unanswered = 0;
        while unanswered < MOST_UNANSWERED {
            tokio::time::sleep(CHECK_AGAIN).await;
            match self.admit(&asking).await {
                Ok(()) => unanswered = 0,
                Err(NotSeen::Unanswered(_)) => unanswered += 1,
                Err(NotSeen::Refused(_)) => return,
            }
        }
    }
}

fn no_place(over: Over) -> NotSeen {
    match over {
        Over::All(_) => unanswered("too many tokens are being checked at present"),
        Over::One(share) => {
            let detail = format!(
                "{share} tokens of this client address are being checked, its share of what is checked at a time; try again. If \
                 many people are behind it, its network belongs into --trusted-address"
            );
            let refusal = Refusal::new(StatusCode::TOO_MANY_REQUESTS, "Too many tokens", detail);
            NotSeen::Unanswered(refusal.retry())
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
#[path = "observers_tests.rs"]
mod tests;
