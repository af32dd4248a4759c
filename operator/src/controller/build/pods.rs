//! What all pods of a cluster have in common: they run without rights, on a file system that cannot be written.

use super::wish::{ClusterId, Wish};
use crate::crd::pods::{PodOptions, UserIds};
use k8s_openapi::api::core::v1::{
    Capabilities, Container, ContainerPort, EnvVar, EnvVarSource, HTTPGetAction, LocalObjectReference,
    ObjectFieldSelector, PodAffinityTerm, PodAntiAffinity, PodSecurityContext, PodTemplateSpec, Probe, SeccompProfile,
    SecretKeySelector, SecurityContext, TCPSocketAction, Toleration, TopologySpreadConstraint, Volume, VolumeMount,
    WeightedPodAffinityTerm,
};
use k8s_openapi::api::core::v1::{DownwardAPIVolumeFile, DownwardAPIVolumeSource, KeyToPath, SecretVolumeSource};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use std::collections::BTreeMap;

/// User and group of our own images.
pub const USER: i64 = 65_532;
/// User and group of Redis images.
pub const REDIS_USER: i64 = 999;
/// Where the admin Secret's files are mounted.
pub const ADMIN_DIR: &str = "/etc/sfumato/admin";
/// Policy of StatefulSets whose pods do not wait for each other. Cannot be changed later.
pub const AT_ONCE: &str = "Parallel";
/// Label of the hosts that can run our images.
const OS: (&str, &str) = ("kubernetes.io/os", "linux");
/// How long a pod stays on a host that is lost, in seconds. After an absence of the API server a host that is well may be called lost
/// until its kubelet lists its own Node again: its back-off is up to 60 s (client-go, `tools/cache/reflector.go`), and its status is due every 10 s.
const LOST_HOST_SECONDS: i64 = 90;
/// Readable by the group that the pod's `fsGroup` names, and by nobody else.
const SECRET_MODE: i32 = 0o440;

/// Security of a pod, as the restricted Pod Security Standard asks for. The user is left to the platform where the manifest
/// says so.
pub fn pod_security(wish: &Wish, user: i64) -> PodSecurityContext {
    let user = (wish.spec.user_ids == UserIds::Fixed).then_some(user);
    PodSecurityContext {
        run_as_non_root: Some(true),
        run_as_user: user,
        run_as_group: user,
        fs_group: user,
        seccomp_profile: Some(SeccompProfile {
            type_: "RuntimeDefault".to_owned(),
            ..SeccompProfile::default()
        }),
        ..PodSecurityContext::default()
    }
}

/// A container with the security that every container gets.
pub fn container(wish: &Wish, name: &str, image: String) -> Container {
    Container {
        name: name.to_owned(),
        image: Some(image),
        image_pull_policy: wish.spec.image_pull_policy.map(|policy| policy.as_str().to_owned()),
        security_context: Some(SecurityContext {
            allow_privilege_escalation: Some(false),
            read_only_root_filesystem: Some(true),
            capabilities: Some(Capabilities {
                drop: Some(vec!["ALL".to_owned()]),
                ..Capabilities::default()
            }),
            ..SecurityContext::default()
        }),
        ..Container::default()
    }
}

/// Credentials of registries.
pub fn pull_secrets(wish: &Wish) -> Option<Vec<LocalObjectReference>> {
    let secrets = &wish.spec.image_pull_secrets;
    (!secrets.is_empty()).then(|| secrets.clone())
}

/// A variable with a field of the pod itself.
pub fn env_field(name: &str, path: &str) -> EnvVar {
    EnvVar {
        name: name.to_owned(),
        value_from: Some(EnvVarSource {
            field_ref: Some(field(path)),
            ..EnvVarSource::default()
        }),
        ..EnvVar::default()
    }
}

/// A field of the pod.
fn field(path: &str) -> ObjectFieldSelector {
    ObjectFieldSelector {
        api_version: Some("v1".to_owned()),
        field_path: path.to_owned(),
    }
}

/// A port of a container.
pub fn container_port(name: &str, number: i32, protocol: &str) -> ContainerPort {
    ContainerPort {
        name: Some(name.to_owned()),
        container_port: number,
        protocol: Some(protocol.to_owned()),
        ..ContainerPort::default()
    }
}

/// A variable with a key of a Secret.
pub fn env_secret(name: &str, secret: String, key: &str) -> EnvVar {
    EnvVar {
        name: name.to_owned(),
        value_from: Some(EnvVarSource {
            secret_key_ref: Some(SecretKeySelector {
                name: secret,
                key: key.to_owned(),
                optional: None,
            }),
            ..EnvVarSource::default()
        }),
        ..EnvVar::default()
    }
}

/// A variable with a text.
pub fn env(name: &str, value: String) -> EnvVar {
    EnvVar {
        name: name.to_owned(),
        value: Some(value),
        ..EnvVar::default()
    }
}

/// What each line of the log of these pods says, as the lines of the operator do.
pub fn log_fields(id: &ClusterId) -> String {
    format!("namespace={},cluster={}", id.namespace, id.name)
}

/// Some keys of a Secret as files.
pub fn secret_volume(name: &str, secret: String, keys: &[&str]) -> Volume {
    let file = |key: &&str| KeyToPath {
        key: (*key).to_owned(),
        path: (*key).to_owned(),
        ..KeyToPath::default()
    };
    Volume {
        name: name.to_owned(),
        secret: Some(SecretVolumeSource {
            secret_name: Some(secret),
            default_mode: Some(SECRET_MODE),
            items: Some(keys.iter().map(file).collect()),
            ..SecretVolumeSource::default()
        }),
        ..Volume::default()
    }
}

