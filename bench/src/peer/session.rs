//! What both kinds of peer have: a session on a server, a task that runs it, and an end with a reason.

use super::engine::Engine;
use super::error::{CloseReason, PeerError};
use super::http;
use reqwest::Url;
use serde::Serialize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use str0m::{Event, IceConnectionState, Rtc};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

/// Where a session stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", tag = "state", content = "close")]
pub enum ConnectionState {
    /// ICE and DTLS are under way.
    Connecting,
    /// Media can flow.
    Connected,
    /// It is over.
    Closed(CloseReason),
}

impl ConnectionState {
    /// `connecting`, `connected` or `closed`.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::Connected => "connected",
            Self::Closed(_) => "closed",
        }
    }
}

/// The owner's end of a session. Dropping it closes the session without a DELETE.
pub(super) struct Session {
    pub url: Url,
    location: Url,
    token: Option<String>,
    state: watch::Receiver<ConnectionState>,
    cancel: CancellationToken,
    /// Set once the server has ended the session: there is nobody left to say goodbye to.
    deleted: Arc<AtomicBool>,
    _close_on_drop: DropGuard,
    task: JoinHandle<()>,
}

/// The task's end of a session.
pub(super) struct Running {
    pub cancel: CancellationToken,
    deleted: Arc<AtomicBool>,
    state: watch::Sender<ConnectionState>,
}

impl Session {
    /// Starts the task of a session that the server has made.
    pub(super) fn spawn<F>(url: Url, location: Url, token: Option<String>, task: impl FnOnce(Running) -> F) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (sender, state) = watch::channel(ConnectionState::Connecting);
        let (cancel, deleted) = (CancellationToken::new(), Arc::default());
        let task = tokio::spawn(task(Running {
            cancel: cancel.clone(),
            deleted: Arc::clone(&deleted),
            state: sender,
        }));
        Self {
            url,
            location,
            token,
            state,
            deleted,
            _close_on_drop: cancel.clone().drop_guard(),
            cancel,
            task,
        }
    }

    /// URL of the session at the server.
    pub(super) fn location(&self) -> &Url {
        &self.location
    }

    pub(super) fn state(&self) -> ConnectionState {
        self.state.borrow().clone()
    }

    /// Resolves when the session has ended, at once if it has.
    pub(super) async fn closed(&self) -> CloseReason {
        let mut state = self.state.clone();
        loop {
            if let ConnectionState::Closed(reason) = &*state.borrow_and_update() {
                return reason.clone();
            }
            if state.changed().await.is_err() {
                return CloseReason::Failed("the task of the session is gone".to_owned());
            }
        }
    }

    /// Waits until `condition` gives a value.
    pub(super) async fn wait_for<T>(
        &self,
        what: &str,
        within: Duration,
        describe: impl Fn() -> String,
        mut condition: impl FnMut() -> Option<T>,
    ) -> Result<T, PeerError> {
        let last = Instant::now() + within;
        loop {
            if let Some(value) = condition() {
                return Ok(value);
            }
            if let ConnectionState::Closed(reason) = self.state() {
                return Err(PeerError::Closed {
                    url: self.url.to_string(),
                    reason,
                    what: what.to_owned(),
                });
            }
            if Instant::now() >= last {
                return Err(PeerError::Deadline {
                    url: self.url.to_string(),
                    what: what.to_owned(),
                    within,
                    state: describe(),
                });
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// DELETEs the session at the server, then ends the task; the task ends even if the DELETE fails.
    pub(super) async fn stop(self) -> Result<(), PeerError> {
        let deleted = http::delete(&self.location, self.token.as_deref()).await;
        self.deleted.store(deleted.is_ok(), Ordering::Relaxed);
        self.close().await;
        deleted
    }

    /// Ends the task at this moment, without a word to the server.
    pub(super) fn vanish(self) {
        self.task.abort();
    }

    /// Ends the task with a goodbye over DTLS, and no DELETE.
    pub(super) async fn close(self) {
        self.cancel.cancel();
        // It can only have panicked, which the test or the log shows.
        let _ = self.task.await;
    }
}

impl Running {
    /// Follows an event; a reason when it ends the session.
    pub(super) fn follow(&self, event: &Event) -> Option<CloseReason> {
        match event {
            Event::Connected => {
                self.state.send_replace(ConnectionState::Connected);
                None
            }
            Event::Closed => Some(CloseReason::Remote),
            Event::IceConnectionStateChange(IceConnectionState::Disconnected) => Some(CloseReason::IceLost),
            _ => None,
        }
    }

    /// Reasons to end that come without an event.
    pub(super) fn over(&self, rtc: &Rtc, last_received: Instant, silence: Duration) -> Option<CloseReason> {
        if self.cancel.is_cancelled() {
            Some(CloseReason::Local)
        } else if !rtc.is_alive() {
            Some(CloseReason::Remote)
        } else if last_received.elapsed() >= silence {
            Some(CloseReason::Silence)
        } else {
            None
        }
    }

    /// Ends the engine and says that the session has ended. Goodbye is said only to a server that still knows us.
    pub(super) async fn end(&self, engine: &mut Engine, reason: CloseReason) {
        if reason == CloseReason::Local && !self.deleted.load(Ordering::Relaxed) {
            engine.close().await;
        }
        engine.rtc.disconnect();
        self.state.send_replace(ConnectionState::Closed(reason));
    }
}
