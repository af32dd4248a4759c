//! Who may talk to whom. Media comes from anywhere; links from the nodes of this cluster only; Redis, the admin port and the
//! one for front doors from those that need them.

use super::labels::{Component, MANAGER, selecting, selector};
use super::ports::{Ports, REDIS_PORT};
use super::wish::{Settings, Wish};
use k8s_openapi::api::networking::v1::{
    NetworkPolicy, NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicyPort, NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use std::collections::BTreeSet;

/// Label that every namespace has, with its name.
const NAMESPACE_NAME: &str = "kubernetes.io/metadata.name";

/// The policies of a cluster; none when the manifest turns them off. What nodes need that still run by another manifest is let
/// in until the last of them is replaced.
#[must_use]
pub fn policies(wish: &Wish, settings: &Settings, running: impl IntoIterator<Item = Ports>) -> Vec<NetworkPolicy> {
    if !wish.spec.network_policy.enabled {
        return Vec::new();
    }
    let wanted = Ports::wanted(&wish.spec);
    let others: BTreeSet<Ports> = running.into_iter().filter(|ports| *ports != wanted).collect();
    // No selector finds a pod that uses the network of its host: whoever must let one in lets in everybody, and keeps the others
    // away by tokens and TLS.
    let nodes = if wanted.on_host || others.iter().any(|ports| ports.on_host) {
        None
    } else {
        Some(pods(selector(&wish.id.name, Component::Node)))
    };
    let mut all = vec![of_nodes(wish, settings, nodes.as_ref(), (&wanted, &others))];
    if wish.spec.redis.external.is_none() {
        all.push(of_redis(wish, nodes));
    }
    all
}

fn of_nodes(
    wish: &Wish,
    settings: &Settings,
    nodes: Option<&NetworkPolicyPeer>,
    (wanted, others): (&Ports, &BTreeSet<Ports>),
) -> NetworkPolicy {
    let web = pods(selector(&wish.id.name, Component::Web));
    let operator = settings.operator_namespace.as_ref().map(|namespace| NetworkPolicyPeer {
        namespace_selector: Some(matching([(NAMESPACE_NAME.to_owned(), namespace.clone())])),
        pod_selector: Some(matching([("app.kubernetes.io/name".to_owned(), MANAGER.to_owned())])),
        ..NetworkPolicyPeer::default()
    });
    let admin = nodes
        .zip(operator)
        .map(|(nodes, operator)| vec![nodes.clone(), web.clone(), operator]);
    let media = |ports: &Ports| rule(None, media_ports(ports));
    let clients = |ports: &Ports| rule(None, vec![tcp(ports.client), tcp(ports.health)]);
    let doors = |ports: &Ports| rule(Some(vec![web.clone()]), vec![tcp(ports.secure_client)]);
    let links = |ports: &Ports| {
        let (first, last) = ports.pipe;
        rule(
            nodes.map(|nodes| vec![nodes.clone()]),
            vec![port("UDP", first, Some(last))],
        )
    };
    let admin = |ports: &Ports| rule(admin.clone(), vec![tcp(ports.admin)]);
    let mut ingress = vec![
        media(wanted),
        clients(wanted),
        doors(wanted),
        links(wanted),
        admin(wanted),
    ];
    for ports in others {
        ingress.extend([media(ports), links(ports)]);
        if ports.listeners() != wanted.listeners() {
            ingress.extend([clients(ports), doors(ports), admin(ports)]);
        }
    }
    policy(wish, wish.id.nodes(), Component::Node, ingress)
}

fn media_ports(ports: &Ports) -> Vec<NetworkPolicyPort> {
    let (first, last) = ports.media;
    let protocols = ports.protocols().iter();
    protocols.map(|protocol| port(protocol, first, Some(last))).collect()
}

fn of_redis(wish: &Wish, nodes: Option<NetworkPolicyPeer>) -> NetworkPolicy {
    let from = nodes.map(|nodes| vec![nodes]);
    policy(
        wish,
        wish.id.redis(),
        Component::Redis,
        vec![rule(from, vec![tcp(REDIS_PORT)])],
    )
}

fn policy(wish: &Wish, name: String, component: Component, ingress: Vec<NetworkPolicyIngressRule>) -> NetworkPolicy {
    NetworkPolicy {
        metadata: wish.meta(name, component),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(matching(selecting(&wish.id.name, component))),
            policy_types: Some(vec!["Ingress".to_owned()]),
            ingress: Some(ingress),
            ..NetworkPolicySpec::default()
        }),
    }
}

/// `from` of `None` is everybody.
fn rule(from: Option<Vec<NetworkPolicyPeer>>, ports: Vec<NetworkPolicyPort>) -> NetworkPolicyIngressRule {
    NetworkPolicyIngressRule {
        from,
        ports: Some(ports),
    }
}

fn pods(selector: LabelSelector) -> NetworkPolicyPeer {
    NetworkPolicyPeer {
        pod_selector: Some(selector),
        ..NetworkPolicyPeer::default()
    }
}

fn matching(labels: impl IntoIterator<Item = (String, String)>) -> LabelSelector {
    LabelSelector {
        match_labels: Some(labels.into_iter().collect()),
        ..LabelSelector::default()
    }
}

fn tcp(number: i32) -> NetworkPolicyPort {
    port("TCP", number, None)
}

fn port(protocol: &str, first: i32, last: Option<i32>) -> NetworkPolicyPort {
    NetworkPolicyPort {
        protocol: Some(protocol.to_owned()),
        port: Some(IntOrString::Int(first)),
        end_port: last.filter(|last| *last != first),
    }
}
