//! How a media node is started: its workers and lanes, and the arguments that follow from the manifest. Where it listens and
//! which files it reads is the platform's to say.

use crate::crd::mesh::FanOut;
use crate::crd::{PORTS_PER_NODE, SfuClusterSpec};
use std::time::Duration;

use crate::crd::duration::GoDuration;

/// An option of `sfu-node` without its dashes, and its value.
pub type Argument = (&'static str, String);

/// What the platform gives one node.
#[derive(Debug, Clone)]
pub struct Place {
    /// Tells the keys in Redis from those of other clusters: `NAMESPACE/NAME/UID`.
    pub cluster: String,
    pub workers: i32,
    /// Addresses with ports, of WHIP and WHEP, admin API, and health.
    pub listen: [String; 3],
    pub admin_token_file: String,
    /// Certificate, key and CA of the admin API.
    pub admin_tls: Option<[String; 3]>,
    pub media_port: i32,
    /// First port of the links.
    pub first_pipe_port: i32,
    /// How long publishers may stay on a node that is drained.
    pub drain_deadline: Duration,
    pub log_format: &'static str,
    /// What publishers' and viewers' tokens are checked with: the option that names the file, and the file.
    pub keys: Option<Argument>,
}

/// The arguments of a node at this place, in an order that stays: another order would be another pod template.
#[must_use]
pub fn arguments(spec: &SfuClusterSpec, place: Place) -> Vec<Argument> {
    let [client, admin, health] = place.listen;
    let mut all = vec![
        ("cluster", place.cluster),
        ("workers", place.workers.to_string()),
        ("listen", client),
        ("admin-listen", admin),
        ("health-listen", health),
        ("admin-token-file", place.admin_token_file),
    ];
    if let Some([cert, key, ca]) = place.admin_tls {
        all.extend([("admin-tls-cert", cert), ("admin-tls-key", key), ("admin-ca", ca)]);
    }
    let last_pipe_port = place.first_pipe_port + PORTS_PER_NODE - 1;
    all.extend([
        ("media-port", place.media_port.to_string()),
        ("media-tcp", spec.media.tcp.to_string()),
        ("pipe-ports", format!("{}-{last_pipe_port}", place.first_pipe_port)),
        ("link-encryption", spec.mesh.encryption.to_string()),
        ("beat-interval", spec.mesh.beat_interval.to_string()),
        ("fan-out", fan_out(spec.mesh.fan_out).to_owned()),
        ("fan-out-idle-timeout", spec.mesh.fan_out_idle_timeout.to_string()),
        ("drain-deadline", GoDuration(place.drain_deadline).to_string()),
        ("log-format", place.log_format.to_owned()),
    ]);
    // Only what the manifest says: a number that follows from the replicas would replace every node when they change.
    all.extend(spec.mesh.lanes.map(|lanes| ("lanes", lanes.to_string())));
    if let Some(keys) = place.keys {
        all.push(keys);
        all.extend(spec.auth.issuer.iter().map(|name| ("auth-issuer", name.clone())));
        all.extend(spec.auth.audience.iter().map(|name| ("auth-audience", name.clone())));
    }
    all
}

/// Workers of each node: what the manifest says, else one for each of these cores, within what a node can have.
#[must_use]
pub fn workers(spec: &SfuClusterSpec, cores: i32, most: i32) -> i32 {
    spec.workers_per_node.unwrap_or_else(|| cores.clamp(1, most))
}

/// Most lanes of a node pair: no more than nodes are started with workers, nor than their ports allow in a mesh of this size.
/// A node may claim more than it has, and what it claims must not decide how much the operator holds. What the manifest says
/// of lanes the nodes know themselves, from when they were started.
#[must_use]
pub fn most_lanes(spec: &SfuClusterSpec, workers: i32) -> u16 {
    let fit = PORTS_PER_NODE / (spec.replicas - 1).max(1);
    u16::try_from(fit.min(workers).max(1)).unwrap_or(1)
}

fn fan_out(fan_out: FanOut) -> &'static str {
    match fan_out {
        FanOut::OnDemand => "on-demand",
        FanOut::Eager => "eager",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_are_bounded_by_workers_and_where_ports_are_short_by_those() {
        let lanes = |replicas, workers| {
            let spec = SfuClusterSpec {
                replicas,
                ..SfuClusterSpec::default()
            };
            most_lanes(&spec, workers)
        };
        assert_eq!((lanes(1, 64), lanes(3, 1), lanes(4, 1), lanes(32, 3)), (64, 1, 1, 3));
        assert_eq!((lanes(32, 4), lanes(3, 64)), (3, 50));
    }

    #[test]
    fn workers_are_as_many_as_cores_unless_the_manifest_says_otherwise() {
        let mut spec = SfuClusterSpec::default();
        assert_eq!([0, 2, 9].map(|cores| workers(&spec, cores, 4)), [1, 2, 4]);
        spec.workers_per_node = Some(7);
        assert_eq!(workers(&spec, 2, 4), 7);
    }
}
