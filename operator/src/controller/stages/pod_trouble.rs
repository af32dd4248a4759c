//! Why a pod does not get anywhere, in the words of Kubernetes, and what to do about it. Pure.

use crate::cluster::remark::Remark;
use crate::controller::build::Component;
use crate::controller::watch::seen::{ContainerStatus, Deployment, Pod, PodStatus, Terminated, is_of, is_ready};
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use std::sync::Arc;

/// A pod may be about to start for so long: images are large.
const SLOW: SignedDuration = SignedDuration::from_mins(3);
const NOT_STARTED: &str = "NotStarted";
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

/// What is to be said of the first of these pods of Deployments that does not get anywhere. One that has failed stays for a
/// while, and its successor is among them.
#[must_use]
pub fn first_trouble<'a>(pods: impl IntoIterator<Item = &'a Arc<Pod>>, now: Timestamp) -> Option<Remark> {
    let mut running = pods.into_iter().filter(|pod| !has_failed(pod));
    running.find_map(|pod| trouble(pod, now))
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

/// What is to be said of a pod that does not get anywhere.
#[must_use]
pub fn trouble(pod: &Pod, now: Timestamp) -> Option<Remark> {
    if is_ready(pod) {
        return None;
    }
    without_host(pod)
        .or_else(|| failed(pod))
        .or_else(|| containers(pod).find_map(|container| stuck(pod, container)))
        .or_else(|| slow(pod, now))
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

fn without_host(pod: &Pod) -> Option<Remark> {
    let mut conditions = pod.status.conditions.iter();
    let condition = conditions.find(|c| c.type_ == "PodScheduled" && c.status == "False")?;
    let (name, words) = (pod.name_any(), condition.message.as_deref().unwrap_or(""));
    let advice = "add Kubernetes nodes that fit, or change nodeSelector, tolerations, affinity or resources";
    Some(Remark::new(
        "NoHost",
        format!("{name} has no Kubernetes node: {words}; {advice}"),
    ))
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
fn stuck(pod: &Pod, container: &ContainerStatus) -> Option<Remark> {
    let ContainerStatus {
        name: of,
        state,
        last_state,
    } = container;
    let (name, resources) = (pod.name_any(), resources(pod));
    let ended = state.terminated.as_ref().or(last_state.terminated.as_ref());
    let waiting = state.waiting.as_ref();
    let why = waiting.and_then(|waiting| waiting.reason.as_deref());
    let again = why == Some("CrashLoopBackOff");
    if let Some(ended) = ended.filter(|ended| (again || waiting.is_none()) && is_out_of_memory(ended)) {
        let code = ended.exit_code;
        return Some(Remark::new(
            "OutOfMemory",
            format!(
                "{name} used more memory than its limit: container {of} was killed (OOMKilled, exit code {code}); \
                 raise limits.memory in {resources}"
            ),
        ));
    }
    let (why, words) = (why?, waiting.and_then(|it| it.message.as_deref()).unwrap_or(""));
    if ON_THE_WAY.contains(&why) {
        return None;
    }
    Some(if UNPULLED.contains(&why) {
        let advice = "check the image's name, the registry and imagePullSecrets";
        Remark::new(
            "ImageNotPulled",
            format!("{name} cannot pull its image ({why}): {words}; {advice}"),
        )
    } else if again {
        let how = ended.map_or_else(String::new, |ended| {
            let reason = ended.reason.as_deref().unwrap_or("Error");
            format!(" (container {of}: {reason}, exit code {})", ended.exit_code)
        });
        let advice = format!("`kubectl logs {name} --container={of} --previous` shows why");
        Remark::new(
            "Crashing",
            format!("{name} ends again and again{how}: {words}; {advice}"),
        )
    } else {
        let advice = format!("`kubectl describe pod {name}` shows more");
        Remark::new(
            NOT_STARTED,
            format!("{name} does not start (container {of}: {why}): {words}; {advice}"),
        )
    })
}

fn is_out_of_memory(ended: &Terminated) -> bool {
    ended.reason.as_deref() == Some("OOMKilled")
}

/// One whose containers are about to start for longer than an image takes.
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
