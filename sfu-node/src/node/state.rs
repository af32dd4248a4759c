//! What a node is doing, and who waits to hear of changes.

use crate::sessions::drain::Drain;
use crate::streams::publication_log::PublicationLog;
use parking_lot::Mutex;
use sfumato_admin_api::types::PublicationId;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::watch;

/// Why a node takes no sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotReady {
    /// Its listeners are not open yet.
    Starting,
    /// It does not know yet at which addresses clients reach it.
    Unaddressed,
    /// It is being emptied.
    Draining,
}

impl fmt::Display for NotReady {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Starting => "is starting",
            Self::Unaddressed => "does not know yet at which addresses clients reach it",
            Self::Draining => "is draining",
        })
    }
}

/// Whether the node has started, whether it is drained, and the revisions that long polls wait on.
pub struct State {
    /// Why it is being drained, and how far that has come.
    pub drain: Mutex<Drain>,
    /// Set by the first failure that ends the process.
    pub fatal: watch::Sender<Option<String>>,
    started: AtomicBool,
    /// Whether the node knows what to tell clients of its addresses.
    addressed: AtomicBool,
    /// Why it does not, for people.
    address_problem: Mutex<Option<String>>,
    report: watch::Sender<u64>,
    publications: watch::Sender<PublicationLog>,
}

impl State {
    /// Starting; `fatal` is set by whatever ends the process.
    pub fn new(fatal: watch::Sender<Option<String>>) -> Self {
        Self {
            drain: Mutex::default(),
            fatal,
            started: AtomicBool::new(false),
            addressed: AtomicBool::new(false),
            address_problem: Mutex::default(),
            report: watch::Sender::new(1),
            publications: watch::Sender::default(),
        }
    }

    /// Something in the report changed other than counters. To be called after the change, with no lock held that a report
    /// needs.
    pub fn touch(&self) {
        self.report.send_modify(|revision| *revision += 1);
    }

    /// Whether this node takes sessions has changed, or peers are to be answered at once.
    pub fn touch_readiness(&self) {
        self.publications.send_modify(PublicationLog::turn);
        self.touch();
    }

    /// An own publication has begun.
    pub fn publication_began(&self, publication: &PublicationId) {
        self.publications.send_modify(|log| log.began(publication));
        self.touch();
    }

    /// Own publications have changed.
    pub fn publications_changed<'a>(&self, publications: impl IntoIterator<Item = &'a PublicationId>) {
        if self.publications.send_if_modified(|log| log.changed(publications)) {
            self.touch();
        }
    }

    /// An own publication has ended.
    pub fn publication_ended(&self, publication: &PublicationId) {
        self.publications.send_modify(|log| log.ended(publication));
        self.touch();
    }

    /// Revision of the report, to wait on.
    pub fn revision(&self) -> watch::Receiver<u64> {
        self.report.subscribe()
    }

    /// What changed in the own publications, to wait on.
    pub fn publication_log(&self) -> watch::Receiver<PublicationLog> {
        self.publications.subscribe()
    }

    /// Whether new sessions are welcome.
    pub fn is_ready(&self) -> bool {
        self.started.load(Ordering::Relaxed) && self.addressed.load(Ordering::Relaxed) && !self.is_draining()
    }

    /// Why they are not, where they are not.
    pub fn why_not_ready(&self) -> NotReady {
        if self.is_draining() {
            NotReady::Draining
        } else if self.started.load(Ordering::Relaxed) {
            NotReady::Unaddressed
        } else {
            NotReady::Starting
        }
    }

    /// Whether it knows what to tell clients of its addresses; answers whether that is new.
    pub fn set_addressed(&self, known: bool) -> bool {
        let is_new = self.addressed.swap(known, Ordering::Relaxed) != known;
        if is_new {
            self.touch_readiness();
        }
        is_new
    }

    /// Why it does not know that, for people.
    pub fn address_problem(&self) -> Option<String> {
        self.address_problem.lock().clone()
    }

    /// Why it does not know that, if it does not.
    pub fn set_address_problem(&self, problem: Option<String>) {
        let before = std::mem::replace(&mut *self.address_problem.lock(), problem);
        if before != self.address_problem() {
            self.touch();
        }
    }

    /// The listeners are open.
    pub fn set_started(&self) {
        self.started.store(true, Ordering::Relaxed);
        self.touch_readiness();
    }

    /// Whether the node is being drained.
    pub fn is_draining(&self) -> bool {
        self.drain.lock().is_on()
    }
}
