//! The stories of both platforms, told of pods.

use super::build::Wish;
use super::pace::Pace;
use super::rollout::observe::observe;
use super::stages::facts::facts;
use super::stages::validate::validate;
use super::watch::seen::{Pod, StatefulSet};
use crate::cluster::rollout::{Leaving, decide};
use crate::cluster::status::{Facts, status};
use crate::cluster::stories::{DEADLINE, Life, Scene, Seen, check, scenes};
use crate::crd::status::SfuClusterStatus;
use crate::manifest::defaults::Defaults;
use k8s_openapi::jiff::Timestamp;
use kube::api::DynamicObject;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant};

fn name(ordinal: u16) -> String {
    format!("live-{ordinal}")
}

fn uid(ordinal: u16) -> String {
    format!("uid-{ordinal}")
}

fn object(scene: &Scene) -> DynamicObject {
    let deadline = format!("{}s", DEADLINE.as_secs());
    let object = json!({
        "apiVersion": "sfumato.dev/v1alpha1", "kind": "SfuCluster",
        "metadata": { "name": "live", "namespace": "media", "uid": "u", "generation": 4 },
        "spec": { "replicas": scene.wanted.max(1), "drain": { "deadline": deadline } },
    });
    serde_json::from_value(object).expect("an object")
}

fn pod(seen: &Seen) -> Arc<Pod> {
    let ready = matches!(seen.life, Life::Up | Life::Silent | Life::Lying) && seen.reasons.is_empty();
    let waiting = (seen.life == Life::Crashing)
        .then(|| json!({ "waiting": { "reason": "CrashLoopBackOff", "message": "back-off 20s" } }));
    let mut metadata = json!({
        "name": name(seen.ordinal), "namespace": "media", "uid": uid(seen.ordinal),
        "labels": {
            "app.kubernetes.io/name": "sfumato", "app.kubernetes.io/instance": "live",
            "app.kubernetes.io/component": "node",
            "controller-revision-hash": if seen.current { "live-new" } else { "live-old" },
        },
    });
    if seen.life == Life::Ending {
        metadata["deletionTimestamp"] = json!("2200-01-01T00:00:00Z");
    }
    let status = json!({
        "conditions": [{ "type": "Ready", "status": if ready { "True" } else { "False" } }],
        "containerStatuses": waiting.map(|state| json!({ "state": state })).into_iter().collect::<Vec<Value>>(),
    });
    let pod = json!({ "metadata": metadata, "spec": {}, "status": status });
    Arc::new(serde_json::from_value(pod).expect("a pod"))
}

fn stateful_set(scene: &Scene) -> StatefulSet {
    let live = scene.wanted.max(u16::try_from(scene.nodes.len()).expect("few"));
    let set = json!({
        "metadata": { "name": "live", "generation": 1 },
        "spec": { "replicas": live },
        "status": { "observedGeneration": 1, "updateRevision": "live-new" },
    });
    serde_json::from_value(set).expect("a StatefulSet")
}

#[test]
fn pods_are_treated_and_told_of_as_every_story_says() {
    let now = Instant::now() + Duration::from_secs(10_000);
    for scene in scenes() {
        let object = object(&scene);
        let wish: Wish = validate(&object, &Defaults::default()).expect("a valid manifest");
        let pods: Vec<Arc<Pod>> = scene.nodes.iter().map(pod).collect();
        let mesh = scene.mesh(name, |_| 1);
        let since = |seen: &Seen| Some((uid(seen.ordinal), now - seen.leaving?));
        let leaving: Leaving = scene.nodes.iter().filter_map(since).collect();
        let pace = Pace::for_tests();
        let set = stateful_set(&scene);
        let observed = observe(&wish, Some(&set), &pods, &mesh, &leaving, pace, (Timestamp::now(), now));
        let decision = decide(&observed);
        let facts = Facts {
            progress: decision.progress.clone(),
            ..facts(&object, wish.spec.replicas, (&pods, &[]), &mesh)
        };
        let told = status(&facts, &SfuClusterStatus::default(), Timestamp::now());
        check(&scene, &decision, &told, name);
    }
}
