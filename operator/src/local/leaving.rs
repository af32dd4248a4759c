//! A node that is on its way out: when that began, and the one call about it that is under way.

use crate::terminal::Terminal;
use sfumato_mesh::NodeAdmin;
use sfumato_mesh::api::{DrainReason, DrainRequest, NodeReport};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

/// Whom to ask, and where to tell when that fails.
#[derive(Clone, Copy)]
pub struct Asking<'a> {
    /// Name of the node.
    pub name: &'a str,
    /// Base URL of its admin listener.
    pub url: &'a str,
    /// The client.
    pub admin: &'a Arc<dyn NodeAdmin>,
    /// Where failures are shown; the caller tries again.
    pub terminal: &'a Terminal,
}

/// What we know of one node's leaving.
#[derive(Debug, Default)]
pub struct Leaving {
    /// Since we want it to be emptied.
    since: Option<Instant>,
    call: Option<JoinHandle<()>>,
}

impl Leaving {
    /// Whether to wait no longer: the node is drained and empty, or its deadline is over by more than `slack`, in case it
    /// does not answer.
    pub fn is_done(&self, report: Option<&NodeReport>, deadline: Duration, slack: Duration, now: Instant) -> bool {
        let Some(since) = self.since else {
            return false;
        };
        let empty = report.is_some_and(|r| r.publishers == 0 && r.viewers == 0 && is_leaving(&r.drain.reasons));
        empty || now.saturating_duration_since(since) > deadline + slack
    }

    /// Has the node emptied. Repeated by the caller until the node's report shows it; one call at a time.
    pub fn drain(&mut self, asking: Asking<'_>, request: DrainRequest, now: Instant) {
        self.since.get_or_insert(now);
        let (name, url) = (asking.name.to_owned(), asking.url.to_owned());
        let (admin, terminal) = (Arc::clone(asking.admin), asking.terminal.clone());
        self.start(async move {
            if let Err(error) = admin.drain(&url, &request).await {
                terminal.warn(&format!("{name} could not be told to drain: {error}"));
            }
        });
    }

    /// Has the node take sessions again, as far as we are concerned.
    pub fn lift(&mut self, asking: Asking<'_>, reason: DrainReason) {
        self.since = None;
        let (name, url) = (asking.name.to_owned(), asking.url.to_owned());
        let (admin, terminal) = (Arc::clone(asking.admin), asking.terminal.clone());
        self.start(async move {
            if let Err(error) = admin.undrain(&url, reason).await {
                terminal.warn(&format!("{name} could not be told to take sessions again: {error}"));
            }
        });
    }

    fn start(&mut self, call: impl Future<Output = ()> + Send + 'static) {
        if self.call.as_ref().is_none_or(JoinHandle::is_finished) {
            self.call = Some(tokio::spawn(call));
        }
    }
}

/// Whether one of these reasons is ours.
fn is_leaving(reasons: &[DrainReason]) -> bool {
    reasons
        .iter()
        .any(|reason| matches!(reason, DrainReason::Roll | DrainReason::ScaleDown))
}
