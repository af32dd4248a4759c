//! Whether the definition of SfuCluster is there. Somebody may delete it while the operator runs, and apply it again: without
//! it there is nothing to watch, and the watch that ends with it would come back only after the longest pause of its back-off.

use kube::runtime::watcher;
use std::time::Duration;
use tokio::sync::watch;

/// Between two looks for a definition that is not there.
pub const AGAIN: Duration = Duration::from_secs(1);

/// What the operator's readiness waits for meanwhile.
const MISSING: &str =
    "the definition of SfuCluster, which the API server does not know: apply it, as `sfu-operator crds` prints it";

/// Says in the log and by the operator's readiness that there is no definition, and that it is back.
#[derive(Debug, Clone)]
pub struct Definition {
    waiting: watch::Sender<Option<&'static str>>,
    missing: bool,
}

impl Definition {
    /// `waiting` is what `/readyz` waits for.
    #[must_use]
    pub fn new(waiting: watch::Sender<Option<&'static str>>) -> Self {
        Self {
            waiting,
            missing: false,
        }
    }

    /// There is none.
    pub fn is_missing(&mut self) {
        if std::mem::replace(&mut self.missing, true) {
            return;
        }
        tracing::warn!("waiting for {MISSING}");
        // At its start, the operator waits for all that there is.
        self.waiting.send_if_modified(|waiting| {
            let first = waiting.is_none();
            if first {
                *waiting = Some(MISSING);
            }
            first
        });
    }

    /// SfuClusters have been listed.
    pub fn is_there(&mut self) {
        if !std::mem::take(&mut self.missing) {
            return;
        }
        tracing::info!("the definition of SfuCluster is there");
        self.waiting.send_if_modified(|waiting| {
            let ours = *waiting == Some(MISSING);
            if ours {
                *waiting = None;
            }
            ours
        });
    }
}

/// Whether the API server does not know what is watched.
#[must_use]
pub fn is_unknown(error: &watcher::Error) -> bool {
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status))
        | watcher::Error::WatchFailed(kube::Error::Api(status))
        | watcher::Error::WatchError(status) => status.code == 404,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readiness_says_that_the_definition_is_missing_and_only_that_is_taken_back() {
        let (waiting, waits) = watch::channel(None);
        let mut definition = Definition::new(waiting);
        definition.is_there();
        assert_eq!(*waits.borrow(), None);
        definition.is_missing();
        definition.is_missing();
        assert_eq!(*waits.borrow(), Some(MISSING));
        definition.is_there();
        assert_eq!(*waits.borrow(), None);
    }

    #[test]
    fn an_operator_that_starts_goes_on_to_wait_for_all_that_there_is() {
        let (waiting, waits) = watch::channel(Some("what there is"));
        let mut definition = Definition::new(waiting);
        definition.is_missing();
        definition.is_there();
        assert_eq!(*waits.borrow(), Some("what there is"));
    }
}
