//! Ports of a cluster's pods.

use super::workers::workers;
use crate::crd::exposure::{Exposure, PortsSpec};
use crate::crd::{PORTS_PER_NODE, SfuClusterSpec};

/// TCP port of the front door's health and metrics listener.
pub const HEALTH_PORT: i32 = 5001;
pub const REDIS_PORT: i32 = 6379;

/// How a pod was made, perhaps by a former manifest.
pub trait Made {
    /// The value of an option of its program.
    fn argument(&self, name: &str) -> Option<String>;
    /// A port that it declares.
    fn port(&self, name: &str) -> Option<i32>;
    /// Whether it uses the network of its host.
    fn is_on_host(&self) -> bool;
}

/// The ports of a node that depend on the manifest: the first and the last of media and links, and those of its listeners.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ports {
    /// Of media of clients.
    pub(super) media: (i32, i32),
    /// Of links.
    pub(super) pipe: (i32, i32),
    /// Whether media comes by TCP as well.
    tcp: bool,
    pub(super) client: i32,
    pub(super) secure_client: i32,
    pub admin: i32,
    pub(super) health: i32,
    /// Whether they are the host's own.
    pub(super) on_host: bool,
}

impl Ports {
    /// Those that the manifest wants.
    #[must_use]
    pub fn wanted(spec: &SfuClusterSpec) -> Self {
        let (media, pipe) = (spec.media.port, spec.mesh.port_base);
        let PortsSpec {
            client,
            secure_client,
            admin,
            health,
        } = spec.ports;
        Self {
            media: (media, media + workers(spec) - 1),
            pipe: (pipe, pipe + PORTS_PER_NODE - 1),
            tcp: spec.media.tcp,
            client,
            secure_client,
            admin,
            health,
            on_host: spec.media.exposure == Exposure::HostNetwork,
        }
    }

    /// Those of a pod that runs; `None` for one of another release that names them otherwise.
    #[must_use]
    pub fn of(made: &impl Made) -> Option<Self> {
        let number = |name: &str| made.argument(name)?.parse::<i32>().ok();
        let (media, workers) = (number("media-port")?, number("workers")?);
        let pipe = made.argument("pipe-ports")?;
        let (first, last) = pipe.split_once('-')?;
        let usual = PortsSpec::default();
        Some(Self {
            media: (media, media.checked_add(workers)? - 1),
            pipe: (first.parse().ok()?, last.parse().ok()?),
            tcp: made.argument("media-tcp")? == "true",
            client: made.port("client").unwrap_or(usual.client),
            secure_client: made.port("client-secure").unwrap_or(usual.secure_client),
            admin: admin_port(made),
            health: made.port("health").unwrap_or(usual.health),
            on_host: made.is_on_host(),
        })
    }

    /// Those of its listeners.
    pub(super) fn listeners(&self) -> [i32; 4] {
        [self.client, self.secure_client, self.admin, self.health]
    }

    /// What media comes by.
    pub(super) fn protocols(&self) -> &'static [&'static str] {
        if self.tcp { &["UDP", "TCP"] } else { &["UDP"] }
    }
}

/// TCP port of a pod's admin listener.
#[must_use]
pub fn admin_port(made: &impl Made) -> i32 {
    made.port("admin").unwrap_or(PortsSpec::default().admin)
}
