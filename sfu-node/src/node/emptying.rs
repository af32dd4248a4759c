//! Draining the node: carries out what [`crate::sessions::drain`] finds due.

use super::Node;
use crate::ids::SessionId;
use crate::sessions::drain::Left;
use crate::sessions::end_reason::EndReason;
use crate::sessions::session::Role;
use sfumato_admin_api::types::{DrainReason, DrainRequest, DrainState, MAX_DRAIN_SECONDS};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often a node that is drained looks what is due.
pub const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Why a call about draining was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DrainRefused {
    /// A field of the request cannot be right.
    #[error("{detail}")]
    Malformed {
        field: &'static str,
        /// What is wrong with it, and what would be right.
        detail: String,
    },
    /// The reason is not one that anybody may lift.
    #[error("{0} cannot be lifted: the process ends once it is empty")]
    CannotLift(DrainReason),
}

impl Node {
    /// `POST /admin/v1/drain`.
    pub fn drain_on_request(&self, request: &DrainRequest) -> Result<DrainState, DrainRefused> {
        let refused = |field: &'static str, detail: String| Err(DrainRefused::Malformed { field, detail });
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
            let mut drain = self.state.drain.lock();
            (drain.add(reason, deadline, now), drain.state(now))
        };
        if new {
            let left = self.left();
            tracing::info!(%reason, publishers = left.publishers, viewers = left.viewers,
                deadline = %humantime::format_duration(deadline), "draining: no new sessions");
            // Peers must know at once that no viewer can be sent here.
            self.state.touch_readiness();
        }
        state
    }

    /// `DELETE /admin/v1/drain`: lifts one reason and no other.
    pub fn undrain(&self, reason: DrainReason) -> Result<DrainState, DrainRefused> {
        if matches!(reason, DrainReason::Sigterm | DrainReason::Other) {
            return Err(DrainRefused::CannotLift(reason));
        }
        let (held, state) = {
            let mut drain = self.state.drain.lock();
            (drain.lift(reason), drain.state(Instant::now()))
        };
        if held {
            let rest: Vec<&str> = state.reasons.iter().map(|reason| reason.as_str()).collect();
            tracing::info!(%reason, rest = rest.join(" "), "a reason to drain is lifted");
            self.state.touch_readiness();
        }
        Ok(state)
    }

    /// Why the node is drained, if it is.
    pub fn drain_state(&self) -> DrainState {
        self.state.drain.lock().state(Instant::now())
    }

    /// Returns once the node is empty and its process should end for it.
    pub async fn emptied(&self) {
        let ends = |_: &u64| self.state.drain.lock().ends_process() && self.left().is_empty();
        // The sender is our own: it lives as long as this.
        let _ = self.state.revision().wait_for(ends).await;
    }

    /// One look at what is due; to be called every [`LOOK_EVERY`].
    pub async fn empty_what_is_due(self: &Arc<Self>) {
        if !self.state.is_draining() {
            return;
        }
        let (left, elsewhere) = (self.left(), self.viewers_can_go_elsewhere());
        let due = self.state.drain.lock().due(left, elsewhere, Instant::now());
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
        self.links.is_fresh_to_any(&self.streams.peers.that_are_ready())
    }
}
