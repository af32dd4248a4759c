//! What is wanted of one cluster, and what the operator itself was told: all that objects are built from.

use super::labels::{Component, labels};
use crate::crd::{MAX_NODES, SfuCluster, SfuClusterSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::api::DynamicObject;
use kube::{Resource, ResourceExt};

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ClusterId {
    pub namespace: String,
    pub name: String,
    /// UID of the object: a cluster that was deleted and made again is another one.
    pub uid: String,
}

/// What the operator was told at its start, the same for all clusters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Image of nodes whose manifest names none.
    pub node_image: String,
    /// Image of the front door where the manifest names none.
    pub web_image: String,
    /// Image of managed Redis where the manifest names none.
    pub redis_image: String,
    /// Namespace of the operator's own pods: who may reach the nodes' admin port. `None` when it does not run as a pod, or
    /// reaches nodes through the API server: then the port is open to all, and guarded by token and TLS alone.
    pub operator_namespace: Option<String>,
}

/// What is wanted of one cluster: a manifest that was found to be in order.
#[derive(Debug, Clone, PartialEq)]
pub struct Wish {
    pub id: ClusterId,
    /// The object, as the owner of everything that is built.
    pub owner: OwnerReference,
    pub spec: SfuClusterSpec,
    /// What the nodes' keys in Redis begin with, where that is not the cluster's own: nodes that were adopted hold their
    /// names under the one of the cluster that made them.
    pub redis_prefix: Option<String>,
}

impl ClusterId {
    #[must_use]
    pub fn of(object: &ObjectMeta) -> Self {
        Self {
            namespace: object.namespace.clone().unwrap_or_default(),
            name: object.name.clone().unwrap_or_default(),
            uid: object.uid.clone().unwrap_or_default(),
        }
    }

    /// The nodes' StatefulSet; its pods are this name with a number.
    #[must_use]
    pub fn nodes(&self) -> String {
        self.name.clone()
    }

    /// The pod of a node.
    #[must_use]
    pub fn node(&self, ordinal: i32) -> String {
        format!("{}-{ordinal}", self.name)
    }

    /// The number of a media node's pod; none of another pod.
    #[must_use]
    pub fn ordinal(&self, pod: &str) -> Option<i32> {
        let number = pod.strip_prefix(&self.name).and_then(|rest| rest.strip_prefix('-'));
        number?.parse::<u16>().ok().map(i32::from)
    }

    /// Whether a pod of this cluster is a media node's.
    #[must_use]
    pub fn is_node(&self, pod: &str) -> bool {
        self.ordinal(pod).is_some()
    }

    /// The Service before a node's pod, for clients outside of the pod network.
    #[must_use]
    pub fn media_service(&self, ordinal: i32) -> String {
        format!("{}-media-{ordinal}", self.name)
    }

    /// The one for TCP, where each protocol has its own.
    #[must_use]
    pub fn media_service_of_tcp(&self, ordinal: i32) -> String {
        format!("{}-tcp", self.media_service(ordinal))
    }

    /// The headless Service of the nodes, and their ServiceAccount.
    #[must_use]
    pub fn nodes_service(&self) -> String {
        format!("{}-nodes", self.name)
    }

    /// All such Services that there may be.
    #[must_use]
    pub fn media_services(&self) -> Vec<String> {
        let of = |ordinal| [self.media_service(ordinal), self.media_service_of_tcp(ordinal)];
        (0..MAX_NODES).flat_map(of).collect()
    }

    /// The front door's Deployment and Service.
    #[must_use]
    pub fn web(&self) -> String {
        format!("{}-web", self.name)
    }

    /// Redis' StatefulSet and Service.
    #[must_use]
    pub fn redis(&self) -> String {
        format!("{}-redis", self.name)
    }

    /// What the nodes' keys in Redis begin with: no other cluster has the UID.
    #[must_use]
    pub fn redis_prefix(&self) -> String {
        format!("{}/{}/{}", self.namespace, self.name, self.uid)
    }

    /// The Secret with everything that the operator draws by chance: admin token, certificates, Redis' password.
    #[must_use]
    pub fn secret(&self) -> String {
        format!("{}-admin", self.name)
    }
}

impl Wish {
    /// The wish that this object has such a spec.
    #[must_use]
    pub fn new(object: &DynamicObject, spec: SfuClusterSpec) -> Self {
        Self {
            id: ClusterId::of(&object.metadata),
            owner: OwnerReference {
                api_version: SfuCluster::api_version(&()).into_owned(),
                kind: SfuCluster::kind(&()).into_owned(),
                name: object.name_any(),
                uid: object.uid().unwrap_or_default(),
                controller: Some(true),
                block_owner_deletion: Some(true),
            },
            spec,
            redis_prefix: None,
        }
    }

    /// Metadata of a child.
    pub(super) fn meta(&self, name: String, component: Component) -> ObjectMeta {
        ObjectMeta {
            name: Some(name),
            namespace: Some(self.id.namespace.clone()),
            labels: Some(labels(&self.id.name, component)),
            owner_references: Some(vec![self.owner.clone()]),
            ..ObjectMeta::default()
        }
    }
}
