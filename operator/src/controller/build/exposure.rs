//! How clients outside of the pod network reach the media ports of a pod: the ports that it declares, the Services before it, and
//! the addresses that clients are told.

use super::labels::{Component, selecting};
use super::network_policies::Ports;
use super::pods::container_port;
use super::wish::{ClusterId, Wish};
use crate::crd::SfuClusterSpec;
use crate::crd::exposure::{AnnounceFrom, Exposure, NODE_PORTS_PER_NODE};
use k8s_openapi::api::core::v1::{ContainerPort, Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

/// Annotation of a pod with the addresses that its clients are told, as `sfu-node --media-announced-file` reads them.
pub const MEDIA_ADDRESSES: &str = "sfumato.dev/media-addresses";
/// Annotation of a pod that is reached otherwise than by its own address: how.
const MEDIA_EXPOSURE: &str = "sfumato.dev/media-exposure";
/// Label that the StatefulSet controller gives each pod.
const POD_NAME: &str = "statefulset.kubernetes.io/pod-name";

/// Whether nodes wait for an address to tell their clients.
#[must_use]
pub fn is_announced(spec: &SfuClusterSpec) -> bool {
    is_told(spec, spec.media.exposure)
}

/// Whether clients of a pod that is reached so are told other addresses than its own.
fn is_told(spec: &SfuClusterSpec, exposure: Exposure) -> bool {
    exposure != Exposure::PodIP || spec.media.announce.from == AnnounceFrom::Static
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
    pub fn running(wish: &Wish, pod: &ObjectMeta, argument: impl Fn(&str) -> Option<String>) -> Option<Self> {
        let annotations = pod.annotations.as_ref();
        let exposure = annotations.and_then(|all| all.get(MEDIA_EXPOSURE));
        Some(Self {
            ordinal: wish.id.ordinal(pod.name.as_deref()?)?,
            exposure: exposure.and_then(|name| Exposure::of(name)).unwrap_or_default(),
            ports: Ports::of(argument).unwrap_or_else(|| Ports::wanted(&wish.spec)),
        })
    }

    /// A pod as it will be made.
    fn wanted(wish: &Wish, ordinal: i32) -> Self {
        Self {
            ordinal,
            exposure: wish.spec.media.exposure,
            ports: Ports::wanted(&wish.spec),
        }
    }

    /// The Service that it is reached by, if it is by one.
    #[must_use]
    pub fn service(&self, id: &ClusterId) -> Option<String> {
        (self.exposure == Exposure::NodePort).then(|| id.media_service(self.ordinal))
    }
}

/// The media ports of a container. A scheduler sees conflicts only of host ports that are declared.
pub fn media_ports(spec: &SfuClusterSpec) -> Vec<ContainerPort> {
    match spec.media.exposure {
        Exposure::HostPort => media(&Ports::wanted(spec))
            .map(|port| ContainerPort {
                host_port: Some(port.number),
                ..container_port(&port.name(), port.number, port.protocol)
            })
            .collect(),
        // For people: any port can be reached.
        Exposure::PodIP | Exposure::NodePort => vec![container_port("media", spec.media.port, "UDP")],
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

/// The Services before so many pods, one for each. Those that are `running` are reached as they were made.
#[must_use]
pub fn media_services(wish: &Wish, pods: i32, running: impl IntoIterator<Item = Reached>) -> Vec<Service> {
    let mut all: BTreeMap<i32, Reached> = (0..pods)
        .map(|ordinal| (ordinal, Reached::wanted(wish, ordinal)))
        .collect();
    for pod in running {
        // The one that comes next is found by it as well.
        let exposure = if pod.ordinal < pods && wish.spec.media.exposure == Exposure::NodePort {
            Exposure::NodePort
        } else {
            pod.exposure
        };
        all.insert(pod.ordinal, Reached { exposure, ..pod });
    }
    let reached = all.values().filter(|pod| pod.exposure == Exposure::NodePort);
    reached.map(|pod| node_port(wish, pod)).collect()
}

fn node_port(wish: &Wish, pod: &Reached) -> Service {
    let ordinal = pod.ordinal;
    let mut selecting = selecting(&wish.id.name, Component::Node);
    selecting.insert(POD_NAME.to_owned(), wish.id.node(ordinal));
    let first = first_node_port(&wish.spec, ordinal);
    let ports = media(&pod.ports).map(|port| ServicePort {
        name: Some(port.name()),
        port: port.number,
        target_port: Some(IntOrString::Int(port.number)),
        node_port: Some(first + port.worker),
        protocol: Some(port.protocol.to_owned()),
        ..ServicePort::default()
    });
    Service {
        metadata: wish.meta(wish.id.media_service(ordinal), Component::Node),
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
    spec.media.node_port_base + NODE_PORTS_PER_NODE * ordinal
}

/// Where clients reach a pod, as [`MEDIA_ADDRESSES`] has it: at its host, as far as the pod has addresses of the same family.
/// Nothing where it is not known yet, or where it is at the pod itself.
#[must_use]
pub fn media_addresses(spec: &SfuClusterSpec, reached: &Reached, host: &[IpAddr], pod: &[IpAddr]) -> Option<String> {
    let Reached {
        ordinal,
        exposure,
        ports,
    } = reached;
    if !is_told(spec, *exposure) {
        return None;
    }
    let first_port = match exposure {
        Exposure::PodIP | Exposure::HostPort => ports.media.0,
        Exposure::NodePort => first_node_port(spec, *ordinal),
    };
    let first_port = u16::try_from(first_port).ok()?;
    let hosts: Vec<String> = match spec.media.announce.from {
        AnnounceFrom::Auto | AnnounceFrom::HostIP => {
            let is_carried = |ip: &&IpAddr| pod.iter().any(|of_pod| of_pod.is_ipv4() == ip.is_ipv4());
            host.iter().filter(is_carried).map(ToString::to_string).collect()
        }
        AnnounceFrom::Static => {
            let named = spec.media.announce.addresses.iter();
            named.map(|it| it.replace("{ordinal}", &ordinal.to_string())).collect()
        }
    };
    let with_port = |host: String| match host.parse::<IpAddr>() {
        Ok(ip) => SocketAddr::new(ip, first_port).to_string(),
        Err(_) => format!("{host}:{first_port}"),
    };
    let all: Vec<String> = hosts.into_iter().map(with_port).collect();
    (!all.is_empty()).then(|| all.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn spec(media: &serde_json::Value) -> SfuClusterSpec {
        serde_json::from_value(json!({ "media": media, "workersPerNode": 2 })).unwrap()
    }

    fn addresses(media: &serde_json::Value, host: &[&str], pod: &[&str]) -> Option<String> {
        let parsed = |ips: &[&str]| -> Vec<IpAddr> { ips.iter().map(|ip| ip.parse().unwrap()).collect() };
        let spec = spec(media);
        let reached = Reached {
            ordinal: 2,
            exposure: spec.media.exposure,
            ports: Ports::wanted(&spec),
        };
        media_addresses(&spec, &reached, &parsed(host), &parsed(pod))
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
