//! Emptying the node: carries out what [`crate::drain`] finds due.

use crate::drain::Left;
use crate::node::Node;
use crate::problem::Problem;
use crate::session::{EndReason, Role, SessionId};
use axum::http::StatusCode;
use sfumato_admin_api::types::{DrainReason, DrainRequest, DrainState, LinkState, MAX_DRAIN_SECONDS};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often a node that is drained looks what is due.
pub const LOOK_EVERY: Duration = Duration::from_millis(100);

impl Node {
    /// `POST /admin/v1/drain`.
    pub fn drain_on_request(&self, request: &DrainRequest) -> Result<DrainState, Problem> {
        let refused = |field: &str, detail: String| {
            Err(Problem::new(StatusCode::BAD_REQUEST, "Malformed request", detail).field(field))
        };
        match request.reason {
            DrainReason::Manual | DrainReason::Roll | DrainReason::ScaleDown => {}
            DrainReason::Sigterm => {
                let detail = "sigterm is the reason of a process that was told to end: send the signal".to_owned();
                return refused("reason", detail);
            }
            DrainReason::Other => return refused("reason", "use manual, roll or scaleDown".to_owned()),
        }
        let deadline = match request.deadline_seconds {
            None => self.options.drain_deadline,
            Some(seconds) if seconds <= MAX_DRAIN_SECONDS => Duration::from_secs(seconds),
            Some(seconds) => {
                let detail = format!("{seconds} is too long: use 0 to {MAX_DRAIN_SECONDS} seconds");
                return refused("deadlineSeconds", detail);
            }
        };
        Ok(self.drain_for(request.reason, deadline))
    }

    /// Empties the node for one more reason; publishers stay for `deadline`.
    pub fn drain_for(&self, reason: DrainReason, deadline: Duration) -> DrainState {
        let now = Instant::now();
        let (new, state) = {
            let mut drain = self.drain.lock();
            (drain.add(reason, deadline, now), drain.state(now))
        };
        if new {
            let left = self.left();
            tracing::info!(%reason, publishers = left.publishers, viewers = left.viewers,
                deadline = %humantime::format_duration(deadline), "draining: no new sessions");
            // Peers must know at once that no viewer can be sent here.
            self.touch_readiness();
        }
        state
    }

    /// `DELETE /admin/v1/drain`: lifts one reason and no other.
    pub fn undrain(&self, reason: DrainReason) -> Result<DrainState, Problem> {
        if matches!(reason, DrainReason::Sigterm | DrainReason::Other) {
            let detail = format!("{reason} cannot be lifted: the process ends once it is empty");
            return Err(Problem::conflict(detail).field("reason"));
        }
        let (held, state) = {
            let mut drain = self.drain.lock();
            (drain.lift(reason), drain.state(Instant::now()))
        };
        if held {
            let rest: Vec<&str> = state.reasons.iter().map(|reason| reason.as_str()).collect();
            tracing::info!(%reason, rest = rest.join(" "), "a reason to drain is lifted");
            self.touch_readiness();
        }
        Ok(state)
    }

    /// Why the node is drained, if it is.
    pub fn drain_state(&self) -> DrainState {
        self.drain.lock().state(Instant::now())
    }

    /// Returns once the node is empty and its process should end for it.
    pub async fn emptied(&self) {
        let ends = |_: &u64| self.drain.lock().ends_process() && self.left().is_empty();
        // The sender is our own: it lives as long as this.
        let _ = self.revision().wait_for(ends).await;
    }

    /// One look at what is due; to be called every [`LOOK_EVERY`].
    pub async fn empty_what_is_due(self: &Arc<Self>) {
        if !self.is_draining() {
            return;
        }
        let (left, elsewhere) = (self.left(), self.viewers_can_go_elsewhere());
        let due = self.drain.lock().due(left, elsewhere, Instant::now());
        let mut ending: Vec<(SessionId, EndReason)> = Vec::new();
        let (mut viewers, mut publishers) = (due.viewers, 0);
        for session in self.sessions.all() {
            match session.role {
                Role::Viewer { .. } if viewers > 0 => {
                    viewers -= 1;
                    session.announce_reconnect(None);
                    ending.push((session.id.clone(), EndReason::Drained));
                }
                Role::Publisher { .. } if due.publishers => {
                    publishers += 1;
                    ending.push((session.id.clone(), EndReason::DrainDeadline));
                }
                _ => {}
            }
        }
        if publishers > 0 {
            tracing::warn!(publishers, "the deadline of the drain is over: publishers are ended");
        }
        futures::future::join_all(ending.iter().map(|(id, why)| self.end_session(id, *why))).await;
    }

    fn left(&self) -> Left {
        let (publishers, viewers) = self.sessions.count();
        Left {
            publishers: publishers as usize,
            viewers: viewers as usize,
        }
    }

    /// Whether a viewer that is sent away finds its stream elsewhere: on a peer that takes sessions and to which streams
    /// can be carried now.
    fn viewers_can_go_elsewhere(&self) -> bool {
        let ready = self.peers.that_are_ready();
        self.links.lock().values().any(|link| {
            link.state() == LinkState::Fresh
                && ready
                    .iter()
                    .any(|peer| peer.name == link.peer.name && peer.incarnation == link.peer.incarnation)
        })
    }
}
