//! Live objects, as far as anybody looks at them. The API server's own types know hundreds of fields, and reading all of
//! them would be most of this program.

use super::ownership::may_have;
use crate::controller::build::{ClusterId, Component, INSTANCE, Made, selector};
use crate::crd::{SfuCluster, quantity};
use k8s_openapi::api::{apps, core};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, Time};
use k8s_openapi::{ClusterResourceScope, NamespaceResourceScope};
use kube::Resource;
use kube::core::{ApiResource, ObjectMeta};
use kube::runtime::reflector::{ObjectRef, Store};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::borrow::Cow;
use std::sync::Arc;

/// The kind SfuCluster, for untyped access.
#[must_use]
pub fn resource() -> ApiResource {
    ApiResource::erase::<SfuCluster>(&())
}

#[derive(Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct Pod {
    pub metadata: ObjectMeta,
    pub spec: PodSpec,
    pub status: PodStatus,
}

#[derive(Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct PodSpec {
    pub node_name: Option<String>,
    pub host_network: bool,
    pub containers: Vec<Container>,
}

#[derive(Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(default)]
pub struct Container {
    pub args: Vec<String>,
    pub ports: Vec<ContainerPort>,
}

#[derive(Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct ContainerPort {
    pub name: Option<String>,
    pub container_port: i32,
}

/// What pods are made from.
#[derive(Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(default)]
pub struct Template {
    pub spec: PodSpec,
}

#[derive(Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct PodStatus {
    /// `Pending`, `Running`, `Succeeded`, `Failed`.
    pub phase: Option<String>,
    /// Why it has failed: `Evicted`, `OutOfcpu`.
    pub reason: Option<String>,
    pub message: Option<String>,
    #[serde(rename = "podIP")]
    pub pod_ip: Option<String>,
    /// Its addresses, at most one of each family.
    #[serde(rename = "podIPs")]
    pub pod_ips: Vec<Address>,
    /// Those of its host.
    #[serde(rename = "hostIPs")]
    pub host_ips: Vec<Address>,
    /// `Ready` and others.
    pub conditions: Vec<PodCondition>,
    /// Those that end before the others start.
    pub init_container_statuses: Vec<ContainerStatus>,
    pub container_statuses: Vec<ContainerStatus>,
}

#[derive(Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(default)]
pub struct Address {
    pub ip: String,
}

#[derive(Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct PodCondition {
    #[serde(rename = "type")]
    pub type_: String,
    /// `True`, `False`, `Unknown`.
    pub status: String,
    pub message: Option<String>,
    pub last_transition_time: Option<Time>,
}

#[derive(Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct ContainerStatus {
    pub name: String,
    pub state: ContainerState,
    /// How it ended the last time.
    pub last_state: ContainerState,
    /// How often it was started again.
    pub restart_count: i32,
}

#[derive(Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(default)]
pub struct ContainerState {
    pub waiting: Option<Waiting>,
    pub running: Option<Running>,
    pub terminated: Option<Terminated>,
}

#[derive(Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct Terminated {
    /// `Error`, `OOMKilled`, `Completed`.
    pub reason: Option<String>,
    pub exit_code: i32,
    pub started_at: Option<Time>,
    pub finished_at: Option<Time>,
}

#[derive(Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct Running {
    pub started_at: Option<Time>,
}

#[derive(Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(default)]
pub struct Waiting {
    pub reason: Option<String>,
    pub message: Option<String>,
}

#[derive(Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct StatefulSet {
    pub metadata: ObjectMeta,
    pub spec: SetSpec,
    pub status: SetStatus,
}

/// What is wanted of a StatefulSet, apart from its pods.
#[derive(Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct SetSpec {
    pub replicas: Option<i32>,
    pub selector: LabelSelector,
    /// Service that names them.
    pub service_name: Option<String>,
    /// Whether they start one after the other.
    pub pod_management_policy: Option<String>,
    /// Templates that are kept.
    pub revision_history_limit: Option<i32>,
    /// Volumes that each pod gets.
    pub volume_claim_templates: Vec<Claim>,
    pub template: Template,
    pub persistent_volume_claim_retention_policy: ClaimPolicy,
}

