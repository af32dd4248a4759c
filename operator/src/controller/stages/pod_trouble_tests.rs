#![allow(clippy::unwrap_used)]
use super::*;
use serde_json::{Value, json};

/// How long a pod may be without a Kubernetes node.
const PATIENCE: Duration = Duration::from_secs(60);

fn told(component: &str, status: &Value, after: i64) -> Option<String> {
    let labels = json!({
        "app.kubernetes.io/name": "sfumato", "app.kubernetes.io/instance": "live", "app.kubernetes.io/component": component,
    });
    let pod = json!({ "metadata": { "name": "live-1", "labels": labels }, "status": status });
    let pod: Pod = serde_json::from_value(pod).unwrap();
    let now = Timestamp::UNIX_EPOCH + SignedDuration::from_secs(after);
    trouble(&pod, PATIENCE, now).map(|remark| format!("{}: {}", remark.reason, remark.message))
}

#[test]
fn a_pod_that_does_not_run_is_told_with_reason_container_exit_code_and_what_to_change() {
    let waiting = |reason: &str| json!({ "waiting": { "reason": reason, "message": "words" } });
    let ended = |reason: &str, code: i32| json!({ "terminated": { "reason": reason, "exitCode": code } });
    let container = |state: &Value, last: &Value| json!([{ "name": "sfu-node", "state": state, "lastState": last }]);
    let failed = |reason: &str| json!({ "phase": "Failed", "reason": reason, "message": "words" });
    let back_off = waiting("CrashLoopBackOff");
    for (component, status, expected) in [
        (
            "node",
            json!({ "containerStatuses": container(&back_off, &ended("OOMKilled", 137)) }),
            Some(
                "OutOfMemory: live-1 used more memory than its limit: container sfu-node was killed (OOMKilled, exit code 137); \
                 raise limits.memory in spec.resources",
            ),
        ),
        (
            "redis",
            json!({ "containerStatuses": container(&ended("OOMKilled", 137), &json!({})) }),
            Some(
                "OutOfMemory: live-1 used more memory than its limit: container sfu-node was killed (OOMKilled, exit code 137); \
                 raise limits.memory in spec.redis.managed.resources",
            ),
        ),
        (
            "node",
            json!({ "containerStatuses": container(&waiting("ErrImagePull"), &ended("OOMKilled", 137)) }),
            Some(
                "ImageNotPulled: live-1 cannot pull its image (ErrImagePull): words; check the image's name, the registry and \
                 imagePullSecrets",
            ),
        ),
        (
            "node",
            json!({ "initContainerStatuses": [{ "name": "proxy", "state": back_off, "lastState": ended("Error", 2) }],
                    "containerStatuses": container(&waiting("PodInitializing"), &json!({})) }),
            Some(
                "Crashing: live-1 ends again and again (container proxy: Error, exit code 2): words; \
                 `kubectl logs live-1 --container=proxy --previous` shows why",
            ),
        ),
        (
            "web",
            failed("Evicted"),
            Some(
                "Evicted: live-1 was evicted by its Kubernetes node: words; request what it needs in spec.web.resources, \
                 or give the Kubernetes node more",
            ),
        ),
        (
            "node",
            failed("OutOfcpu"),
            Some(
                "NotStarted: live-1 does not start (OutOfcpu): words; request less in spec.resources, or add Kubernetes nodes",
            ),
        ),
        (
            "node",
            failed("NodeAffinity"),
            Some("NotStarted: live-1 has failed (NodeAffinity): words; `kubectl describe pod live-1` shows more"),
        ),
        (
            "node",
            json!({ "containerStatuses": container(&ended("Error", 1), &json!({})) }),
            None,
        ),
    ] {
        assert_eq!(told(component, &status, 0).as_deref(), expected, "{status}");
    }
}

#[test]
fn a_pod_that_is_about_to_start_for_minutes_is_told() {
    let status = json!({
        "conditions": [{ "type": "PodScheduled", "status": "True", "lastTransitionTime": "1970-01-01T00:00:00Z" }],
        "containerStatuses": [{ "name": "sfu-node", "state": { "waiting": { "reason": "ContainerCreating" } } }],
    });
    assert_eq!(told("node", &status, 179), None);
    assert_eq!(
        told("node", &status, 180).as_deref(),
        Some(
            "NotStarted: live-1 has been about to start for more than 3 minutes (container sfu-node): `kubectl describe pod live-1` names the \
             volume, Secret, image or network that it waits for"
        )
    );
}

#[test]
fn a_redis_that_finds_no_host_for_its_volume_is_told_which_and_what_to_do() {
    let said = |component: &str, words: &str| {
        let pod = json!({
            "metadata": {
                "name": "live-redis-0",
                "labels": {
                    "app.kubernetes.io/name": "sfumato", "app.kubernetes.io/instance": "live",
                    "app.kubernetes.io/component": component,
                },
                "ownerReferences": [
                    { "apiVersion": "apps/v1", "kind": "StatefulSet", "name": "live-redis", "uid": "s", "controller": true },
                ],
            },
            "status": { "conditions": [{ "type": "PodScheduled", "status": "False", "message": words }] },
        });
        let pod: Pod = serde_json::from_value(pod).unwrap();
        trouble(&pod, PATIENCE, Timestamp::UNIX_EPOCH).unwrap().message
    };
    let elsewhere = "1 node(s) didn't match PersistentVolume's node affinity";
    let of_redis = said("redis", elsewhere);
    assert!(
        of_redis.contains(elsewhere) && of_redis.contains("PersistentVolumeClaim data-live-redis-0"),
        "{of_redis}"
    );
    assert!(
        of_redis.contains("`kubectl delete statefulset live-redis`"),
        "{of_redis}"
    );
    for (component, words) in [("redis", "3 Insufficient cpu"), ("node", elsewhere)] {
        assert!(said(component, words).ends_with("change nodeSelector, tolerations, affinity or resources"));
    }
}

