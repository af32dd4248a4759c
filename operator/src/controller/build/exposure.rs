//! How clients outside of the pod network reach the media ports of a pod: the ports that it declares, the Services before it, and
//! the addresses that clients are told.

use super::labels::{Component, selecting};
use super::pods::container_port;
use super::ports::{Made, Ports};
use super::wish::{ClusterId, Wish};
use crate::crd::SfuClusterSpec;
use crate::crd::exposure::{AnnounceFrom, Exposure, LoadBalancerSpec, OUTER_PORTS_PER_NODE};
use k8s_openapi::api::core::v1::{ContainerPort, Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

/// Annotation of a pod with the addresses that its clients are told, as `sfu-node --media-announced-file` reads them; of a
/// Kubernetes node, with those of the host, without ports.
pub const MEDIA_ADDRESSES: &str = "sfumato.dev/media-addresses";
/// Annotation of a pod that is reached otherwise than by its own address: how.
const MEDIA_EXPOSURE: &str = "sfumato.dev/media-exposure";
/// Label that the StatefulSet controller gives each pod.
const POD_NAME: &str = "statefulset.kubernetes.io/pod-name";
/// What a STUN server sees, to a node: `stun/HOST:PORT`.
const STUN: &str = "stun/";
/// Stands for the number of the pod in texts of a manifest.
const ORDINAL: &str = "{ordinal}";

/// Where the addresses come from that the clients of a pod are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The manifest names them, or the STUN server that the node asks.
    Named(Vec<String>),
    /// The pod's status has its host's.
    Host,
    /// The status of the Kubernetes node has them, as this type.
    KubernetesNode(&'static str),
    /// These Services are given theirs by a load balancer.
    Ingress(Vec<Balancer>),
}

/// A Service that a load balancer is before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Balancer {
    pub service: String,
    /// What it sends on, where that is not both.
    pub protocol: Option<&'static str>,
}

/// Where clients are sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub protocol: Option<&'static str>,
    /// An IP address, or a host name.
    pub host: String,
}

/// Whether nodes wait for an address to tell their clients.
#[must_use]
pub fn is_announced(spec: &SfuClusterSpec) -> bool {
    Reached::wanted_of(spec, 0).is_told(spec)
}

/// Annotations of a pod template, those of the manifest among them.
pub fn annotations(spec: &SfuClusterSpec) -> Option<BTreeMap<String, String>> {
    let mut all = spec.pod_annotations.clone();
    if spec.media.exposure != Exposure::PodIP {
        all.insert(MEDIA_EXPOSURE.to_owned(), spec.media.exposure.as_str().to_owned());
    }
    (!all.is_empty()).then_some(all)
}

/// How a pod is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reached {
    ordinal: i32,
    exposure: Exposure,
    ports: Ports,
}

impl Reached {
    /// A pod that runs: as it was made, perhaps by a former manifest.
    #[must_use]
    pub fn running(wish: &Wish, pod: &ObjectMeta, made: &impl Made) -> Option<Self> {
        let annotations = pod.annotations.as_ref();
        let exposure = annotations.and_then(|all| all.get(MEDIA_EXPOSURE));
        Some(Self {
            ordinal: wish.id.ordinal(pod.name.as_deref()?)?,
            exposure: exposure.and_then(|name| Exposure::of(name)).unwrap_or_default(),
            ports: Ports::of(made).unwrap_or_else(|| Ports::wanted(&wish.spec)),
        })
    }

    /// A pod as it will be made.
    fn wanted_of(spec: &SfuClusterSpec, ordinal: i32) -> Self {
        Self {
            ordinal,
            exposure: spec.media.exposure,
            ports: Ports::wanted(spec),
        }
    }

    /// The Services that it is reached by.
    #[must_use]
    pub fn services(&self, wish: &Wish) -> Vec<String> {
        let balancers = balancers(&wish.id, &wish.spec, self.ordinal, &self.ports);
        match self.exposure {
            Exposure::NodePort => vec![wish.id.media_service(self.ordinal)],
            Exposure::LoadBalancer => balancers.into_iter().map(|it| it.service).collect(),
            Exposure::PodIP | Exposure::HostPort | Exposure::HostNetwork => Vec::new(),
        }
    }

