//! Who may talk to whom. Media comes from anywhere; links from the nodes of this cluster only; Redis, the admin port and the
//! one for front doors from those that need them.

use super::labels::{Component, MANAGER, selecting, selector};
use super::ports::{ADMIN_PORT, CLIENT_PORT, HEALTH_PORT, REDIS_PORT, SECURE_CLIENT_PORT};
use super::wish::{Settings, Wish};
use crate::crd::PORTS_PER_NODE;
use k8s_openapi::api::networking::v1::{
    NetworkPolicy, NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicyPort, NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

/// Label that every namespace has, with its name.
const NAMESPACE_NAME: &str = "kubernetes.io/metadata.name";

/// The policies of a cluster; none when the manifest turns them off.
pub fn policies(wish: &Wish, settings: &Settings) -> Vec<NetworkPolicy> {
    if !wish.spec.network_policy.enabled {
        return Vec::new();
    }
    let mut all = vec![nodes(wish, settings)];
    if wish.spec.redis.external.is_none() {
        all.push(redis(wish));
    }
    all
}

fn nodes(wish: &Wish, settings: &Settings) -> NetworkPolicy {
    let spec = &wish.spec;
    let own = |component| pods(selector(&wish.id.name, component));
    let admin = settings.operator_namespace.as_ref().map(|namespace| {
        vec![
            own(Component::Node),
            own(Component::Web),
            NetworkPolicyPeer {
                namespace_selector: Some(matching([(NAMESPACE_NAME.to_owned(), namespace.clone())])),
                pod_selector: Some(matching([("app.kubernetes.io/name".to_owned(), MANAGER.to_owned())])),
                ..NetworkPolicyPeer::default()
            },
        ]
    });
    let last_media = spec.media.port + super::nodes::workers(spec) - 1;
    let mut media = vec![port("UDP", spec.media.port, Some(last_media))];
    if spec.media.tcp {
        media.push(port("TCP", spec.media.port, Some(last_media)));
    }
    let last_pipe = spec.mesh.port_base + PORTS_PER_NODE - 1;
    policy(
        wish,
        wish.id.nodes(),
        Component::Node,
        vec![
            rule(None, media),
            rule(
                None,
                vec![port("TCP", CLIENT_PORT, None), port("TCP", HEALTH_PORT, None)],
            ),
            rule(
                Some(vec![own(Component::Web)]),
                vec![port("TCP", SECURE_CLIENT_PORT, None)],
            ),
            rule(
                Some(vec![own(Component::Node)]),
                vec![port("UDP", spec.mesh.port_base, Some(last_pipe))],
            ),
            rule(admin, vec![port("TCP", ADMIN_PORT, None)]),
        ],
    )
}

fn redis(wish: &Wish) -> NetworkPolicy {
    let from = vec![pods(selector(&wish.id.name, Component::Node))];
    policy(
        wish,
        wish.id.redis(),
        Component::Redis,
        vec![rule(Some(from), vec![port("TCP", REDIS_PORT, None)])],
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

fn port(protocol: &str, first: i32, last: Option<i32>) -> NetworkPolicyPort {
    NetworkPolicyPort {
        protocol: Some(protocol.to_owned()),
        port: Some(IntOrString::Int(first)),
        end_port: last.filter(|last| *last != first),
    }
}
