//! From a wish to the objects that carry it out. Pure: no client, no clock, no chance. The same wish gives the same
//! objects, byte for byte, since any difference in a pod template would replace running pods.

mod access;
mod budget;
mod exposure;
mod labels;
mod network_policies;
mod nodes;
mod pods;
mod ports;
mod redis;
pub mod secret_keys;
mod services;
mod web;
mod wish;
mod workers;

pub use budget::web as web_budget;
pub use exposure::{Balancer, MEDIA_ADDRESSES, Place, Reached, Source, carried, media_addresses, media_services};
pub use labels::{
    Component, INSTANCE, MANAGED_BY, MANAGER, has_labels_of, has_labels_of_pods, labels, selector, selector_text,
};
pub use network_policies::policies;
pub use nodes::REDIS_PASSWORD_VARIABLE;
pub use pods::AT_ONCE;
pub use ports::{Made, Ports, admin_port};
pub use redis::{CLAIMS_GO, CLAIMS_STAY, Redis, RedisWorkload, redis_volume, set_of_the_release_before};
pub use wish::{ClusterId, Settings, Wish};
pub use workers::workers;

use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::core::v1::{Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;

/// The objects of one cluster. Secrets are not among them: they hold chance, so they cannot be built anew each time.
#[derive(Debug, Clone, PartialEq)]
pub struct Children {
    /// Identity of the nodes' pods, without any right.
    pub account: ServiceAccount,
    pub nodes: StatefulSet,
    /// The names of the nodes in DNS.
    pub nodes_service: Service,
    /// What clients outside of the pod network reach each node by.
    pub media_services: Vec<Service>,
    /// How many nodes may be away at a time by the will of somebody else.
    pub budget: Option<PodDisruptionBudget>,
    pub web: Deployment,
    /// How many front doors may be away, likewise.
    pub web_budget: Option<PodDisruptionBudget>,
    /// The front door's address.
    pub web_service: Service,
    /// Redis, when it is managed.
    pub redis: Option<Redis>,
    /// Who may talk to whom.
    pub policies: Vec<NetworkPolicy>,
}

#[must_use]
pub fn build(wish: &Wish, settings: &Settings) -> Children {
    Children {
        account: nodes::account(wish),
        nodes: nodes::stateful_set(wish, settings),
        nodes_service: services::nodes(wish),
        media_services: media_services(wish, wish.spec.replicas, []),
        budget: budget::nodes(wish),
        web: web::deployment(wish, settings),
        web_budget: budget::web(wish, web::first_replicas(wish)),
        web_service: services::web(wish),
        redis: redis::redis(wish, settings),
        policies: policies(wish, settings, []),
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