    /// Where the addresses come from that clients are told; nowhere, where they are the pod's own.
    #[must_use]
    pub fn source(&self, wish: &Wish) -> Option<Source> {
        if !self.is_told(&wish.spec) {
            return None;
        }
        let announce = &wish.spec.media.announce;
        Some(match (announce.from, self.exposure) {
            (AnnounceFrom::Static, _) => {
                Source::Named(announce.addresses.iter().map(|text| self.filled_in(text)).collect())
            }
            (AnnounceFrom::Stun, Exposure::HostPort | Exposure::HostNetwork | Exposure::NodePort) => Source::Named(
                announce
                    .stun_server
                    .iter()
                    .map(|server| format!("{STUN}{server}"))
                    .collect(),
            ),
            // As a pod of a former manifest may be.
            (_, Exposure::LoadBalancer) => Source::Ingress(balancers(&wish.id, &wish.spec, self.ordinal, &self.ports)),
            (AnnounceFrom::NodeExternalIP, _) => Source::KubernetesNode("ExternalIP"),
            (AnnounceFrom::NodeInternalIP, _) => Source::KubernetesNode("InternalIP"),
            (AnnounceFrom::Auto | AnnounceFrom::HostIP | AnnounceFrom::ServiceIngress | AnnounceFrom::Stun, _) => {
                Source::Host
            }
        })
    }

    /// Whether clients are told other addresses than the pod's own.
    fn is_told(&self, spec: &SfuClusterSpec) -> bool {
        match self.exposure {
            Exposure::HostPort | Exposure::NodePort | Exposure::LoadBalancer => true,
            Exposure::HostNetwork => matches!(
                spec.media.announce.from,
                AnnounceFrom::Static | AnnounceFrom::Stun | AnnounceFrom::NodeExternalIP | AnnounceFrom::NodeInternalIP
            ),
            Exposure::PodIP => spec.media.announce.from == AnnounceFrom::Static,
        }
    }

    fn filled_in(&self, text: &str) -> String {
        text.replace(ORDINAL, &self.ordinal.to_string())
    }
}

/// The media ports of a container. A scheduler sees conflicts only of host ports that are declared.
pub fn media_ports(spec: &SfuClusterSpec) -> Vec<ContainerPort> {
    let ports = Ports::wanted(spec);
    let all = || media(&ports).map(|port| container_port(&port.name(), port.number, port.protocol));
    match spec.media.exposure {
        Exposure::HostPort => all().map(on_host).collect(),
        // The first port of the links stands for all: clusters that share a host have ranges that do not overlap.
        Exposure::HostNetwork => all().chain([container_port("links", ports.pipe.0, "UDP")]).collect(),
        // For people: any port can be reached.
        Exposure::PodIP | Exposure::NodePort | Exposure::LoadBalancer => {
            vec![container_port("media", spec.media.port, "UDP")]
        }
    }
}

/// The same port of the host.
pub fn on_host(port: ContainerPort) -> ContainerPort {
    ContainerPort {
        host_port: Some(port.container_port),
        ..port
    }
}

/// A port of a worker.
struct MediaPort {
    worker: i32,
    number: i32,
    protocol: &'static str,
}

impl MediaPort {
    fn name(&self) -> String {
        format!("media-{}{}", self.protocol.to_ascii_lowercase(), self.worker)
    }
}

/// Those of each worker, one for each protocol.
fn media(ports: &Ports) -> impl Iterator<Item = MediaPort> {
    let (first, last) = ports.media;
    let protocols = ports.protocols();
    (first..=last).flat_map(move |number| {
        protocols.iter().map(move |protocol| MediaPort {
            worker: number - first,
            number,
            protocol,
        })
    })
}

