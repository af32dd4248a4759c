//! Why a reconcile failed: the errors of its stages in one.

use super::secret::SecretError;
use super::stages::apply_error::{ApplyError, is_final};
use super::stages::dereference::DereferenceError;
use super::stages::write_status::StatusError;
use super::watch::ownership::NAME_TAKEN;
use crate::cluster::convergence::{Effort, Refusal};
use crate::cluster::remark::Remark;
use crate::cluster::status_notes::API_SERVER_SLOW;
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
    /// What was asked for last is told, where it is a child.
    #[error(
        "the API server took more than {} s for what was asked of it{}: see whether it and its admission webhooks answer; the rest is asked \
         for again",
        DEADLINE.as_secs(),
        .waiting_for.as_deref().map(|object| format!(", at last for {object}")).unwrap_or_default()
    )]
    Deadline { waiting_for: Option<String> },
}

impl Error {
    /// The same as a reason why a manifest is not carried out: what is waited for, or who refuses what.
    #[must_use]
    pub fn effort(&self) -> Effort {
        let refused = (!self.is_passing()).then(|| Refusal {
            remark: Remark::new(self.reason(), self.to_string()),
            is_final: self.is_final(),
        });
        let under_way = match self {
            Self::Dereference(error) => error.waits(),
            _ => None,
        };
        Effort {
            under_way,
            refused,
            ..Effort::default()
        }
    }

    /// Whether a second look finds what this one did not.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Dereference(error) if error.is_passing())
    }

    /// Whether trying the same again cannot help: the API server has said no, and will say so again, or the object is somebody
    /// else's.
    fn is_final(&self) -> bool {
        match self {
            Self::Dereference(DereferenceError::Secret { source, .. }) => match source {
                SecretError::Taken(_) => true,
                SecretError::Api(error) => is_final(error),
                _ => false,
            },
            _ => false,
        }
    }

    /// One word, for metrics.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Dereference(DereferenceError::Secret {
                source: SecretError::Taken(_),
                ..
            }) => NAME_TAKEN,
            Self::Dereference(DereferenceError::Secret { .. }) | Self::Mesh(_) => "SecretRefused",
            Self::Apply(ApplyError::Taken(_)) => NAME_TAKEN,
            Self::Apply(_) => "ApplyRefused",
            Self::Status(_) => "StatusRefused",
            Self::Deadline { .. } => API_SERVER_SLOW,
        }
    }
}
