//! What errors of the API server say, without the debug form of a whole `Status` that kube appends to it.

use kube::runtime::watcher;

/// Of one call.
#[must_use]
pub fn words(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) if status.message.is_empty() => format!("{} {}", status.code, status.reason),
        kube::Error::Api(status) => status.message.clone(),
        other => other.to_string(),
    }
}

/// Of a watch.
#[must_use]
pub fn of_watch(error: &watcher::Error) -> String {
    match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => words(error),
        watcher::Error::WatchError(status) => words(&kube::Error::Api(status.clone())),
        other @ watcher::Error::NoResourceVersion => other.to_string(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    fn refused(status: serde_json::Value) -> kube::Error {
        kube::Error::Api(Box::new(serde_json::from_value(status).unwrap()))
    }

    #[test]
    fn a_refusal_is_told_in_the_words_of_the_api_server_only() {
        let forbidden = json!({ "code": 403, "reason": "Forbidden", "message": "you may not" });
        assert_eq!(words(&refused(forbidden.clone())), "you may not");
        assert_eq!(
            words(&refused(json!({ "code": 429, "reason": "TooManyRequests" }))),
            "429 TooManyRequests"
        );
        assert_eq!(
            of_watch(&watcher::Error::InitialListFailed(refused(forbidden))),
            "you may not"
        );
    }
}
