//! How long the operator waits for what nobody tells it, and how much it does at once.

use crate::cli::RunArgs;
use std::time::Duration;

/// Requests for children, statuses, Secrets and events at once, of all clusters together: a new leader has read and applied nothing yet. An
/// API server serves a few hundred requests at once, and others want some of them.
pub const REQUESTS_AT_ONCE: usize = 16;
/// How soon something is looked at again while it is not as desired.
const WHEN_BUSY: Duration = Duration::from_secs(5);

/// Times that the command line gives; each option says what they mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// How long after the end of its grace period a pod is taken for lost with its Kubernetes node.
    pub lost_after: Duration,
    /// How long an eviction may be refused before a person is told, and the node takes sessions again.
    pub eviction_patience: Duration,
    /// How long a pod may be without a Kubernetes node before a person is told.
    pub host_patience: Duration,
    /// How long clients may lack an address of a node before a person is told.
    pub address_patience: Duration,
    /// How long what was read of a Secret is believed: there is no watch on Secrets, which would need the right to read all.
    secrets_every: Duration,
}

impl Pace {
    #[must_use]
    pub fn of(args: &RunArgs) -> Self {
        Self {
            lost_after: args.lost_after,
            eviction_patience: args.eviction_patience,
            host_patience: args.host_patience,
            address_patience: args.address_patience,
            secrets_every: args.secrets_every,
        }
    }

    #[cfg(test)]
    pub fn for_tests() -> Self {
        Self {
            lost_after: Duration::from_secs(30),
            eviction_patience: Duration::from_secs(60),
            host_patience: Duration::from_secs(60),
            address_patience: Duration::from_secs(120),
            secrets_every: Duration::from_secs(60),
        }
    }

    /// How long what was read of a Kubernetes node is believed: there is no watch on these either.
    #[must_use]
    pub fn read_every(self) -> Duration {
        self.secrets_every
    }

    /// How long what was read of a Secret is believed, and so how soon a cluster is looked at again. `busy`: something is
    /// not as desired, perhaps because somebody deleted it.
    #[must_use]
    pub fn believed(self, busy: bool) -> Duration {
        if busy {
            WHEN_BUSY.min(self.secrets_every)
        } else {
            self.secrets_every
        }
    }
}
