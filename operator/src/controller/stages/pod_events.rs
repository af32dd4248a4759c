//! What kubelets say of a pod that is about to start for long, in events only: which volume, Secret or network it waits for.

use crate::cluster::status::Facts;
use crate::controller::watch::seen::Pod;
use k8s_openapi::api::core::v1::Event;
use kube::ResourceExt;

/// Reasons of events that say what a pod waits for.
const OBSTACLES: [&str; 3] = ["FailedMount", "FailedAttachVolume", "FailedCreatePodSandBox"];

/// What one pod waits for, in the words of its kubelet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Obstacle {
    pod: String,
    words: String,
}

impl Obstacle {
    /// Of a pod with these events, if they name one.
    #[must_use]
    pub fn of(pod: &Pod, events: Vec<Event>) -> Option<Self> {
        let (pod, words) = (pod.name_any(), last_words(events)?);
        Some(Self { pod, words })
    }

    /// Puts it into what is said of its pod.
    pub fn add_to(&self, facts: &mut Facts<'_>) {
        let of_nodes = facts.nodes.iter_mut().map(|node| &mut node.trouble);
        let all = of_nodes.chain([&mut facts.front_door.trouble, &mut facts.others]);
        let about = format!("{} has been about to start", self.pod);
        for remark in all.flatten().filter(|remark| remark.message.starts_with(&about)) {
            remark.message = format!("{}: {}", remark.message, self.words);
        }
    }
}

/// The newest of them.
fn last_words(events: Vec<Event>) -> Option<String> {
    let tells = |event: &Event| {
        let reason = event.reason.as_deref();
        reason.is_some_and(|reason| OBSTACLES.contains(&reason))
    };
    let at = |event: &Event| event.last_timestamp.as_ref().map(|time| time.0);
    let newest = events.into_iter().filter(tells).max_by_key(at)?;
    newest.message
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn the_newest_event_that_names_an_obstacle_counts() {
        let event = |reason: &str, second: u32, message: &str| {
            json!({ "metadata": {}, "involvedObject": {}, "reason": reason, "message": message,
                    "lastTimestamp": format!("2026-01-01T00:00:{second:02}Z") })
        };
        let all = json!([
            event("FailedMount", 1, "secret a"),
            event("FailedMount", 3, "secret b"),
            event("BackOff", 4, "no"),
        ]);
        let words = |events: Value| last_words(serde_json::from_value(events).unwrap());
        assert_eq!(words(all), Some("secret b".to_owned()));
        assert_eq!(words(json!([])), None);
    }
}