/// What becomes of the volumes.
#[derive(Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct ClaimPolicy {
    /// When the StatefulSet is deleted: `Delete`, `Retain`.
    pub when_deleted: Option<String>,
}

/// A volume that each pod gets, with all that anybody says of it: an apply that leaves out what others have filled in is refused.
#[derive(Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(transparent)]
pub struct Claim(pub Value);

impl Claim {
    /// Whether another one asks for the same volume.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self.has(other) && other.has(self)
    }

    /// Whether it has all that another one asks for, as far as we say anything of volumes.
    #[must_use]
    pub fn has(&self, asked: &Self) -> bool {
        let unsaid_or_same = |path: &str| asked.text(path).is_none_or(|asked| self.text(path) == Some(asked));
        let is_same = |(name, asked): (&str, &str)| {
            self.requests()
                .any(|(ours, size)| ours == name && quantity::is_same(size, asked))
        };
        ["/metadata/name", "/spec/storageClassName"]
            .into_iter()
            .all(unsaid_or_same)
            && asked.requests().all(is_same)
    }

    fn text(&self, path: &str) -> Option<&str> {
        self.0.pointer(path)?.as_str()
    }

    /// Quantities, as the API server writes them.
    fn requests(&self) -> impl Iterator<Item = (&str, &str)> {
        let all = self.0.pointer("/spec/resources/requests").and_then(Value::as_object);
        all.into_iter()
            .flatten()
            .filter_map(|(name, size)| Some((name.as_str(), size.as_str()?)))
    }
}

/// A volume that there is.
#[derive(Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(default)]
pub struct VolumeClaim {
    pub metadata: ObjectMeta,
    pub spec: Value,
}

impl VolumeClaim {
    /// The same as the part of a StatefulSet that would make it.
    #[must_use]
    pub fn as_asked(&self, asked: &Claim) -> Claim {
        Claim(json!({ "metadata": { "name": asked.text("/metadata/name") }, "spec": self.spec }))
    }
}

#[derive(Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct SetStatus {
    pub observed_generation: Option<i64>,
    /// Pods that there are.
    pub replicas: i32,
    /// Revision of the template that new pods get.
    pub update_revision: Option<String>,
}

impl PodSpec {
    /// The value of an option of the first container, as its program reads it: `argument("cluster")` of `--cluster=VALUE`.
    #[must_use]
    pub fn argument(&self, name: &str) -> Option<String> {
        let args = &self.containers.first()?.args;
        let value = |arg: &String| {
            Some(
                arg.strip_prefix("--")?
                    .strip_prefix(name)?
                    .strip_prefix('=')?
                    .to_owned(),
            )
        };
        args.iter().find_map(value).map(|value| value.replace("$$", "$"))
    }
}

impl Made for PodSpec {
    fn argument(&self, name: &str) -> Option<String> {
        Self::argument(self, name)
    }

    fn port(&self, name: &str) -> Option<i32> {
        let ports = &self.containers.first()?.ports;
        let found = ports.iter().find(|port| port.name.as_deref() == Some(name))?;
        Some(found.container_port)
    }

    fn is_on_host(&self) -> bool {
        self.host_network
    }
}

impl StatefulSet {
    /// The same view of an object that is to be applied.
    ///
    /// # Errors
    /// When it cannot be written as JSON.
    pub fn of(desired: &apps::v1::StatefulSet) -> serde_json::Result<Self> {
        serde_json::from_value(serde_json::to_value(desired)?)
    }
}

#[derive(Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct Deployment {
    pub metadata: ObjectMeta,
    pub spec: DeploymentSpec,
    pub status: DeploymentStatus,
}

#[derive(Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(default)]
pub struct DeploymentSpec {
    pub replicas: Option<i32>,
}

