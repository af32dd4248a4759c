//! The one call about a node's drain that is under way.

use crate::cluster::note::{Note, Tone};
use crate::terminal::Terminal;
use parking_lot::Mutex;
use sfumato_admin_api::client::NodeAdmin;
use sfumato_admin_api::program::task;
use sfumato_admin_api::types::{DrainReason, DrainRequest};
use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;

/// Whom to ask, and where to tell how that went.
#[derive(Clone, Copy)]
pub struct Asking<'a> {
    pub name: &'a str,
    pub url: &'a str,
    pub admin: &'a Arc<dyn NodeAdmin>,
    pub terminal: &'a Terminal,
}

/// Repeated by the caller until the node's report shows it; one call at a time, and told once.
#[derive(Debug, Default)]
pub struct DrainCall {
    call: Option<JoinHandle<()>>,
    told: Arc<Mutex<Option<Note>>>,
}

impl DrainCall {
    /// Has the node drained.
    pub fn drain(&mut self, asking: Asking<'_>, reason: DrainReason, deadline: Duration) {
        let (admin, url) = (Arc::clone(asking.admin), asking.url.to_owned());
        let request = DrainRequest {
            reason,
            deadline_seconds: Some(deadline.as_secs()),
        };
        let call = async move { admin.drain(&url, &request).await.map(drop) };
        self.start(asking, call, Note::draining(asking.name, deadline, reason), "drain");
    }

    /// Has the node accept sessions again, as far as we are concerned.
    pub fn lift(&mut self, asking: Asking<'_>, reason: DrainReason) {
        let (admin, url) = (Arc::clone(asking.admin), asking.url.to_owned());
        let call = async move { admin.undrain(&url, reason).await.map(drop) };
        let note = Note::drain_lifted(asking.name, reason);
        self.start(asking, call, note, "take sessions again");
    }

    /// Makes the call, if none is under way, and tells of its success by `note`; `what` the node could not be told otherwise.
    fn start<E: Display>(
        &mut self,
        asking: Asking<'_>,
        call: impl Future<Output = Result<(), E>> + Send + 'static,
        note: Note,
        what: &'static str,
    ) {
        if self.call.as_ref().is_some_and(|call| !call.is_finished()) {
            return;
        }
        let (name, terminal, told) = (asking.name.to_owned(), asking.terminal.clone(), Arc::clone(&self.told));
        self.call = Some(task::brief("telling a node about its drain", async move {
            match call.await {
                Err(error) => terminal.warn(&format!("{name} could not be told to {what}: {error}")),
                Ok(()) => {
                    let mut told = told.lock();
                    if told.as_ref() != Some(&note) {
                        tell(&terminal, &note);
                        *told = Some(note);
                    }
                }
            }
        }));
    }
}

/// What would be an event on Kubernetes, in its words.
pub fn tell(terminal: &Terminal, note: &Note) {
    let line = format!("{}: {}", note.reason, note.text);
    match note.tone {
        Tone::Normal => terminal.say(&line),
        Tone::Warning => terminal.warn(&line),
    }
}
