//! How clients outside of the pod network reach the media ports, in a manifest.

use kube::KubeSchema;
use kube::core::Rule;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// Ports that each node may use from `media.nodePortBase` upwards: as many as it may have workers, so that a change of their
/// number moves no port. The bound of `media.nodePortBase` leaves room for those of the most nodes.
pub const NODE_PORTS_PER_NODE: i32 = 64;
/// Most addresses of one node.
const MAX_ADDRESSES: u32 = 4;

/// How clients reach the media ports.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Exposure {
    /// At the addresses of the pods, for clients whose network routes to them.
    #[default]
    PodIP,
    /// At the same ports of the host that the pod runs on. There can be one node on a host.
    HostPort,
    /// At ports of the host that the pod runs on, which a Service of type NodePort for each pod opens.
    NodePort,
}

impl Exposure {
    /// As manifests write it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PodIP => "PodIP",
            Self::HostPort => "HostPort",
            Self::NodePort => "NodePort",
        }
    }

    /// The one of this name.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        [Self::PodIP, Self::HostPort, Self::NodePort]
            .into_iter()
            .find(|exposure| exposure.as_str() == name)
    }
}

/// Which addresses clients are told.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("(self.from == 'Static') == has(self.addresses)")
    .message("addresses and `from: Static` come together: name the addresses of the nodes, such as `sfu-{ordinal}.example.net`"))]
pub struct AnnounceSpec {
    /// Where they come from. By default the host's, for every exposure but PodIP.
    #[serde(default)]
    pub from: AnnounceFrom,
    /// With `from: Static`: IP addresses or host names, the preferred one first. `{ordinal}` stands for the number of the
    /// pod. Ports are those of the exposure.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "addresses_schema")]
    pub addresses: Vec<String>,
}

/// Where the addresses come from that clients are told.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AnnounceFrom {
    /// As is usual for the exposure: those of the pod with PodIP, else those of its host.
    #[default]
    Auto,
    /// Those of the host, as the pod's status names them (`status.hostIPs`).
    HostIP,
    /// Those that the manifest names.
    Static,
}

fn addresses_schema(_: &mut SchemaGenerator) -> Schema {
    // The last label of a host name begins with a letter: what ends in a number is an address, or a slip.
    let (edge, inner) = (r"([A-Za-z0-9]|\{ordinal\})", r"([A-Za-z0-9-]|\{ordinal\})*");
    let host = format!(r"^({edge}({inner}{edge})?\.)*[A-Za-z]({inner}{edge})?$");
    let rule = Rule::new(format!(
        "isIP(self) ? !ip(self).isUnspecified() : self.matches(r'{host}')"
    ))
    .message(
        "must be an IP address or a host name without a port, such as `203.0.113.7` or `sfu-{ordinal}.example.net`",
    );
    json_schema!({
        "type": "array",
        "minItems": 1,
        "maxItems": MAX_ADDRESSES,
        "items": { "type": "string", "minLength": 1, "maxLength": 253, "x-kubernetes-validations": [rule] },
    })
}
