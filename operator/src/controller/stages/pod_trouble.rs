//! Why a pod does not get anywhere, in the words of Kubernetes, and what to do about it. Pure.

use crate::cluster::remark::{Remark, SLOW};
use crate::controller::build::Component;
use crate::controller::watch::ownership::controller;
use crate::controller::watch::seen::{
    ContainerStatus, Deployment, Pod, PodCondition, PodStatus, Terminated, is_of, is_ready,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{OwnerReference, Time};
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use std::sync::Arc;
use std::time::Duration;

const NOT_STARTED: &str = "NotStarted";
/// After so many starts, a container that has ended ends again and again, also while it runs for a moment.
const MANY_STARTS: i32 = 2;
/// A container that has run for longer than this since it ended is past that: kubelets begin their pauses anew then, too.
const PAST: SignedDuration = SignedDuration::from_mins(10);
/// What kubelets say of containers that are about to start.
const ON_THE_WAY: [&str; 2] = ["ContainerCreating", "PodInitializing"];
/// What kubelets say of images that they cannot get.
const UNPULLED: [&str; 6] = [
    "ErrImagePull",
    "ImagePullBackOff",
    "InvalidImageName",
    "ErrImageNeverPull",
    "ImageInspectError",
    "RegistryUnavailable",
];

/// What is to be said of the first of these pods of one Deployment that does not get anywhere. One that has failed stays for a
/// while, and its successor is among them. `host_patience` is that of [`trouble`].
#[must_use]
pub fn first_trouble<'a>(
    pods: impl IntoIterator<Item = &'a Arc<Pod>>,
    host_patience: Duration,
    now: Timestamp,
) -> Option<Remark> {
    let (failed, others): (Vec<_>, Vec<_>) = pods.into_iter().partition(|pod| has_failed(pod));
    let of_others = others.iter().find_map(|pod| trouble(pod, host_patience, now));
    of_others.or_else(|| {
        // Where none of them runs, each successor has failed as well.
        let newest = failed
            .into_iter()
            .max_by_key(|pod| pod.metadata.creation_timestamp.as_ref().map(|at| at.0))?;
        trouble(newest, host_patience, now).filter(|_| !others.iter().any(|pod| is_ready(pod)))
    })
}

/// What is to be said of pods that Kubernetes refuses to make, in its words.
#[must_use]
pub fn refused(message: &str) -> Remark {
    let advice = "change the quota, the Pod Security label or the admission policy of the namespace that refuses them";
    Remark::new("PodsRefused", format!("{message}; {advice}"))
}

/// What is to be said of a Deployment whose pods are refused.
#[must_use]
pub fn refused_of(deployment: &Deployment) -> Option<Remark> {
    let mut conditions = deployment.status.conditions.iter();
    let failure = conditions.find(|c| c.type_ == "ReplicaFailure" && c.status == "True")?;
    Some(refused(failure.message.as_deref().unwrap_or("its pods are refused")))
}

/// What is to be said of a pod that does not get anywhere. It may be without a Kubernetes node for `host_patience`: an autoscaler
/// may add one, or a volume may be bound.
#[must_use]
pub fn trouble(pod: &Pod, host_patience: Duration, now: Timestamp) -> Option<Remark> {
    if pod.metadata.deletion_timestamp.is_some() {
        return lingering(pod, now);
    }
    if is_ready(pod) {
        return None;
    }
    without_host(pod, host_patience, now)
        .or_else(|| failed(pod))
        .or_else(|| containers(pod).find_map(|container| stuck(pod, container, now)))
        .or_else(|| slow(pod, now))
        .or_else(|| unready(pod, now))
}