/// The Services before so many pods. Those that are `running` are reached as they were made.
#[must_use]
pub fn media_services(wish: &Wish, pods: i32, running: impl IntoIterator<Item = Reached>) -> Vec<Service> {
    let mut all: BTreeMap<i32, (Reached, Exposure)> = BTreeMap::new();
    for ordinal in 0..pods {
        let next = Reached::wanted_of(&wish.spec, ordinal);
        all.insert(ordinal, (next, wish.spec.media.exposure));
    }
    for pod in running {
        let next = if pod.ordinal < pods {
            wish.spec.media.exposure
        } else {
            pod.exposure
        };
        all.insert(pod.ordinal, (pod, next));
    }
    all.values()
        .flat_map(|(pod, next)| services(wish, pod, *next))
        .collect()
}

/// The Services of a pod. The one that comes `next` is found by them as well.
fn services(wish: &Wish, pod: &Reached, next: Exposure) -> Vec<Service> {
    let is = |exposure| pod.exposure == exposure || next == exposure;
    // Those of a load balancer are reached at hosts as well, by what is a NodePort or will be one.
    let node_ports = is(Exposure::NodePort).then(|| first_node_port(&wish.spec, pod.ordinal));
    if !is(Exposure::LoadBalancer) {
        return node_ports
            .map(|first| {
                service(
                    wish,
                    pod,
                    &Balancer::of_both(wish.id.media_service(pod.ordinal)),
                    (pod.ports.media.0, Some(first)),
                )
            })
            .into_iter()
            .collect();
    }
    let first = first_balanced_port(&wish.spec, pod.ordinal, &pod.ports);
    let balanced = |balancer: Balancer| {
        let mut service = service(wish, pod, &balancer, (first, node_ports));
        balance(&mut service, wish, pod);
        if balancer.protocol != Some("UDP") {
            judge(&mut service, wish, pod);
        }
        service
    };
    let all = balancers(&wish.id, &wish.spec, pod.ordinal, &pod.ports);
    all.into_iter().map(balanced).collect()
}

impl Balancer {
    fn of_both(service: String) -> Self {
        Self {
            service,
            protocol: None,
        }
    }
}

/// The Services that send a load balancer's traffic on to a pod: one, or one for each protocol.
fn balancers(id: &ClusterId, spec: &SfuClusterSpec, ordinal: i32, ports: &Ports) -> Vec<Balancer> {
    let is_apart = balancing(spec).separate_protocols && ports.protocols().len() > 1;
    let service = id.media_service(ordinal);
    if !is_apart {
        return vec![Balancer::of_both(service)];
    }
    let of_tcp = id.media_service_of_tcp(ordinal);
    [(service, "UDP"), (of_tcp, "TCP")]
        .map(|(service, protocol)| Balancer {
            service,
            protocol: Some(protocol),
        })
        .into()
}

fn balancing(spec: &SfuClusterSpec) -> LoadBalancerSpec {
    spec.media.load_balancer.clone().unwrap_or_default()
}

/// What makes a Service one of a load balancer.
fn balance(service: &mut Service, wish: &Wish, pod: &Reached) {
    let said = balancing(&wish.spec);
    let annotations = said.annotations.iter();
    let annotations: BTreeMap<String, String> = annotations
        .map(|(name, text)| (name.clone(), pod.filled_in(text)))
        .collect();
    service.metadata.annotations = (!annotations.is_empty()).then_some(annotations);
    let spec = service.spec.get_or_insert_default();
    spec.type_ = Some("LoadBalancer".to_owned());
    spec.load_balancer_class = said.class;
    spec.external_traffic_policy = Some(said.external_traffic_policy.as_str().to_owned());
    spec.load_balancer_ip = said.ip.map(|text| pod.filled_in(&text));
    spec.load_balancer_source_ranges = (!said.source_ranges.is_empty()).then_some(said.source_ranges);
}

/// Adds the port by which a load balancer judges the pod.
fn judge(service: &mut Service, wish: &Wish, pod: &Reached) {
    let said = balancing(&wish.spec);
    let Some(first) = said.health_port else { return };
    let port = first + said.port_base.map_or(0, |_| pod.ordinal);
    let ports = service.spec.get_or_insert_default().ports.get_or_insert_default();
    ports.push(ServicePort {
        name: Some("health".to_owned()),
        port,
        target_port: Some(IntOrString::Int(pod.ports.health)),
        protocol: Some("TCP".to_owned()),
        ..ServicePort::default()
    });
}

