//! Why a pod does not get anywhere, in the words of Kubernetes, and what to do about it. Pure.

use crate::cluster::remark::Remark;
use crate::controller::watch::seen::{Deployment, Pod, is_ready};
use kube::ResourceExt;
use std::sync::Arc;

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

/// What is to be said of the first of these pods that does not get anywhere.
#[must_use]
pub fn first_trouble<'a>(pods: impl IntoIterator<Item = &'a Arc<Pod>>) -> Option<Remark> {
    pods.into_iter().find_map(|pod| trouble(pod))
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
pub fn trouble(pod: &Pod) -> Option<Remark> {
    if is_ready(pod) {
        return None;
    }
    without_host(pod).or_else(|| not_started(pod))
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

fn not_started(pod: &Pod) -> Option<Remark> {
    let containers = pod.status.container_statuses.iter();
    let (why, waiting) = containers
        .filter_map(|container| container.state.waiting.as_ref())
        .filter_map(|waiting| Some((waiting.reason.as_deref()?, waiting)))
        .find(|(why, _)| !ON_THE_WAY.contains(why))?;
    let (name, words) = (pod.name_any(), waiting.message.as_deref().unwrap_or(""));
    Some(if UNPULLED.contains(&why) {
        let advice = "check the image's name, the registry and imagePullSecrets";
        Remark::new(
            "ImageNotPulled",
            format!("{name} cannot pull its image ({why}): {words}; {advice}"),
        )
    } else if why == "CrashLoopBackOff" {
        let advice = format!("`kubectl logs {name} --previous` shows why");
        Remark::new("Crashing", format!("{name} ends again and again: {words}; {advice}"))
    } else {
        Remark::new("NotStarted", format!("{name} does not start ({why}): {words}"))
    })
}
