//! How a state is told: one word for machines, one sentence for people.

use k8s_openapi::jiff::SignedDuration;

/// A pod or a process may take so long to start, to become ready or to end: images are large.
pub const SLOW: SignedDuration = SignedDuration::from_mins(3);

/// Reason of a pod or process that runs and does not become ready.
pub const NOT_READY: &str = "NotReady";
/// Reason of a pod that is given up, or is not, since its Kubernetes node is lost.
pub const HOST_LOST: &str = "HostLost";
/// Reason of a number of pods that somebody else sets and that is reverted.
pub const SCALED_ELSEWHERE: &str = "ScaledElsewhere";

/// Reason of a node whose clients cannot be told where they reach it.
pub const NO_MEDIA_ADDRESS: &str = "NoMediaAddress";

/// Reason of events that cannot be read.
pub const EVENTS_REFUSED: &str = "EventsRefused";

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

    /// What a pause holds back: what has `pods`, and these `others`. `None` where it holds nothing back.
    #[must_use]
    pub fn held_back(pods: bool, others: &[String]) -> Option<Self> {
        let pods = pods.then_some("pods");
        let all: Vec<&str> = pods.into_iter().chain(others.iter().map(String::as_str)).collect();
        let what = all.join(", ");
        let message = format!("spec.paused holds changes back ({what}): they are carried out when it is false");
        (!all.is_empty()).then(|| Self::new("Paused", message))
    }

    /// Something has run for [`SLOW`] without being ready; `advice` says where to look.
    #[must_use]
    pub fn not_ready(name: &str, advice: &str) -> Self {
        let minutes = SLOW.as_mins();
        Self::new(
            NOT_READY,
            format!("{name} runs, and has not been ready for more than {minutes} minutes: {advice}"),
        )
    }

    /// What is wanted cannot be carried out, as `problem` says.
    pub fn invalid_spec(problem: impl std::fmt::Display) -> Self {
        Self::new("InvalidSpec", format!("{problem}; what ran before runs on"))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_names_what_it_holds_back() {
        let service = ["Service live-web".to_owned()];
        let message = |pods, others: &[String]| Remark::held_back(pods, others).map(|remark| remark.message);
        assert_eq!(message(false, &[]), None);
        assert!(message(true, &[]).unwrap().contains("(pods)"));
        assert!(message(true, &service).unwrap().contains("(pods, Service live-web)"));
        assert!(message(false, &service).unwrap().contains("(Service live-web)"));
    }
}
