//! The one call about a node's drain that is under way.

use crate::cluster::note::{Note, Tone};
use crate::terminal::Terminal;
use parking_lot::Mutex;
use sfumato_admin_api::client::NodeAdmin;
use sfumato_admin_api::types::{DrainReason, DrainRequest};
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
        let (name, url) = (asking.name.to_owned(), asking.url.to_owned());
        let (admin, terminal) = (Arc::clone(asking.admin), asking.terminal.clone());
        let told = Arc::clone(&self.told);
        self.start(async move {
            let request = DrainRequest {
                reason,
                deadline_seconds: Some(deadline.as_secs()),
            };
            match admin.drain(&url, &request).await {
                Ok(_) => tell_once(&terminal, &told, Note::draining(&name, deadline, reason)),
                Err(error) => terminal.warn(&format!("{name} could not be told to drain: {error}")),
            }
        });
    }

    /// Has the node accept sessions again, as far as we are concerned.
    pub fn lift(&mut self, asking: Asking<'_>, reason: DrainReason) {
        let (name, url) = (asking.name.to_owned(), asking.url.to_owned());
        let (admin, terminal) = (Arc::clone(asking.admin), asking.terminal.clone());
        let told = Arc::clone(&self.told);
        self.start(async move {
            match admin.undrain(&url, reason).await {
                Ok(_) => tell_once(&terminal, &told, Note::drain_lifted(&name, reason)),
                Err(error) => terminal.warn(&format!("{name} could not be told to take sessions again: {error}")),
            }
        });
    }

    fn start(&mut self, call: impl Future<Output = ()> + Send + 'static) {
        if self.call.as_ref().is_none_or(JoinHandle::is_finished) {
            self.call = Some(tokio::spawn(call));
        }
    }
}

fn tell_once(terminal: &Terminal, told: &Mutex<Option<Note>>, note: Note) {
    let mut told = told.lock();
    if told.as_ref() != Some(&note) {
        tell(terminal, &note);
        *told = Some(note);
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
