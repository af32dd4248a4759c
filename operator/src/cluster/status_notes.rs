//! Which changes of a status are worth an event. Pure.

use super::convergence::{NO_PROGRESS, RECONCILING, STALLED};
use super::large_packets::LARGE_PACKETS_LOST;
use super::note::{Note, Tone};
use super::remark::{EVENTS_REFUSED, HOST_LOST, NO_MEDIA_ADDRESS, NOT_READY, SCALED_ELSEWHERE};
use super::status::ANSWER_REFUSED;
use crate::crd::status::SfuClusterStatus;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

/// Reasons of nodes, front door or Redis that do not get anywhere: those of a condition and of an event.
pub const TROUBLES: [&str; 8] = [
    "NoHost",
    "ImageNotPulled",
    "Crashing",
    "NotStarted",
    "OutOfMemory",
    "Evicted",
    NOT_READY,
    "NotEnding",
];

/// Reason of what the API server has taken too long for.
pub const API_SERVER_SLOW: &str = "ApiServerSlow";

/// Reason of a roll that waits for a disruption budget.
pub const EVICTION_REFUSED: &str = "EvictionRefused";

/// The events between two statuses.
#[must_use]
pub fn changes(before: &SfuClusterStatus, now: &SfuClusterStatus) -> Vec<Note> {
    let mut notes = Vec::new();
    let mut note = |tone, reason, action, text: &str| {
        notes.push(Note {
            tone,
            reason,
            action,
            text: text.to_owned(),
        });
    };
    let turned = |kind: &str, to: &str| -> Option<&Condition> {
        let now = condition(now, kind).filter(|c| c.status == to)?;
        let same = condition(before, kind).is_some_and(|c| c.status == now.status);
        (!same).then_some(now)
    };
    // At the beginning nothing is lost yet.
    let first = before.conditions.is_empty();
    if let Some(mesh) = turned("MeshReady", "True") {
        note(Tone::Normal, "MeshWhole", "Linking", &mesh.message);
    }
    // What we do ourselves is no warning: links that are to come, nodes that are replaced, and a Redis that starts with them.
    let ours = |status: &SfuClusterStatus| condition(status, RECONCILING).is_some();
    // Of large packets, Degraded tells.
    let broken = turned("MeshReady", "False").filter(|c| c.reason != LARGE_PACKETS_LOST);
    if let Some(mesh) = broken.filter(|_| !first && !ours(now)) {
        note(Tone::Warning, "MeshBroken", "Linking", &mesh.message);
    }
    let away = condition(now, "RedisReady").filter(|c| c.status == "False" && !ours(now));
    if let Some(redis) = away
        && (ours(before)
            || condition(before, "RedisReady").is_none_or(|c| (&c.status, &c.reason) != (&redis.status, &redis.reason)))
    {
        note(Tone::Warning, "RedisLost", "Watching", &redis.message);
    }
    if let Some(redis) = turned("RedisReady", "True").filter(|_| !first) {
        note(Tone::Normal, "RedisReached", "Watching", &redis.message);
    }
    // The words may change with every attempt of Kubernetes: the reason is what is new.
    let stuck = condition(now, "NodesReady").filter(|c| TROUBLES.contains(&c.reason.as_str()));
    if let Some(stuck) = stuck
        && condition(before, "NodesReady").is_none_or(|c| c.reason != stuck.reason)
    {
        note(Tone::Warning, reason(&stuck.reason), "Starting", &stuck.message);
    }
    let refused = condition(now, RECONCILING).filter(|c| c.reason == EVICTION_REFUSED);
    if let Some(refused) = refused
        && condition(before, RECONCILING).is_none_or(|c| c.reason != EVICTION_REFUSED)
    {
        note(Tone::Warning, EVICTION_REFUSED, "Rolling", &refused.message);
    }
    // What a node lacks was told already.
    let is_told = |c: &Condition| stuck.is_some_and(|stuck| (&stuck.reason, &stuck.message) == (&c.reason, &c.message));
    let degraded = condition(now, "Degraded").filter(|c| c.status == "True" && !is_told(c));
    if let Some(degraded) = degraded
        && condition(before, "Degraded").is_none_or(|c| c.status != "True" || is_news(c, degraded))
    {
        note(
            Tone::Warning,
            reason(&degraded.reason),
            "Reconciling",
            &degraded.message,
        );
    }
    // Everything else that stops a manifest is told above, by its own reason.
    if let Some(stalled) = turned(STALLED, "True").filter(|stalled| stalled.reason == NO_PROGRESS) {
        note(Tone::Warning, NO_PROGRESS, "Reconciling", &stalled.message);
    }
    notes
}

/// Whether a condition says something else than before. The words about a pod change with every attempt of Kubernetes, and those
/// about a slow API server with the object at which its time is over.
fn is_news(before: &Condition, now: &Condition) -> bool {
    let reason = now.reason.as_str();
    let words_count = !TROUBLES.contains(&reason) && reason != API_SERVER_SLOW;
    before.reason != now.reason || (before.message != now.message && words_count)
}

fn condition<'a>(status: &'a SfuClusterStatus, kind: &str) -> Option<&'a Condition> {
    status.conditions.iter().find(|c| c.type_ == kind)
}

