//! Why a reconcile failed: the errors of its stages in one.

use super::secret::SecretError;
use super::stages::apply::ApplyError;
use super::stages::dereference::DereferenceError;
use super::stages::write_status::StatusError;
use super::watch::ownership::NAME_TAKEN;
use sfumato_admin_api::files::TlsError;
use std::time::Duration;

/// Longest time that one reconcile may take: an API server that does not answer holds up nothing but this.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// Why a reconcile failed. It is tried again. An object that cannot be carried out is no failure: it waits for its owner.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Dereference(#[from] DereferenceError),
    /// The admin Secret holds no CA that nodes can be called with.
    #[error(transparent)]
    Mesh(#[from] TlsError),
    #[error(transparent)]
    Apply(#[from] ApplyError),
    #[error(transparent)]
    Status(#[from] StatusError),
    #[error("the reconcile took more than {} s; does the API server answer?", DEADLINE.as_secs())]
    Deadline,
}

impl Error {
    /// One word, for metrics.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Dereference(DereferenceError::Secret {
                source: SecretError::Taken(_),
                ..
            }) => NAME_TAKEN,
            Self::Dereference(DereferenceError::Secret { .. }) | Self::Mesh(_) => "SecretRefused",
            Self::Dereference(DereferenceError::Events(_)) => "EventsRefused",
            Self::Apply(ApplyError::Taken(_)) => NAME_TAKEN,
            Self::Apply(_) => "ApplyRefused",
            Self::Status(_) => "StatusRefused",
            Self::Deadline => "Deadline",
        }
    }
}