/// A Service before a pod, of type NodePort: with the first of its own ports, and of those of its host if these are chosen.
fn service(wish: &Wish, pod: &Reached, balancer: &Balancer, (first, first_of_host): (i32, Option<i32>)) -> Service {
    let mut selecting = selecting(&wish.id.name, Component::Node);
    selecting.insert(POD_NAME.to_owned(), wish.id.node(pod.ordinal));
    let ports = media(&pod.ports).filter(|port| balancer.protocol.is_none_or(|only| only == port.protocol));
    let ports = ports.map(|port| ServicePort {
        name: Some(port.name()),
        port: first + port.worker,
        target_port: Some(IntOrString::Int(port.number)),
        node_port: first_of_host.map(|first| first + port.worker),
        protocol: Some(port.protocol.to_owned()),
        ..ServicePort::default()
    });
    Service {
        metadata: wish.meta(balancer.service.clone(), Component::Node),
        spec: Some(ServiceSpec {
            type_: Some("NodePort".to_owned()),
            // A client is sent to the pod's own host. Elsewhere its address would be lost, and with it its limits.
            external_traffic_policy: Some("Local".to_owned()),
            ip_family_policy: Some("PreferDualStack".to_owned()),
            // A node that is being emptied is not ready, and its publishers go on.
            publish_not_ready_addresses: Some(true),
            selector: Some(selecting),
            ports: Some(ports.collect()),
            ..ServiceSpec::default()
        }),
        ..Service::default()
    }
}

fn first_node_port(spec: &SfuClusterSpec, ordinal: i32) -> i32 {
    spec.media.node_port_base + OUTER_PORTS_PER_NODE * ordinal
}

/// At the load balancer.
fn first_balanced_port(spec: &SfuClusterSpec, ordinal: i32, ports: &Ports) -> i32 {
    let base = spec.media.load_balancer.as_ref().and_then(|said| said.port_base);
    base.map_or(ports.media.0, |base| base + OUTER_PORTS_PER_NODE * ordinal)
}

/// Those of these addresses that are of the same family as one of the pod's own: only they are carried to it.
#[must_use]
pub fn carried(addresses: &[IpAddr], pod: &[IpAddr]) -> Vec<IpAddr> {
    let is_carried = |ip: &&IpAddr| pod.iter().any(|of_pod| of_pod.is_ipv4() == ip.is_ipv4());
    addresses.iter().filter(is_carried).copied().collect()
}

