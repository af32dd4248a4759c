//! Events: what `kubectl describe` shows below an object, and what local mode prints. Those about the way of a node are
//! worded here, the others by whoever has something to say.

use sfumato_admin_api::types::DrainReason;
use std::time::Duration;

/// Whether an event is as it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// As it should be.
    Normal,
    /// Somebody may want to look.
    Warning,
}

/// Something worth an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    pub tone: Tone,
    /// Word by which it is found: `MeshWhole`.
    pub reason: &'static str,
    /// What the operator was doing: `Linking`.
    pub action: &'static str,
    pub text: String,
}

impl Note {
    /// A node has been told to drain.
    #[must_use]
    pub fn draining(node: &str, deadline: Duration, reason: DrainReason) -> Self {
        let deadline = deadline.as_secs();
        Self {
            tone: Tone::Normal,
            reason: "Draining",
            action: "Draining",
            text: format!("{node} accepts no new sessions and is drained within {deadline} s ({reason})"),
        }
    }

    /// A reason for a drain has been lifted.
    #[must_use]
    pub fn drain_lifted(node: &str, reason: DrainReason) -> Self {
        Self {
            tone: Tone::Normal,
            reason: "DrainLifted",
            action: "Draining",
            text: format!("{node} is needed again and accepts sessions ({reason})"),
        }
    }

    /// A node with an older template or older arguments is ended, and its successor starts.
    #[must_use]
    pub fn replacing(node: &str) -> Self {
        Self {
            tone: Tone::Normal,
            reason: "Replacing",
            action: "Rolling",
            text: format!("{node} is replaced"),
        }
    }
}