/// The file of an annotation's volume.
pub const ANNOTATION_FILE: &str = "value";

/// An annotation of the pod as a file, which follows it: a kubelet writes it anew when the pod changes.
pub fn annotation_volume(name: &str, annotation: &str) -> Volume {
    Volume {
        name: name.to_owned(),
        downward_api: Some(DownwardAPIVolumeSource {
            items: Some(vec![DownwardAPIVolumeFile {
                path: ANNOTATION_FILE.to_owned(),
                field_ref: Some(field(&format!("metadata.annotations['{annotation}']"))),
                ..DownwardAPIVolumeFile::default()
            }]),
            ..DownwardAPIVolumeSource::default()
        }),
        ..Volume::default()
    }
}

/// Where a volume is seen. Whole directories only: a mount of a single file never changes.
pub fn mount(name: &str, path: &str, read_only: bool) -> VolumeMount {
    VolumeMount {
        name: name.to_owned(),
        mount_path: path.to_owned(),
        read_only: read_only.then_some(true),
        ..VolumeMount::default()
    }
}

/// A probe by HTTP.
pub fn http_probe(path: &str, port: &str, period_seconds: i32, failures: i32) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.to_owned()),
            port: IntOrString::String(port.to_owned()),
            ..HTTPGetAction::default()
        }),
        period_seconds: Some(period_seconds),
        timeout_seconds: Some(2),
        failure_threshold: Some(failures),
        ..Probe::default()
    }
}

/// A probe by connecting.
pub fn tcp_probe(port: &str, period_seconds: i32) -> Probe {
    Probe {
        tcp_socket: Some(TCPSocketAction {
            port: IntOrString::String(port.to_owned()),
            ..TCPSocketAction::default()
        }),
        period_seconds: Some(period_seconds),
        timeout_seconds: Some(2),
        failure_threshold: Some(3),
        ..Probe::default()
    }
}

/// What the manifest says, and that a pod leaves a lost host soon, unless the manifest says something of that as well.
pub fn tolerations(said: &[Toleration]) -> Vec<Toleration> {
    let mut all = said.to_vec();
    for key in ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"] {
        if !said.iter().any(|t| t.key.as_deref() == Some(key)) {
            all.push(Toleration {
                key: Some(key.to_owned()),
                operator: Some("Exists".to_owned()),
                effect: Some("NoExecute".to_owned()),
                toleration_seconds: Some(LOST_HOST_SECONDS),
                ..Toleration::default()
            });
        }
    }
    all
}

/// Hosts that can run our images, of those that the manifest says.
pub fn node_selector(said: &BTreeMap<String, String>) -> Option<BTreeMap<String, String>> {
    let mut all = said.clone();
    all.entry(OS.0.to_owned()).or_insert_with(|| OS.1.to_owned());
    Some(all)
}

/// What the manifest says of the pods of front door or Redis, put into their template.
pub fn place(template: &mut PodTemplateSpec, said: Option<&PodOptions>) {
    let none = PodOptions::default();
    let said = said.unwrap_or(&none);
    let metadata = template.metadata.get_or_insert_default();
    let mut labels = said.labels.clone();
    // Our own are those that pods are selected by.
    labels.extend(metadata.labels.take().unwrap_or_default());
    metadata.labels = Some(labels);
    if !said.annotations.is_empty() {
        metadata.annotations = Some(said.annotations.clone());
    }
    let spec = template.spec.get_or_insert_default();
    spec.node_selector = node_selector(&said.node_selector);
    spec.tolerations = Some(tolerations(&said.tolerations));
    spec.priority_class_name.clone_from(&said.priority_class_name);
    if let Some(affinity) = &said.affinity {
        let apart = spec.affinity.take().and_then(|affinity| affinity.pod_anti_affinity);
        let mut affinity = affinity.clone();
        affinity.pod_anti_affinity = affinity.pod_anti_affinity.or(apart);
        spec.affinity = Some(affinity);
    }
}

/// Over hosts, where that is possible.
///
/// Zones are not among the constraints: the scheduler scores no host that lacks the label of any one of them, so that on hosts
/// without zones nothing would be spread at all (kube-scheduler, `podtopologyspread/scoring.go`).
pub fn spread(selector: &LabelSelector) -> Vec<TopologySpreadConstraint> {
    vec![TopologySpreadConstraint {
        max_skew: 1,
        topology_key: "kubernetes.io/hostname".to_owned(),
        when_unsatisfiable: "ScheduleAnyway".to_owned(),
        label_selector: Some(selector.clone()),
        ..TopologySpreadConstraint::default()
    }]
}

/// Over zones, where hosts are labelled with them: the more pods a zone has, the less it is liked.
pub fn zones_apart(selector: &LabelSelector) -> PodAntiAffinity {
    PodAntiAffinity {
        preferred_during_scheduling_ignored_during_execution: Some(vec![WeightedPodAffinityTerm {
            weight: 100,
            pod_affinity_term: PodAffinityTerm {
                label_selector: Some(selector.clone()),
                topology_key: "topology.kubernetes.io/zone".to_owned(),
                ..PodAffinityTerm::default()
            },
        }]),
        ..PodAntiAffinity::default()
    }
}