#[test]
fn a_container_that_ends_again_and_again_is_told_also_while_it_runs_for_a_moment() {
    let at = |state: &Value, restarts: i32, after: i64| {
        let last = json!({ "terminated": { "reason": "Error", "exitCode": 2, "finishedAt": "1970-01-01T00:00:00Z" } });
        let container = json!({ "name": "sfu-node", "state": state, "lastState": last, "restartCount": restarts });
        told("node", &json!({ "containerStatuses": [container] }), after)
    };
    let running = json!({ "running": { "startedAt": "1970-01-01T00:00:10Z" } });
    let back_off = json!({ "waiting": { "reason": "CrashLoopBackOff" } });
    let ended = json!({ "terminated": { "reason": "Error", "exitCode": 2, "finishedAt": "1970-01-01T00:00:20Z" } });
    let expected = "Crashing: live-1 ends again and again (container sfu-node: Error, exit code 2)";
    for state in [&back_off, &running, &ended] {
        let told = at(state, 2, 30).unwrap();
        assert!(told.starts_with(expected), "{told}");
    }
    assert_eq!(at(&running, 1, 30), None, "once is not again and again");
    assert_eq!(at(&running, 2, 601), None, "it is past that");
    let of_today = json!({
        "name": "sfu-node", "state": running, "restartCount": 9, "lastState": { "terminated": {
            "reason": "Error", "exitCode": 2, "startedAt": "1969-12-24T00:00:00Z", "finishedAt": "1970-01-01T00:00:00Z",
        } },
    });
    let told = told("node", &json!({ "containerStatuses": [of_today] }), 30);
    assert_eq!(told, None, "it had run for a week");
}

#[test]
fn a_pod_that_runs_for_minutes_and_is_not_ready_is_told() {
    let at = |after: i64, started: &str| {
        let status = json!({
            "conditions": [{ "type": "Ready", "status": "False", "lastTransitionTime": "1970-01-01T00:00:00Z" }],
            "containerStatuses": [{ "name": "sfu-node", "state": { "running": { "startedAt": started } } }],
        });
        told("node", &status, after)
    };
    assert_eq!(at(179, "1970-01-01T00:00:00Z"), None);
    let told = at(180, "1970-01-01T00:00:00Z").unwrap();
    assert!(
        told.starts_with("NotReady: live-1 runs, and has not been ready for more than 3 minutes"),
        "{told}"
    );
    assert_eq!(at(180, "1970-01-01T00:01:00Z"), None, "it was started anew");
}

#[test]
fn a_pod_that_was_to_be_gone_long_ago_is_told_with_its_host() {
    let at = |after: i64| {
        let pod = json!({
            "metadata": { "name": "live-1", "deletionTimestamp": "1970-01-01T00:00:00Z" },
            "spec": { "nodeName": "host-1" },
            "status": { "conditions": [{ "type": "Ready", "status": "True" }] },
        });
        let pod: Pod = serde_json::from_value(pod).unwrap();
        let now = Timestamp::UNIX_EPOCH + SignedDuration::from_secs(after);
        trouble(&pod, PATIENCE, now)
    };
    assert_eq!(at(179), None);
    let told = at(180).unwrap().message;
    assert!(told.contains("its Kubernetes node (host-1)"), "{told}");
}

#[test]
fn an_autoscaler_has_the_time_that_the_command_line_gives_it() {
    let condition = json!({
        "type": "PodScheduled", "status": "False", "message": "words", "lastTransitionTime": "1970-01-01T00:00:00Z",
    });
    let pod = json!({ "metadata": { "name": "live-1" }, "status": { "conditions": [condition] } });
    let pod: Pod = serde_json::from_value(pod).unwrap();
    for (patience, after, is_told) in [(60, 59, false), (60, 60, true), (10, 9, false), (10, 10, true)] {
        let now = Timestamp::UNIX_EPOCH + SignedDuration::from_secs(after);
        let told = trouble(&pod, Duration::from_secs(patience), now).map(|it| it.reason);
        assert_eq!(told, is_told.then_some("NoHost"), "{patience} s, after {after} s");
    }
}

#[test]
fn a_claim_without_volume_is_no_reason_to_delete_redis() {
    let words = "pod has unbound immediate PersistentVolumeClaims";
    let condition = json!({ "type": "PodScheduled", "status": "False", "message": words });
    let told = told("redis", &json!({ "conditions": [condition] }), 60).unwrap();
    assert!(told.starts_with("NoHost") && !told.contains("delete"), "{told}");
}
