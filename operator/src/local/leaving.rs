//! A node that is on its way out: when that began, and the one call about it that is under way.

use crate::terminal::Terminal;
use sfumato_admin_api::client::NodeAdmin;
use sfumato_admin_api::types::{DrainReason, DrainRequest, NodeReport};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

/// Whom to ask, and where to tell when that fails.
#[derive(Clone, Copy)]
pub struct Asking<'a> {
    pub name: &'a str,
    pub url: &'a str,
    pub admin: &'a Arc<dyn NodeAdmin>,
    /// Where failures are shown; the caller tries again.
    pub terminal: &'a Terminal,
}

/// What we know of one node's leaving.
#[derive(Debug, Default)]
pub struct Leaving {
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

    /// Takes note of whether the node is to leave: `leaves` says whether a step that is due now drains or ends it.
    ///
    /// A drain that never reached the node is forgotten as soon as the node is wanted again, or the next one would find
    /// its deadline over before it has begun. A node that does not answer is still leaving if it was before.
    pub fn observe(&mut self, leaves: bool, report: Option<&NodeReport>, now: Instant) {
        if leaves || report.is_some_and(|report| is_leaving(&report.drain.reasons)) {
            self.since.get_or_insert(now);
        } else if report.is_some() {
            self.since = None;
        }
    }

    /// Has the node emptied. Repeated by the caller until the node's report shows it; one call at a time.
    pub fn drain(&mut self, asking: Asking<'_>, request: DrainRequest) {
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    const DEADLINE: Duration = Duration::from_secs(10);
    const SLACK: Duration = Duration::from_secs(5);
    const SECOND: Duration = Duration::from_secs(1);

    fn report(reasons: &[&str], publishers: u32) -> NodeReport {
        serde_json::from_value(json!({
            "apiVersion": 1, "version": "0", "name": "sfu-3", "incarnation": "0.1", "adminUrl": "http://a", "clientUrl": "http://c",
            "revision": 1, "workers": 1, "linkEncryption": true, "ready": reasons.is_empty(), "draining": !reasons.is_empty(), "drain": {"reasons": reasons},
            "redis": true, "peers": [], "links": [], "publications": [], "carried": [], "viewers": 0, "publishers": publishers,
        }))
        .unwrap()
    }

    #[test]
    fn a_drain_that_never_reached_the_node_does_not_shorten_the_next_one() {
        let (start, undrained) = (Instant::now(), report(&[], 1));
        let mut leaving = Leaving::default();
        leaving.observe(true, Some(&undrained), start);
        // The call has failed, and then the node was wanted again.
        leaving.observe(false, Some(&undrained), start + SECOND);
        let again = start + 100 * DEADLINE;
        leaving.observe(true, Some(&undrained), again);
        let done = |after| leaving.is_done(Some(&undrained), DEADLINE, SLACK, again + after);
        assert!(!done(DEADLINE), "its publisher has the whole deadline");
        assert!(done(DEADLINE + SLACK + SECOND));
    }

    #[test]
    fn a_node_that_falls_silent_while_it_leaves_is_not_waited_for_beyond_its_deadline() {
        let start = Instant::now();
        let mut leaving = Leaving::default();
        leaving.observe(true, Some(&report(&[], 1)), start);
        leaving.observe(false, Some(&report(&["roll"], 1)), start + SECOND);
        leaving.observe(false, None, start + 2 * SECOND);
        let done = |after| leaving.is_done(None, DEADLINE, SLACK, start + after);
        assert!(!done(DEADLINE + SLACK));
        assert!(done(DEADLINE + SLACK + SECOND));
    }

    #[test]
    fn a_drained_node_is_done_once_it_is_empty() {
        let (start, mut leaving) = (Instant::now(), Leaving::default());
        for (report, done) in [(report(&["scaleDown"], 1), false), (report(&["scaleDown"], 0), true)] {
            leaving.observe(true, Some(&report), start);
            assert_eq!(leaving.is_done(Some(&report), DEADLINE, SLACK, start), done);
        }
        let elsewhere = report(&["manual"], 0);
        leaving.observe(false, Some(&elsewhere), start);
        assert!(
            !leaving.is_done(Some(&elsewhere), DEADLINE, SLACK, start),
            "drained for a person"
        );
    }
}