/// Those that end before the others start come first.
fn containers(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> {
    let PodStatus {
        init_container_statuses,
        container_statuses,
        ..
    } = &pod.status;
    init_container_statuses.iter().chain(container_statuses)
}

fn without_host(pod: &Pod, patience: Duration, now: Timestamp) -> Option<Remark> {
    let condition = unplaced(pod)?;
    let since = condition.last_transition_time.as_ref();
    let lasts = |since: &Time| Duration::try_from(now.duration_since(since.0)).unwrap_or_default();
    if since.is_some_and(|since| lasts(since) < patience) {
        return None;
    }
    let (name, words) = (pod.name_any(), condition.message.as_deref().unwrap_or(""));
    let advice = match controller(&pod.metadata).filter(|_| is_of(pod, Component::Redis)) {
        // The scheduler names no claim.
        Some(_) if words.contains("unbound") => {
            format!("see why PersistentVolumeClaim data-{name} has no volume: `kubectl describe pvc data-{name}`")
        }
        Some(OwnerReference { name: set, .. }) if is_of_a_volume_elsewhere(words) => format!(
            "where its PersistentVolumeClaim data-{name} is on a Kubernetes node that is lost or full, Redis is made anew with another volume \
             after 5 minutes without it, or at once by `kubectl delete statefulset {set}`"
        ),
        _ => "add Kubernetes nodes that fit, or change nodeSelector, tolerations, affinity or resources".to_owned(),
    };
    Some(Remark::new(
        "NoHost",
        format!("{name} has no Kubernetes node: {words}; {advice}"),
    ))
}

/// What the scheduler says of a pod that has no Kubernetes node.
#[must_use]
pub fn unplaced(pod: &Pod) -> Option<&PodCondition> {
    let mut conditions = pod.status.conditions.iter();
    conditions.find(|c| c.type_ == "PodScheduled" && c.status == "False")
}

/// Whether a scheduler says that a volume is on Kubernetes nodes where its pod cannot run. It says so in words only (kube-scheduler's
/// `volumebinding`, of 1.33 and of 1.34). A claim without a volume is another thing: another claim would have none either.
#[must_use]
pub fn is_of_a_volume_elsewhere(words: &str) -> bool {
    words.contains("PersistentVolume's node affinity") || words.contains("volume node affinity conflict")
}

/// One that its Kubernetes node has given up, or never took. What controls it makes another.
fn failed(pod: &Pod) -> Option<Remark> {
    let why = pod.status.reason.as_deref().filter(|_| has_failed(pod))?;
    let (name, words) = (pod.name_any(), pod.status.message.as_deref().unwrap_or(""));
    let resources = resources(pod);
    Some(if why == "Evicted" {
        let advice = format!("request what it needs in {resources}, or give the Kubernetes node more");
        Remark::new(
            "Evicted",
            format!("{name} was evicted by its Kubernetes node: {words}; {advice}"),
        )
    } else if why.starts_with("OutOf") {
        let advice = format!("request less in {resources}, or add Kubernetes nodes");
        Remark::new(NOT_STARTED, format!("{name} does not start ({why}): {words}; {advice}"))
    } else {
        let advice = format!("`kubectl describe pod {name}` shows more");
        Remark::new(NOT_STARTED, format!("{name} has failed ({why}): {words}; {advice}"))
    })
}

fn has_failed(pod: &Pod) -> bool {
    pod.status.phase.as_deref() == Some("Failed")
}

/// A container that does not start, or ends again and again.
fn stuck(pod: &Pod, container: &ContainerStatus, now: Timestamp) -> Option<Remark> {
    let ContainerStatus {
        name: of,
        state,
        last_state,
        restart_count,
    } = container;
    let (name, resources) = (pod.name_any(), resources(pod));
    let ended = state.terminated.as_ref().or(last_state.terminated.as_ref());
    let waiting = state.waiting.as_ref();
    let why = waiting.and_then(|waiting| waiting.reason.as_deref());
    // An init container that is done has ended as well.
    let is_done = |ended: &Terminated| ended.exit_code == 0 && state.terminated.is_some() && is_init(pod, of);
    // Between two pauses it runs or has just ended.
    let is_restarted = waiting.is_none() && ended.is_some_and(|ended| !is_done(ended) && !is_past(ended, now));
    let again = why == Some("CrashLoopBackOff")
        || (is_restarted && *restart_count >= MANY_STARTS && ended.is_some_and(was_short));
    if let Some(ended) = ended.filter(|ended| (again || is_restarted) && is_out_of_memory(ended)) {
        let code = ended.exit_code;
        return Some(Remark::new(
            "OutOfMemory",
            format!(
                "{name} used more memory than its limit: container {of} was killed (OOMKilled, exit code {code}); \
                 raise limits.memory in {resources}"
            ),
        ));
    }
    if !again && why.is_none() {
        return None;
    }
    let (why, words) = (why.unwrap_or_default(), waiting.and_then(|it| it.message.as_deref()));
    if ON_THE_WAY.contains(&why) {
        return None;
    }
    Some(if UNPULLED.contains(&why) {
        let advice = "check the image's name, the registry and imagePullSecrets";
        Remark::new(
            "ImageNotPulled",
            format!(
                "{name} cannot pull its image ({why}): {}; {advice}",
                words.unwrap_or_default()
            ),
        )
    } else if again {
        let how = ended.map_or_else(String::new, |ended| {
            let reason = ended.reason.as_deref().unwrap_or("Error");
            format!(" (container {of}: {reason}, exit code {})", ended.exit_code)
        });
        let advice = format!("`kubectl logs {name} --container={of} --previous` shows why");
        Remark::new(
            "Crashing",
            format!(
                "{name} ends again and again{how}{}; {advice}",
                words.map_or_else(String::new, |words| format!(": {words}"))
            ),
        )
    } else {
        let advice = format!("`kubectl describe pod {name}` shows more");
        Remark::new(
            NOT_STARTED,
            format!(
                "{name} does not start (container {of}: {why}): {}; {advice}",
                words.unwrap_or_default()
            ),
        )
    })
}

fn is_init(pod: &Pod, container: &str) -> bool {
    pod.status.init_container_statuses.iter().any(|it| it.name == container)
}

/// Whether a container has ended so long ago that what runs since is another matter.
fn is_past(ended: &Terminated, now: Timestamp) -> bool {
    let at = ended.finished_at.as_ref();
    at.is_some_and(|at| now.duration_since(at.0) > PAST)
}

/// Whether a container had not run for long when it ended: starts of a pod's whole life are counted.
fn was_short(ended: &Terminated) -> bool {
    let times = ended.started_at.as_ref().zip(ended.finished_at.as_ref());
    times.is_none_or(|(from, to)| to.0.duration_since(from.0) <= PAST)
}

fn is_out_of_memory(ended: &Terminated) -> bool {
    ended.reason.as_deref() == Some("OOMKilled")
}

/// Whether a pod's containers are about to start for longer than an image takes.
#[must_use]
pub fn is_slow(pod: &Pod, now: Timestamp) -> bool {
    !is_ready(pod) && slow(pod, now).is_some()
}

fn slow(pod: &Pod, now: Timestamp) -> Option<Remark> {
    let waits = |container: &&ContainerStatus| {
        let waiting = container.state.waiting.as_ref();
        waiting.is_some_and(|waiting| ON_THE_WAY.map(Some).contains(&waiting.reason.as_deref()))
    };
    let container = containers(pod).find(waits)?;
    let mut conditions = pod.status.conditions.iter();
    let placed = conditions.find(|c| c.type_ == "PodScheduled" && c.status == "True")?;
    let since = placed.last_transition_time.as_ref()?.0;
    if now.duration_since(since) < SLOW {
        return None;
    }
    let (name, minutes) = (pod.name_any(), SLOW.as_mins());
    Some(Remark::new(
        NOT_STARTED,
        format!(
            "{name} has been about to start for more than {minutes} minutes (container {}): `kubectl describe pod {name}` names the volume, \
             Secret, image or network that it waits for",
            container.name
        ),
    ))
}

/// One that was to be gone long ago. One that nobody hears is given up elsewhere.
fn lingering(pod: &Pod, now: Timestamp) -> Option<Remark> {
    let by = pod.metadata.deletion_timestamp.as_ref()?.0;
    if now.duration_since(by) < SLOW {
        return None;
    }
    let (name, minutes) = (pod.name_any(), SLOW.as_mins());
    let host = pod.spec.node_name.as_deref().unwrap_or("none");
    Some(Remark::new(
        "NotEnding",
        format!(
            "{name} was to be gone {minutes} minutes ago and is still there: see whether its Kubernetes node ({host}) is in order, and \
             whether a finalizer holds it (`kubectl get pod {name} -o yaml`)"
        ),
    ))
}

/// One whose containers all run, and which has not become ready, or is not any more, for longer than one may start.
fn unready(pod: &Pod, now: Timestamp) -> Option<Remark> {
    let started = pod.status.container_statuses.iter().map(|container| {
        let running = container.state.running.as_ref()?;
        Some(running.started_at.as_ref()?.0)
    });
    let started = started.collect::<Option<Vec<_>>>()?.into_iter().max()?;
    let mut conditions = pod.status.conditions.iter();
    let condition = conditions.find(|c| c.type_ == "Ready" && c.status == "False")?;
    let since = condition.last_transition_time.as_ref()?.0.max(started);
    if now.duration_since(since) < SLOW {
        return None;
    }
    let name = pod.name_any();
    let advice = format!(
        "`kubectl describe pod {name}` shows what its readiness probe is answered, and `kubectl logs {name}` why"
    );
    Some(Remark::not_ready(&name, &advice))
}

/// Where the manifest says what a pod's containers may use.
fn resources(pod: &Pod) -> &'static str {
    if is_of(pod, Component::Web) {
        "spec.web.resources"
    } else if is_of(pod, Component::Redis) {
        "spec.redis.managed.resources"
    } else {
        "spec.resources"
    }
}

#[cfg(test)]
#[path = "pod_trouble_tests.rs"]
mod tests;
