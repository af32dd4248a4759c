//! Addresses: of the nodes for the front door's first look, and of the front door.

use super::labels::{Component, selecting};
use super::ports::{ADMIN_PORT, CLIENT_PORT, HEALTH_PORT, SECURE_CLIENT_PORT};
use super::wish::Wish;
use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

/// The nodes' names in DNS. Also those that are not ready: a node that is being emptied must stay reachable.
pub fn nodes(wish: &Wish) -> Service {
    Service {
        metadata: wish.meta(wish.id.nodes_service(), Component::Node),
        spec: Some(ServiceSpec {
            cluster_ip: Some("None".to_owned()),
            publish_not_ready_addresses: Some(true),
            ip_family_policy: Some("PreferDualStack".to_owned()),
            selector: Some(selecting(&wish.id.name, Component::Node)),
            ports: Some(vec![
                port("client", CLIENT_PORT, "client"),
                port("client-secure", SECURE_CLIENT_PORT, "client-secure"),
                port("admin", ADMIN_PORT, "admin"),
                port("health", HEALTH_PORT, "health"),
            ]),
            ..ServiceSpec::default()
        }),
        ..Service::default()
    }
}

pub fn web(wish: &Wish) -> Service {
    let service = &wish.spec.web.service;
    let mut metadata = wish.meta(wish.id.web(), Component::Web);
    metadata.annotations = (!service.annotations.is_empty()).then(|| service.annotations.clone());
    Service {
        metadata,
        spec: Some(ServiceSpec {
            type_: Some(service.type_.as_str().to_owned()),
            ip_family_policy: Some("PreferDualStack".to_owned()),
            selector: Some(selecting(&wish.id.name, Component::Web)),
            ports: Some(vec![port("http", service.port, "http")]),
            ..ServiceSpec::default()
        }),
        ..Service::default()
    }
}

/// A TCP port of a Service.
pub fn port(name: &str, number: i32, target: &str) -> ServicePort {
    ServicePort {
        name: Some(name.to_owned()),
        port: number,
        target_port: Some(IntOrString::String(target.to_owned())),
        protocol: Some("TCP".to_owned()),
        ..ServicePort::default()
    }
}
