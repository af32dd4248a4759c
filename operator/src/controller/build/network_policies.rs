//! Who may talk to whom. Media comes from anywhere; links from the nodes of this cluster only; Redis, the admin port and the
//! one for front doors from those that need them.

use super::labels::{Component, MANAGER, selecting, selector};
use super::ports::{ADMIN_PORT, CLIENT_PORT, HEALTH_PORT, REDIS_PORT, SECURE_CLIENT_PORT};
use super::wish::{Settings, Wish};
use crate::crd::{PORTS_PER_NODE, SfuClusterSpec};
use k8s_openapi::api::networking::v1::{
    NetworkPolicy, NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicyPort, NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use std::collections::BTreeSet;

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
    let ports = Ports::wanted(&wish.spec);
    policy(
        wish,
        wish.id.nodes(),
        Component::Node,
        vec![
            rule(None, media_ports(&ports)),
            rule(
                None,
                vec![port("TCP", CLIENT_PORT, None), port("TCP", HEALTH_PORT, None)],
            ),
            rule(
                Some(vec![own(Component::Web)]),
                vec![port("TCP", SECURE_CLIENT_PORT, None)],
            ),
            links(wish, ports.pipe),
            rule(admin, vec![port("TCP", ADMIN_PORT, None)]),
        ],
    )
}

/// The ports of a node that depend on the manifest: the first and the last of each kind.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ports {
    /// Of media of clients.
    pub(super) media: (i32, i32),
    /// Of links.
    pipe: (i32, i32),
    /// Whether media comes by TCP as well.
    tcp: bool,
}

impl Ports {
    /// Those that the manifest wants.
    #[must_use]
    pub fn wanted(spec: &SfuClusterSpec) -> Self {
        let (media, pipe) = (spec.media.port, spec.mesh.port_base);
        Self {
            media: (media, media + super::workers::workers(spec) - 1),
            pipe: (pipe, pipe + PORTS_PER_NODE - 1),
            tcp: spec.media.tcp,
        }
    }

    /// What media comes by.
    pub(super) fn protocols(&self) -> &'static [&'static str] {
        if self.tcp { &["UDP", "TCP"] } else { &["UDP"] }
    }

    /// Those of a node that was started with these arguments; `None` for one of another release that names them otherwise.
    #[must_use]
    pub fn of(argument: impl Fn(&str) -> Option<String>) -> Option<Self> {
        let number = |name: &str| argument(name)?.parse::<i32>().ok();
        let (media, workers) = (number("media-port")?, number("workers")?);
        let pipe = argument("pipe-ports")?;
        let (first, last) = pipe.split_once('-')?;
        Some(Self {
            media: (media, media.checked_add(workers)? - 1),
            pipe: (first.parse().ok()?, last.parse().ok()?),
            tcp: argument("media-tcp")? == "true",
        })
    }
}

/// Lets in what nodes need that still run by another manifest, until the last of them is replaced.
pub fn widen(policies: &mut [NetworkPolicy], wish: &Wish, running: impl IntoIterator<Item = Ports>) {
    let wanted = Ports::wanted(&wish.spec);
    let others: BTreeSet<Ports> = running.into_iter().filter(|ports| *ports != wanted).collect();
    let of_nodes = |policy: &&mut NetworkPolicy| policy.metadata.name.as_ref() == Some(&wish.id.nodes());
    let ingress = policies
        .iter_mut()
        .find(of_nodes)
        .and_then(|policy| policy.spec.as_mut())
        .map(|spec| spec.ingress.get_or_insert_default());
    if let Some(ingress) = ingress {
        for ports in others {
            ingress.extend([rule(None, media_ports(&ports)), links(wish, ports.pipe)]);
        }
    }
}

fn media_ports(ports: &Ports) -> Vec<NetworkPolicyPort> {
    let (first, last) = ports.media;
    let protocols = ports.protocols().iter();
    protocols.map(|protocol| port(protocol, first, Some(last))).collect()
}

fn links(wish: &Wish, (first, last): (i32, i32)) -> NetworkPolicyIngressRule {
    let from = vec![pods(selector(&wish.id.name, Component::Node))];
    rule(Some(from), vec![port("UDP", first, Some(last))])
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