/// Where clients reach a pod, as [`MEDIA_ADDRESSES`] has it: at these places, and the ports of its exposure. Nothing where no place
/// is known.
#[must_use]
pub fn media_addresses(spec: &SfuClusterSpec, reached: &Reached, places: &[Place]) -> Option<String> {
    let Reached {
        ordinal,
        exposure,
        ports,
    } = reached;
    let first_port = match exposure {
        Exposure::PodIP | Exposure::HostPort | Exposure::HostNetwork => ports.media.0,
        Exposure::NodePort => first_node_port(spec, *ordinal),
        Exposure::LoadBalancer => first_balanced_port(spec, *ordinal, ports),
    };
    let first_port = u16::try_from(first_port).ok()?;
    let written = |place: &Place| {
        let address = match place.host.parse::<IpAddr>() {
            Ok(ip) => SocketAddr::new(ip, first_port).to_string(),
            Err(_) if place.host.starts_with(STUN) => format!("{}/{first_port}", place.host),
            Err(_) => format!("{}:{first_port}", place.host),
        };
        let protocol = place.protocol.map(|it| format!("{}/", it.to_ascii_lowercase()));
        protocol.unwrap_or_default() + &address
    };
    let all: Vec<String> = places.iter().map(written).collect();
    (!all.is_empty()).then(|| all.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn spec(media: &serde_json::Value) -> SfuClusterSpec {
        serde_json::from_value(json!({ "media": media, "workersPerNode": 2 })).unwrap()
    }

    fn wish(media: &serde_json::Value) -> Wish {
        let object = json!({
            "apiVersion": "sfumato.dev/v1alpha1", "kind": "SfuCluster", "metadata": { "name": "live", "namespace": "media", "uid": "u" },
        });
        Wish::new(&serde_json::from_value(object).unwrap(), spec(media))
    }

    /// What clients of pod 2 are told, where its host or its load balancer has these addresses.
    fn addresses(media: &serde_json::Value, found: &[&str], pod: &[&str]) -> Option<String> {
        let parsed = |ips: &[&str]| -> Vec<IpAddr> { ips.iter().map(|ip| ip.parse().unwrap()).collect() };
        let wish = wish(media);
        let reached = Reached::wanted_of(&wish.spec, 2);
        let places = |protocol: Option<&'static str>| -> Vec<Place> {
            let all = carried(&parsed(found), &parsed(pod)).into_iter();
            all.map(|ip| Place {
                protocol,
                host: ip.to_string(),
            })
            .collect()
        };
        let places = match reached.source(&wish)? {
            Source::Named(hosts) => hosts.into_iter().map(|host| Place { protocol: None, host }).collect(),
            Source::Host | Source::KubernetesNode(_) => places(None),
            Source::Ingress(all) => all.into_iter().flat_map(|it| places(it.protocol)).collect(),
        };
        media_addresses(&wish.spec, &reached, &places)
    }

    #[test]
    fn clients_are_told_the_host_and_the_ports_there() {
        let host = ["203.0.113.7", "2001:db8::7"];
        let of = |exposure: &str, pod: &[&str]| addresses(&json!({ "exposure": exposure }), &host, pod).unwrap();
        assert_eq!(of("HostPort", &["10.1.0.5"]), "203.0.113.7:20000");
        assert_eq!(of("NodePort", &["10.1.0.5"]), "203.0.113.7:30228");
        assert_eq!(
            of("NodePort", &["10.1.0.5", "fd00::5"]),
            "203.0.113.7:30228,[2001:db8::7]:30228"
        );
    }

    #[test]
    fn a_node_is_told_the_stun_server_to_ask_and_the_first_port() {
        let announce = json!({ "from": "Stun", "stunServer": "stun.example.net:3478" });
        let of = |exposure: &str| addresses(&json!({ "exposure": exposure, "announce": announce }), &[], &[]).unwrap();
        assert_eq!(of("HostPort"), "stun/stun.example.net:3478/20000");
        assert_eq!(of("NodePort"), "stun/stun.example.net:3478/30228");
    }

    #[test]
    fn what_is_not_known_yet_is_not_told() {
        assert_eq!(addresses(&json!({ "exposure": "HostPort" }), &[], &["10.1.0.5"]), None);
        assert_eq!(
            addresses(&json!({ "exposure": "HostPort" }), &["203.0.113.7"], &[]),
            None
        );
        assert_eq!(
            addresses(&json!({}), &["203.0.113.7"], &["10.1.0.5"]),
            None,
            "pods tell their own"
        );
    }

    #[test]
    fn named_addresses_are_told_for_every_exposure_with_the_number_of_the_pod() {
        let announce = json!({ "from": "Static", "addresses": ["sfu-{ordinal}.example.net", "2001:db8::7"] });
        let of = |exposure: &str| addresses(&json!({ "exposure": exposure, "announce": announce }), &[], &[]).unwrap();
        assert_eq!(of("PodIP"), "sfu-2.example.net:20000,[2001:db8::7]:20000");
        assert_eq!(of("NodePort"), "sfu-2.example.net:30228,[2001:db8::7]:30228");
        assert_eq!(of("HostNetwork"), "sfu-2.example.net:20000,[2001:db8::7]:20000");
        assert_eq!(of("LoadBalancer"), "sfu-2.example.net:20000,[2001:db8::7]:20000");
    }

    #[test]
    fn pods_that_share_an_address_have_ports_of_their_own_and_protocols_may_have_a_service_each() {
        let of = |balancer| {
            let media = json!({ "exposure": "LoadBalancer", "loadBalancer": balancer });
            addresses(&media, &["203.0.113.9"], &["10.1.0.5"]).unwrap()
        };
        assert_eq!(of(json!({})), "203.0.113.9:20000");
        assert_eq!(of(json!({ "portBase": 443 })), "203.0.113.9:571");
        let apart = json!({ "portBase": 443, "separateProtocols": true });
        assert_eq!(of(apart.clone()), "udp/203.0.113.9:571,tcp/203.0.113.9:571");
        let services = |media: &serde_json::Value, running: &[Reached]| -> Vec<String> {
            let all = media_services(&wish(media), 1, running.iter().cloned());
            let text = |service: &Service| {
                let spec = service.spec.clone().unwrap();
                let port = &spec.ports.unwrap()[0];
                let (name, kind) = (service.metadata.name.clone().unwrap(), spec.type_.unwrap());
                format!("{name} {kind} {} {:?}", port.port, port.node_port)
            };
            all.iter().map(text).collect()
        };
        let media = json!({ "exposure": "LoadBalancer", "loadBalancer": apart });
        assert_eq!(
            services(&media, &[]),
            [
                "live-media-0 LoadBalancer 443 None",
                "live-media-0-tcp LoadBalancer 443 None"
            ]
        );
        // While a pod of the other exposure runs, it is reached as well.
        let by = |exposure: &str| Reached::wanted_of(&spec(&json!({ "exposure": exposure })), 0);
        assert_eq!(
            services(&json!({ "exposure": "LoadBalancer" }), &[by("NodePort")]),
            ["live-media-0 LoadBalancer 20000 Some(30100)"]
        );
        assert_eq!(
            services(&json!({ "exposure": "NodePort" }), &[by("LoadBalancer")]),
            ["live-media-0 LoadBalancer 20000 Some(30100)"]
        );
        assert_eq!(
            services(&json!({ "exposure": "PodIP" }), &[by("LoadBalancer")]),
            ["live-media-0 LoadBalancer 20000 None"]
        );
        assert_eq!(services(&json!({ "exposure": "PodIP" }), &[]), Vec::<String>::new());
    }

    #[test]
    fn a_load_balancer_may_judge_a_pod_by_a_port_of_its_service() {
        let of = |mut balancer: serde_json::Value| -> Vec<String> {
            balancer["healthPort"] = json!(9000);
            let media = json!({ "exposure": "LoadBalancer", "loadBalancer": balancer });
            let all = media_services(&wish(&media), 2, []).into_iter();
            let judged = all.filter_map(|service| {
                let ports = service.spec?.ports?;
                let port = ports.into_iter().find(|port| port.name.as_deref() == Some("health"))?;
                Some(format!(
                    "{} {} {:?}",
                    service.metadata.name?, port.port, port.target_port?
                ))
            });
            judged.collect()
        };
        assert_eq!(
            of(json!({})),
            ["live-media-0 9000 Int(5001)", "live-media-1 9000 Int(5001)"]
        );
        let shared = ["live-media-0 9000 Int(5001)", "live-media-1 9001 Int(5001)"];
        assert_eq!(of(json!({ "portBase": 443 })), shared);
        assert_eq!(
            of(json!({ "separateProtocols": true })),
            ["live-media-0-tcp 9000 Int(5001)", "live-media-1-tcp 9000 Int(5001)"]
        );
    }

    #[test]
    fn every_port_of_a_host_is_declared() {
        let declared = |media| -> Vec<(i32, Option<i32>, String)> {
            let ports = media_ports(&spec(&media)).into_iter();
            ports
                .map(|it| (it.container_port, it.host_port, it.protocol.unwrap()))
                .collect()
        };
        let on_host = |port, protocol: &str| (port, Some(port), protocol.to_owned());
        assert_eq!(
            declared(json!({ "exposure": "HostPort" })),
            [
                on_host(20_000, "UDP"),
                on_host(20_000, "TCP"),
                on_host(20_001, "UDP"),
                on_host(20_001, "TCP")
            ]
        );
        assert_eq!(
            declared(json!({ "exposure": "HostPort", "tcp": false })),
            [on_host(20_000, "UDP"), on_host(20_001, "UDP")]
        );
        assert_eq!(declared(json!({})), [(20_000, None, "UDP".to_owned())]);
    }
}
