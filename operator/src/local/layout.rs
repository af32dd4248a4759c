//! From a manifest to the processes of one machine: names, ports and arguments. Pure.

use super::child::Program;
use super::client_keys::ClientKeys;
use super::reach::Reach;
use crate::cluster::node_arguments::{self, Argument, Place, arguments};
use crate::crd::{MAX_NODES, PORTS_PER_NODE, SfuCluster};
use sfumato_admin_api::program::log::LogFormat;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// Where everything listens.
pub const IP: Ipv4Addr = Ipv4Addr::LOCALHOST;
/// Most workers of a node when nobody says how many: several nodes share the cores.
const MOST_DEFAULT_WORKERS: i32 = 4;

/// What the machine and the command line give, the same for the whole run.
#[derive(Debug, Clone)]
pub struct Site {
    pub node_bin: PathBuf,
    pub web_bin: PathBuf,
    /// WHIP and WHEP port of the first node.
    pub client_port_base: u16,
    /// Admin port of the first node.
    pub admin_port_base: u16,
    /// Health port of the first node.
    pub health_port_base: u16,
    /// Where the nodes read the URL of Redis.
    pub redis_url_file: PathBuf,
    pub token_file: PathBuf,
    pub front_door_token_file: PathBuf,
    /// How children write.
    pub log_format: LogFormat,
    /// Tells this run's keys in Redis from those of other runs.
    pub uid: String,
    /// Where clients reach it.
    pub reach: Reach,
    /// What publishers' and viewers' tokens are checked with; nothing lets everybody in.
    pub client_keys: Option<ClientKeys>,
    /// How long publishers may stay on a node that is drained.
    pub drain_deadline: Duration,
    pub cores: i32,
    /// Nodes that the front door is told of: those of the start.
    pub seeds: u16,
}

/// A media node: what to run, and where it listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodePlan {
    /// Counted from 0.
    pub ordinal: u16,
    /// WHIP and WHEP.
    pub client: SocketAddr,
    /// Admin API.
    pub admin: SocketAddr,
    /// Health and metrics.
    pub health: SocketAddr,
    /// Addresses of the media ports.
    pub media_ips: Vec<IpAddr>,
    /// First media port; worker w has this plus w.
    pub media_port: u16,
    pub workers: u16,
    /// Whether media may come over TCP.
    pub tcp: bool,
    /// How long publishers may stay when it is drained.
    pub drain_deadline: Duration,
    pub program: Program,
}

/// The front door: what to run, and where it listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebPlan {
    /// Dashboard, WHIP and WHEP.
    pub listen: SocketAddr,
    /// Health, where that has a listener of its own.
    pub health: Option<SocketAddr>,
    /// Where it is asked whether it is ready.
    pub probe: SocketAddr,
    /// Its URL for people.
    pub page: String,
    pub program: Program,
}

/// All processes that a manifest means, Redis apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    pub nodes: Vec<NodePlan>,
    pub web: WebPlan,
    /// What publishers' and viewers' tokens are checked with.
    pub client_keys: Option<ClientKeys>,
}

impl Layout {
    /// Lays out `cluster` on `site`.
    #[must_use]
    pub fn new(cluster: &SfuCluster, site: &Site) -> Self {
        let nodes = (0..replicas(cluster))
            .map(|ordinal| node(cluster, site, ordinal))
            .collect();
        Self {
            nodes,
            web: web(cluster, site),
            client_keys: site.client_keys.clone(),
        }
    }
}

#[must_use]
pub fn replicas(cluster: &SfuCluster) -> u16 {
    port(cluster.spec.replicas.min(MAX_NODES))
}

#[must_use]
pub fn workers(cluster: &SfuCluster, cores: i32) -> i32 {
    node_arguments::workers(&cluster.spec, cores, MOST_DEFAULT_WORKERS)
}