/// Reasons of events are a closed set: they are what one filters by.
fn reason(of_condition: &str) -> &'static str {
    let of_pods = TROUBLES.into_iter().find(|reason| *reason == of_condition);
    of_pods.unwrap_or(match of_condition {
        "InvalidSpec" => "InvalidSpec",
        "SecretMissing" => "SecretMissing",
        "SecretUnusable" => "SecretUnusable",
        "NameTaken" => "NameTaken",
        "ApplyRefused" => "ApplyRefused",
        API_SERVER_SLOW => API_SERVER_SLOW,
        "PodsRefused" => "PodsRefused",
        "SecretRefused" => "SecretRefused",
        EVICTION_REFUSED => EVICTION_REFUSED,
        EVENTS_REFUSED => EVENTS_REFUSED,
        SCALED_ELSEWHERE => SCALED_ELSEWHERE,
        HOST_LOST => HOST_LOST,
        NO_MEDIA_ADDRESS => NO_MEDIA_ADDRESS,
        LARGE_PACKETS_LOST => LARGE_PACKETS_LOST,
        ANSWER_REFUSED => ANSWER_REFUSED,
        _ => "Degraded",
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn nodes_that_do_not_start_are_told_once_for_each_reason() {
        let stuck = |reason: &str, message: &str| -> SfuClusterStatus {
            let nodes = json!({ "type": "NodesReady", "status": "False", "reason": reason, "message": message,
                                "lastTransitionTime": "2026-01-01T00:00:00Z" });
            serde_json::from_value(json!({ "conditions": [nodes] })).unwrap()
        };
        let (starting, unpulled) = (stuck("NotAllReady", ""), stuck("ImageNotPulled", "a"));
        assert_eq!(reasons(&starting, &unpulled), ["ImageNotPulled"]);
        assert_eq!(reasons(&unpulled, &stuck("ImageNotPulled", "b")), Vec::<&str>::new());
        assert_eq!(reasons(&unpulled, &starting), Vec::<&str>::new());
    }

    fn status(conditions: &[(&str, &str, &str)]) -> SfuClusterStatus {
        let conditions: Vec<_> = conditions
            .iter()
            .map(|(kind, status, message)| {
                json!({ "type": kind, "status": status, "reason": "R", "message": message,
                        "lastTransitionTime": "2026-01-01T00:00:00Z" })
            })
            .collect();
        serde_json::from_value(json!({ "conditions": conditions })).unwrap()
    }

    fn reasons(before: &SfuClusterStatus, now: &SfuClusterStatus) -> Vec<&'static str> {
        changes(before, now).into_iter().map(|note| note.reason).collect()
    }

    #[test]
    fn a_mesh_that_breaks_and_heals_is_told_each_time_once() {
        let (whole, broken) = (
            status(&[("MeshReady", "True", "")]),
            status(&[("MeshReady", "False", "")]),
        );
        assert_eq!(reasons(&whole, &broken), ["MeshBroken"]);
        assert_eq!(reasons(&broken, &whole), ["MeshWhole"]);
        assert_eq!(reasons(&broken, &broken), Vec::<&str>::new());
    }

    #[test]
    fn what_is_under_way_is_not_told_as_broken() {
        let (whole, growing) = (
            status(&[("MeshReady", "True", "")]),
            status(&[("MeshReady", "False", ""), ("Reconciling", "True", "")]),
        );
        assert_eq!(reasons(&whole, &growing), Vec::<&str>::new());
    }

    #[test]
    fn a_redis_that_starts_with_its_nodes_is_not_told_as_lost_and_one_that_never_comes_is() {
        let away = ("RedisReady", "False", "");
        let (starts, ready) = (status(&[away, ("Reconciling", "True", "")]), status(&[away]));
        assert_eq!(reasons(&SfuClusterStatus::default(), &starts), Vec::<&str>::new());
        assert_eq!(reasons(&starts, &ready), ["RedisLost"]);
        assert_eq!(reasons(&ready, &ready), Vec::<&str>::new());
    }

    #[test]
    fn a_manifest_that_gets_no_further_is_told_once() {
        let with_reason = |reason: &str| {
            let mut stalled = status(&[("Stalled", "True", "nothing has moved")]);
            stalled.conditions[0].reason = reason.to_owned();
            stalled
        };
        let (stalled, invalid) = (with_reason(NO_PROGRESS), with_reason("InvalidSpec"));
        assert_eq!(reasons(&SfuClusterStatus::default(), &stalled), [NO_PROGRESS]);
        assert_eq!(reasons(&stalled, &stalled), Vec::<&str>::new());
        assert_eq!(reasons(&SfuClusterStatus::default(), &invalid), Vec::<&str>::new());
    }

    #[test]
    fn a_mesh_that_was_never_whole_is_not_told_as_broken() {
        assert_eq!(
            reasons(&SfuClusterStatus::default(), &status(&[("MeshReady", "False", "")])),
            Vec::<&str>::new()
        );
    }

    #[test]
    fn a_front_door_whose_image_is_not_to_be_had_is_told_once_whatever_the_kubelet_says_of_it() {
        let stuck = |message: &str| {
            let mut stuck = status(&[("Degraded", "True", message)]);
            stuck.conditions[0].reason = "ImageNotPulled".to_owned();
            stuck
        };
        let (tries, waits) = (stuck("(ErrImagePull): a"), stuck("(ImagePullBackOff): b"));
        assert_eq!(reasons(&SfuClusterStatus::default(), &tries), ["ImageNotPulled"]);
        assert_eq!(reasons(&tries, &waits), Vec::<&str>::new());
        assert_eq!(reasons(&waits, &tries), Vec::<&str>::new());
    }

    #[test]
    fn a_refusal_is_told_again_when_its_words_change() {
        let (one, two) = (
            status(&[("Degraded", "True", "a")]),
            status(&[("Degraded", "True", "b")]),
        );
        assert_eq!(reasons(&SfuClusterStatus::default(), &one), ["Degraded"]);
        assert_eq!(reasons(&one, &one), Vec::<&str>::new());
        assert_eq!(reasons(&one, &two), ["Degraded"]);
    }
}
