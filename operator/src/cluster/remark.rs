//! How a state is told: one word for machines, one sentence for people.

/// Reason and message of a condition or an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    /// What one filters by: `ImageNotPulled`. One of a closed set.
    pub reason: &'static str,
    /// What is the case, and what to do.
    pub message: String,
}

impl Remark {
    pub fn new(reason: &'static str, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { reason, message }
    }

    /// Names that are wanted are still taken by what is being deleted.
    #[must_use]
    pub fn waiting_for_deletion(names: &[String]) -> Self {
        let names = names.join(", ");
        Self::new(
            "WaitingForDeletion",
            format!("waiting until Kubernetes has deleted {names}; then they are made anew"),
        )
    }

    /// What is wanted cannot be carried out, as `problem` says.
    pub fn invalid_spec(problem: impl std::fmt::Display) -> Self {
        Self::new("InvalidSpec", format!("{problem}; what ran before runs on"))
    }
}
