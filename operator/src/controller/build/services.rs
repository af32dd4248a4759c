//! Addresses: of the nodes for the front door's first look, and of the front door.

use super::labels::{Component, selecting};
use super::ports::Ports;
use super::wish::Wish;
use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

/// The nodes' names in DNS. Also those that are not ready: a node that is being emptied must stay reachable.
pub fn nodes(wish: &Wish) -> Service {
    let ports = Ports::wanted(&wish.spec);
    Service {
        metadata: wish.meta(wish.id.nodes_service(), Component::Node),
        spec: Some(ServiceSpec {
            cluster_ip: Some("None".to_owned()),
            publish_not_ready_addresses: Some(true),
            ip_family_policy: Some("PreferDualStack".to_owned()),
            selector: Some(selecting(&wish.id.name, Component::Node)),
            ports: Some(vec![
                port("client", ports.client, "client"),
                port("client-secure", ports.secure_client, "client-secure"),
                port("admin", ports.admin, "admin"),
                port("health", ports.health, "health"),
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
    // Service meshes and some proxies go by the name.
    let name = if wish.spec.web.tls.is_some() { "https" } else { "http" };
    // The target keeps its name: pods of before are reached until they are replaced.
    let mut door = port(name, service.port, "http");
    door.node_port = service.node_port.filter(|number| *number != 0);
    let ranges = &service.load_balancer_source_ranges;
    Service {
        metadata,
        spec: Some(ServiceSpec {
            type_: Some(service.type_.as_str().to_owned()),
            ip_family_policy: Some("PreferDualStack".to_owned()),
            selector: Some(selecting(&wish.id.name, Component::Web)),
            ports: Some(vec![door]),
            load_balancer_class: service.load_balancer_class.clone(),
            load_balancer_source_ranges: (!ranges.is_empty()).then(|| ranges.clone()),
            external_traffic_policy: service.external_traffic_policy.map(|policy| policy.as_str().to_owned()),
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
