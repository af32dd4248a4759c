//! From a wish to the objects that carry it out. Pure: no client, no clock, no chance. The same wish gives the same
//! objects, byte for byte, since any difference in a pod template would replace running pods.

mod access;
mod budget;
mod labels;
mod network_policies;
mod nodes;
mod pods;
mod redis;
pub mod secret_keys;
mod services;
mod web;

pub use labels::{Component, INSTANCE, MANAGED_BY, MANAGER, labels, selector, selector_text};
pub use nodes::fitting_lanes;

use crate::crd::SfuClusterSpec;
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::core::v1::{Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};

/// TCP port of a node's WHIP and WHEP listener.
pub const CLIENT_PORT: i32 = 3001;
/// TCP port of a node's admin listener.
pub const ADMIN_PORT: i32 = 4001;
/// TCP port of a node's health and metrics listener.
pub const HEALTH_PORT: i32 = 5001;
/// TCP port of Redis.
pub const REDIS_PORT: i32 = 6379;

/// Which cluster.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ClusterId {
    /// Namespace of the object.
    pub namespace: String,
    /// Name of the object.
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
    /// Which cluster.
    pub id: ClusterId,
    /// The object, as the owner of everything that is built.
    pub owner: OwnerReference,
    /// Its spec.
    pub spec: SfuClusterSpec,
}

/// The objects of one cluster. Secrets are not among them: they hold chance, so they cannot be built anew each time.
#[derive(Debug, Clone, PartialEq)]
pub struct Children {
    /// Identity of the nodes' pods, without any right.
    pub account: ServiceAccount,
    /// The nodes.
    pub nodes: StatefulSet,
    /// The names of the nodes in DNS.
    pub nodes_service: Service,
    /// How many nodes may be away at a time by the will of somebody else.
    pub budget: Option<PodDisruptionBudget>,
    /// The front door.
    pub web: Deployment,
    /// The front door's address.
    pub web_service: Service,
    /// Redis, when it is managed.
    pub redis: Option<Redis>,
    /// Who may talk to whom.
    pub policies: Vec<NetworkPolicy>,
}

/// A managed Redis.
#[derive(Debug, Clone, PartialEq)]
pub struct Redis {
    /// Its one pod.
    pub stateful_set: StatefulSet,
    /// Its address.
    pub service: Service,
}

/// Builds the objects of a cluster.
#[must_use]
pub fn build(wish: &Wish, settings: &Settings) -> Children {
    Children {
        account: nodes::account(wish),
        nodes: nodes::stateful_set(wish, settings),
        nodes_service: services::nodes(wish),
        budget: budget::budget(wish),
        web: web::deployment(wish, settings),
        web_service: services::web(wish),
        redis: redis::redis(wish, settings),
        policies: network_policies::policies(wish, settings),
    }
}

impl ClusterId {
    /// The nodes' StatefulSet; its pods are this name with a number.
    #[must_use]
    pub fn nodes(&self) -> String {
        self.name.clone()
    }

    /// The headless Service of the nodes, and their ServiceAccount.
    #[must_use]
    pub fn nodes_service(&self) -> String {
        format!("{}-nodes", self.name)
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

    /// The Secret with everything that the operator draws by chance: admin token, certificates, Redis' password.
    #[must_use]
    pub fn secret(&self) -> String {
        format!("{}-admin", self.name)
    }
}

impl Wish {
    /// Metadata of a child.
    fn meta(&self, name: String, component: Component) -> ObjectMeta {
        ObjectMeta {
            name: Some(name),
            namespace: Some(self.id.namespace.clone()),
            labels: Some(labels(&self.id.name, component)),
            owner_references: Some(vec![self.owner.clone()]),
            ..ObjectMeta::default()
        }
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