#[derive(Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct DeploymentStatus {
    pub observed_generation: Option<i64>,
    /// Pods that are not on their way out, whatever they were made from.
    pub replicas: i32,
    /// Those of them that were made from the template as it is now.
    pub updated_replicas: i32,
    pub ready_replicas: i32,
    /// `ReplicaFailure` and others.
    pub conditions: Vec<PodCondition>,
}

#[derive(Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(default)]
pub struct Service {
    pub metadata: ObjectMeta,
    pub status: ServiceStatus,
}

#[derive(Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceStatus {
    pub load_balancer: LoadBalancerStatus,
}

#[derive(Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(default)]
pub struct LoadBalancerStatus {
    /// Where the load balancer is reached, when there is one.
    pub ingress: Vec<Ingress>,
}

#[derive(Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(default)]
pub struct Ingress {
    pub ip: Option<String>,
    pub hostname: Option<String>,
}

/// A Kubernetes node.
#[derive(Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(default)]
pub struct Host {
    pub metadata: ObjectMeta,
    pub status: HostStatus,
}

#[derive(Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(default)]
pub struct HostStatus {
    pub addresses: Vec<HostAddress>,
}

#[derive(Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(default)]
pub struct HostAddress {
    /// `ExternalIP`, `InternalIP`, `Hostname` and others.
    #[serde(rename = "type")]
    pub type_: String,
    pub address: String,
}

/// The live object of this name in memory, if it is this cluster's.
#[must_use]
pub fn owned<K>(cache: &Store<K>, id: &ClusterId, name: &str) -> Option<Arc<K>>
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    let live = cache.get(&ObjectRef::new(name).within(&id.namespace))?;
    may_have(live.meta(), id).then_some(live)
}

/// Whether a pod is a media node of its cluster.
#[must_use]
pub fn is_node(pod: &Pod) -> bool {
    is_of(pod, Component::Node)
}

/// Whether a pod is of this component of its cluster.
#[must_use]
pub fn is_of(pod: &Pod, component: Component) -> bool {
    let Some(labels) = &pod.metadata.labels else {
        return false;
    };
    let cluster = labels.get(INSTANCE).map_or("", String::as_str);
    let wanted = selector(cluster, component).match_labels.unwrap_or_default();
    wanted.iter().all(|(key, value)| labels.get(key) == Some(value))
}

/// Whether a pod takes sessions: its condition says so, and it is not being deleted.
#[must_use]
pub fn is_ready(pod: &Pod) -> bool {
    let mut conditions = pod.status.conditions.iter();
    pod.metadata.deletion_timestamp.is_none() && conditions.any(|c| c.type_ == "Ready" && c.status == "True")
}

/// Makes a view a resource of the kind that it is a view of.
macro_rules! view_of {
    ($view:ty, $kind:ty) => {
        view_of!($view, $kind, NamespaceResourceScope);
    };
    ($view:ty, $kind:ty, $scope:ty) => {
        impl Resource for $view {
            type DynamicType = ();
            type Scope = $scope;

            fn kind(_: &()) -> Cow<'_, str> {
                <$kind as Resource>::kind(&())
            }
            fn group(_: &()) -> Cow<'_, str> {
                <$kind as Resource>::group(&())
            }
            fn version(_: &()) -> Cow<'_, str> {
                <$kind as Resource>::version(&())
            }
            fn plural(_: &()) -> Cow<'_, str> {
                <$kind as Resource>::plural(&())
            }
            fn meta(&self) -> &ObjectMeta {
                &self.metadata
            }
            fn meta_mut(&mut self) -> &mut ObjectMeta {
                &mut self.metadata
            }
        }
    };
}

view_of!(Pod, core::v1::Pod);
view_of!(StatefulSet, apps::v1::StatefulSet);
view_of!(Deployment, apps::v1::Deployment);
view_of!(VolumeClaim, core::v1::PersistentVolumeClaim);
view_of!(Service, core::v1::Service);
view_of!(Host, core::v1::Node, ClusterResourceScope);

/// An answer that nobody looks into.
#[derive(Deserialize, Serialize, Clone, Debug)]
pub struct Anything {}