fn node(cluster: &SfuCluster, site: &Site, ordinal: u16) -> NodePlan {
    let spec = &cluster.spec;
    let at = |port: u16| SocketAddr::from((IP, port));
    let offset = port(PORTS_PER_NODE) * ordinal;
    let media_port = port(spec.media.port) + offset;
    let first_pipe = port(spec.mesh.port_base) + offset;
    let workers = port(workers(cluster, site.cores));
    let client = at(site.client_port_base + ordinal);
    let admin = at(site.admin_port_base + ordinal);
    let health = at(site.health_port_base + ordinal);
    let name = node_name(ordinal);
    let namespace = cluster.metadata.namespace.as_deref().unwrap_or("default");
    let cluster_name = cluster.metadata.name.as_deref().unwrap_or("live");
    let mut args = flags([
        ("name", name.clone()),
        ("client-url", format!("http://{client}")),
        ("admin-url", format!("http://{admin}")),
        ("media-ip", listed(&site.reach.media)),
        ("pipe-ip", IP.to_string()),
        ("redis-url-file", site.redis_url_file.display().to_string()),
        (
            "front-door-token-file",
            site.front_door_token_file.display().to_string(),
        ),
    ]);
    let place = Place {
        cluster: format!("{namespace}/{cluster_name}/{}", site.uid),
        workers: i32::from(workers),
        listen: [client, admin, health].map(|address| address.to_string()),
        admin_token_file: site.token_file.display().to_string(),
        admin_tls: None,
        media_port: i32::from(media_port),
        first_pipe_port: i32::from(first_pipe),
        drain_deadline: site.drain_deadline,
        log_format: site.log_format.as_str(),
        keys: site.client_keys.as_ref().map(keys),
    };
    args.extend(flags(arguments(spec, place)));
    let announced = site.reach.announced.join(",");
    args.extend(flags((!announced.is_empty()).then_some(("media-announced", announced))));
    args.extend(flags(trusted(&site.reach)));
    let stun = spec.media.ice_servers.iter().flat_map(|server| &server.urls);
    args.extend(flags(stun.map(|url| ("ice-server", url.clone()))));
    let program = Program {
        name,
        bin: site.node_bin.clone(),
        args,
        shown: true,
    };
    NodePlan {
        ordinal,
        client,
        admin,
        health,
        media_ips: site.reach.media.clone(),
        media_port,
        workers,
        tcp: spec.media.tcp,
        drain_deadline: site.drain_deadline,
        program,
    }
}

/// Both the front door and the nodes behind it look for the client's address.
fn trusted(reach: &Reach) -> Option<Argument> {
    let proxies = reach.proxies.clone();
    proxies.map(|proxies| ("trusted-proxy", proxies))
}

fn listed(ips: &[IpAddr]) -> String {
    ips.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

/// The front door's seeds are the nodes of the start. It follows the peers by itself, and the first node is never scaled
/// away, so it is not restarted when the number of nodes changes.
fn web(cluster: &SfuCluster, site: &Site) -> WebPlan {
    let reach = &site.reach;
    let listen = SocketAddr::from((reach.listen, port(cluster.spec.web.service.port)));
    // The nodes have those below.
    let health = SocketAddr::from((IP, site.health_port_base.saturating_add(port(MAX_NODES))));
    let health = reach.tls.as_ref().map(|_| health);
    let mut args = flags([
        ("listen", listen.to_string()),
        ("admin-token-file", site.front_door_token_file.display().to_string()),
        ("log-format", site.log_format.as_str().to_owned()),
    ]);
    for ordinal in 0..site.seeds {
        args.extend(flags([(
            "seed",
            format!("http://{IP}:{}", site.admin_port_base + ordinal),
        )]));
    }
    args.extend(flags(health.map(|address| ("health-listen", address.to_string()))));
    if let Some((cert, key)) = &reach.tls {
        let files = [("tls-cert", cert), ("tls-key", key)];
        args.extend(flags(files.map(|(name, path)| (name, path.display().to_string()))));
    }
    // Those of a proxy on this machine that passes its own name on.
    if listen.ip().is_loopback() {
        args.extend(flags(reach.announced.iter().map(|name| ("allowed-host", name.clone()))));
    }
    args.extend(flags(trusted(reach)));
    WebPlan {
        listen,
        health,
        probe: reach.probe(listen.port()).or(health).unwrap_or(listen),
        page: reach.page(listen.port()),
        program: Program {
            name: "web".to_owned(),
            bin: site.web_bin.clone(),
            args,
            shown: true,
        },
    }
}

/// Name of a node in local mode, from its number counted from 0.
#[must_use]
pub fn node_name(ordinal: u16) -> String {
    format!("sfu-{}", ordinal + 1)
}

/// What tokens are checked with: the option that names the file, and the file.
fn keys(keys: &ClientKeys) -> Argument {
    let (option, path) = match keys {
        ClientKeys::Secret(path) => ("auth-secret-file", path),
        ClientKeys::Jwks(path) => ("auth-jwks-file", path),
    };
    (option, path.display().to_string())
}

fn flags(pairs: impl IntoIterator<Item = Argument>) -> Vec<String> {
    pairs
        .into_iter()
        .flat_map(|(name, value)| [format!("--{name}"), value])
        .collect()
}

/// Ports and counts are checked against the schema's bounds, which fit; a number that does not is cut, never wrapped.
fn port(number: i32) -> u16 {
    u16::try_from(number.max(0)).unwrap_or(u16::MAX)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
#[path = "layout_tests.rs"]
mod tests;
