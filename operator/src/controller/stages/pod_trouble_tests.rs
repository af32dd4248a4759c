#![allow(clippy::unwrap_used)]
use super::*;
use serde_json::{Value, json};

fn told(component: &str, status: &Value, after: i64) -> Option<String> {
    let labels = json!({
        "app.kubernetes.io/name": "sfumato", "app.kubernetes.io/instance": "live", "app.kubernetes.io/component": component,
    });
    let pod = json!({ "metadata": { "name": "live-1", "labels": labels }, "status": status });
    let pod: Pod = serde_json::from_value(pod).unwrap();
    let now = Timestamp::UNIX_EPOCH + SignedDuration::from_secs(after);
    trouble(&pod, now).map(|remark| format!("{}: {}", remark.reason, remark.message))
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
