//! The stories of both platforms, told of pods.

use super::build::Wish;
use super::pace::Pace;
use super::rollout::held_back::Live;
use super::rollout::observe::observe;
use super::rollout::upgrade::{PodKind, keep};
use super::stages::facts::{Desired, facts};
use super::stages::validate::validate;
use super::watch::seen::{Deployment, Pod, StatefulSet};
use crate::cluster::convergence::Effort;
use crate::cluster::rollout::{Decision, Leaving, decide};
use crate::cluster::status::{Facts, status};
use crate::cluster::stories::{DEADLINE, Life, Scene, Seen, UNREADY_FOR, go_through};
use crate::crd::SfuClusterSpec;
use crate::crd::mesh::FanOut;
use crate::crd::status::SfuClusterStatus;
use crate::manifest::defaults::Defaults;
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::jiff::Timestamp;
use kube::api::DynamicObject;
use kube::core::ObjectMeta;
use serde_json::{Value, json};
use std::collections::BTreeSet;
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
        "metadata": { "name": "live", "namespace": "media", "uid": "u", "generation": scene.generation },
        "spec": {
            "replicas": scene.wanted.max(1), "drain": { "deadline": deadline }, "paused": scene.paused,
            "web": { "replicas": 1 },
        },
    });
    serde_json::from_value(object).expect("an object")
}

/// `revision` is that of the StatefulSet, of a node.
fn pod(name: &str, component: &str, life: Life, ready: bool, revision: &str) -> Pod {
    let since = Timestamp::now() - UNREADY_FOR;
    let state = match life {
        Life::Crashing => Some(json!({ "waiting": { "reason": "CrashLoopBackOff", "message": "back-off 20s" } })),
        Life::Unready => Some(json!({ "running": { "startedAt": since } })),
        _ => None,
    };
    let mut metadata = json!({
        "name": name, "namespace": "media",
        "labels": {
            "app.kubernetes.io/name": "sfumato", "app.kubernetes.io/instance": "live",
            "app.kubernetes.io/component": component,
            "controller-revision-hash": revision,
        },
    });
    if life == Life::Ending {
        metadata["deletionTimestamp"] = json!("2200-01-01T00:00:00Z");
    }
    let ready = if ready { "True" } else { "False" };
    let status = json!({
        "conditions": [{ "type": "Ready", "status": ready, "lastTransitionTime": since }],
        "containerStatuses": state.map(|state| json!({ "name": component, "state": state })).into_iter().collect::<Vec<Value>>(),
    });
    let pod = json!({ "metadata": metadata, "spec": {}, "status": status });
    serde_json::from_value(pod).expect("a pod")
}

fn node(scene: &Scene, seen: &Seen) -> Pod {
    let ready = matches!(seen.life, Life::Up | Life::Silent | Life::Lying) && seen.reasons.is_empty();
    // What is held back has not reached the StatefulSet.
    let is_current = seen.current || scene.paused;
    let revision = if is_current { "live-new" } else { "live-old" };
    let mut pod = pod(&name(seen.ordinal), "node", seen.life, ready, revision);
    pod.metadata.uid = Some(uid(seen.ordinal));
    pod
}

/// The pods of the cluster: its nodes, the front door if there is one, and Redis.
fn pods(scene: &Scene) -> Vec<Arc<Pod>> {
    let nodes = scene.nodes.iter().map(|seen| node(scene, seen));
    let other = |component: &str, life| pod(&format!("live-{component}"), component, life, life == Life::Up, "");
    let door = scene.door.map(|life| other("web", life));
    let all = nodes.chain(door).chain([other("redis", scene.redis)]);
    all.map(Arc::new).collect()
}

fn stateful_set(scene: &Scene, wish: &Wish) -> StatefulSet {
    let there = u16::try_from(scene.nodes.len()).expect("few");
    let live = if scene.paused { there } else { scene.wanted.max(there) };
    let set = json!({
        "metadata": { "name": "live", "generation": 1 },
        "spec": { "replicas": live },
        "status": { "observedGeneration": 1, "updateRevision": "live-new" },
    });
    let mut set: StatefulSet = serde_json::from_value(set).expect("a StatefulSet");
    let mut spec = wish.spec.clone();
    if scene.nodes.iter().any(|seen| !seen.current) {
        spec.mesh.fan_out = FanOut::Eager;
    }
    note_origin(&mut set.metadata, &spec, PodKind::Nodes);
    set
}

fn front_door(wish: &Wish, life: Life) -> Deployment {
    let deployment = json!({
        "metadata": { "name": "live-web" }, "spec": { "replicas": 1 },
        "status": { "readyReplicas": i32::from(life == Life::Up) },
    });
    let mut deployment: Deployment = serde_json::from_value(deployment).expect("a Deployment");
    note_origin(&mut deployment.metadata, &wish.spec, PodKind::Web);
    deployment
}

/// Writes down which manifest an object was built from.
fn note_origin(metadata: &mut ObjectMeta, spec: &SfuClusterSpec, kind: PodKind) {
    keep(metadata, &mut PodTemplateSpec::default(), None, (spec, kind));
}

/// What is to be done in a scene, and what is told of it.
fn tell(scene: &Scene, before: &SfuClusterStatus) -> (Decision, SfuClusterStatus) {
    let now = Instant::now() + Duration::from_secs(10_000);
    let object = object(scene);
    let wish: Wish = validate(&object, &Defaults::default()).expect("a valid manifest");
    let (pods, mesh) = (pods(scene), scene.mesh(name, |_| 1));
    let since = |seen: &Seen| Some((uid(seen.ordinal), now - seen.leaving?));
    let leaving: Leaving = scene.nodes.iter().filter_map(since).collect();
    let set = stateful_set(scene, &wish);
    let door = scene.door.map(|life| Arc::new(front_door(&wish, life)));
    let mut redis = ObjectMeta::default();
    note_origin(&mut redis, &wish.spec, PodKind::Redis);
    let observed = observe(
        &wish,
        Some(&set),
        &pods,
        &mesh,
        (&leaving, &BTreeSet::new()),
        Pace::for_tests(),
        (Timestamp::now(), now),
    );
    let decision = decide(&observed);
    let live = Live {
        nodes: Some(&set),
        door: door.as_deref(),
        redis: Some(&redis),
    };
    let deployments: Vec<Arc<Deployment>> = door.iter().cloned().collect();
    let mut facts = Facts {
        paused: scene.paused,
        effort: Effort {
            under_way: if scene.paused {
                live.held_back(&wish.spec, decision.progress.is_some(), &[])
            } else {
                decision.progress.clone()
            },
            ..Effort::default()
        },
        ..facts(
            &object,
            Desired::of(&wish.spec),
            (&pods, &deployments),
            &mesh,
            (Pace::for_tests(), Timestamp::now()),
        )
    };
    let waits = scene.paused || !decision.leaving.is_empty();
    scene.note_standstill(&mut facts, waits, now);
    let status = status(&facts, before, Timestamp::now());
    // A pause stops what would be done, as a reconcile does it.
    let done = if scene.paused { Decision::default() } else { decision };
    (done, status)
}

#[test]
fn pods_are_treated_and_told_of_as_every_story_says() {
    go_through(name, tell);
}
