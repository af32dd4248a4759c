//! Why a child could not be brought in line with what is desired, and whether trying again can help.

use crate::cluster::convergence::Refusal;
use crate::cluster::remark::Remark;
use crate::controller::watch::ownership::{NAME_TAKEN, Taken};
use crate::controller::words::words;

/// Why a child could not be brought in line.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    #[error("{kind} {name} cannot be applied: {}", words(source))]
    Refused {
        kind: String,
        name: String,
        source: kube::Error,
    },
    #[error(transparent)]
    Taken(#[from] Taken),
    #[error("{kind} {name} cannot be written: {source}")]
    Unwritable {
        kind: String,
        name: String,
        source: serde_json::Error,
    },
}

impl ApplyError {
    /// The same as a reason why a manifest is not carried out.
    #[must_use]
    pub fn refusal(&self) -> Refusal {
        let is_final = match self {
            Self::Taken(_) | Self::Unwritable { .. } => true,
            Self::Refused { source, .. } => is_final(source),
        };
        Refusal {
            remark: self.remark(),
            is_final,
        }
    }

    /// The same as a condition says it.
    #[must_use]
    pub fn remark(&self) -> Remark {
        let reason = match self {
            Self::Taken(_) => NAME_TAKEN,
            Self::Refused { .. } | Self::Unwritable { .. } => "ApplyRefused",
        };
        Remark::new(reason, self.to_string())
    }
}

/// Whether the API server refuses the same again: it says that it may not be (403), or makes no sense (400, 422).
#[must_use]
pub fn is_final(error: &kube::Error) -> bool {
    matches!(error_code(error), Some(400 | 403 | 422))
}

pub(super) fn error_code(error: &kube::Error) -> Option<u16> {
    match error {
        kube::Error::Api(status) => Some(status.code),
        _ => None,
    }
}
