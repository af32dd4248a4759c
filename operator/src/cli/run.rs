//! Options of the commands for Kubernetes.

use super::ClusterSelector;
use super::own_pods::OwnPods;
use crate::manifest::defaults::Defaults;
use clap::{ArgAction, Args, ValueEnum};
use sfumato_admin_api::program::log::{LogFilter, LogFormat};
use sfumato_admin_api::program::option_values::{duration, socket_address, whole_number};
use std::net::SocketAddr;
use std::time::Duration;

/// Options of `run`.
#[derive(Debug, Args)]
#[command(
    long_about = "Manages SfuCluster objects on Kubernetes: StatefulSets, Services, Redis and front doors, the mesh between \
        the nodes, rolls and scale-downs that drain a media node before it is removed.\n\n\
        Runs as a Deployment (`sfu-operator manifests` prints it), or on a laptop with a KUBECONFIG: then with \
        --node-access=proxy, since a laptop does not reach pods."
)]
pub struct RunArgs {
    /// Namespaces to look for SfuClusters in. Without it all are looked at, which needs rights in all.
    #[arg(long, env = "SFUMATO_WATCH_NAMESPACES", value_name = "NAME", value_delimiter = ',')]
    pub watch_namespaces: Vec<String>,
    /// How the nodes' admin API is reached: by the addresses of the pods, or through the API server.
    #[arg(long, env = "SFUMATO_NODE_ACCESS", value_enum, default_value = "direct")]
    pub node_access: Access,
    /// Image of nodes whose SfuCluster names none.
    #[arg(long, env = "SFUMATO_NODE_IMAGE", value_name = "IMAGE", default_value = concat!("sfumato/sfu-node:", env!("CARGO_PKG_VERSION")))]
    pub node_image: String,
    /// Image of front doors whose SfuCluster names none.
    #[arg(long, env = "SFUMATO_WEB_IMAGE", value_name = "IMAGE", default_value = concat!("sfumato/sfu-web:", env!("CARGO_PKG_VERSION")))]
    pub web_image: String,
    /// Image of managed Redis whose SfuCluster names none.
    #[arg(
        long,
        env = "SFUMATO_REDIS_IMAGE",
        value_name = "IMAGE",
        default_value = "redis:7.2.11"
    )]
    pub redis_image: String,
    /// Part of a `spec`, in JSON, that each SfuCluster has where its own says nothing: pull secrets, resources, tolerations and
    /// other fields of pods, such as `{"imagePullSecrets": [{"name": "registry"}]}`.
    #[arg(long, env = "SFUMATO_CLUSTER_DEFAULTS", value_name = "JSON")]
    pub cluster_defaults: Option<Defaults>,
    /// SfuClusters to look after, by their labels: KEY=VALUE, KEY!=VALUE, KEY, !KEY, and several with commas between them.
    /// The others are left alone.
    #[arg(long, env = "SFUMATO_SELECTOR", value_name = "LABELS")]
    pub selector: Option<ClusterSelector>,
    /// Namespace of the operator itself: of its Lease, and of those who may reach the nodes' admin port. Default: that
    /// of its pod, or of the kubeconfig's context.
    #[arg(long, env = "SFUMATO_NAMESPACE", value_name = "NAME")]
    pub namespace: Option<String>,
    /// Name of this installation, and of its Lease. With the namespace it says in each SfuCluster who looks after it.
    #[arg(long, env = "SFUMATO_INSTALLATION", value_name = "NAME", default_value = INSTALLATION_NAME, value_parser = installation_name)]
    pub name: String,
    /// Name under which this process holds the Lease; different for each.
    #[arg(long, env = "SFUMATO_IDENTITY", value_name = "NAME", default_value_t = identity())]
    pub identity: String,
    /// Work only while holding the Lease of this installation.
    #[arg(long, env = "SFUMATO_LEADER_ELECT", value_name = "BOOL", default_value_t = true, action = ArgAction::Set)]
    pub leader_elect: bool,
    /// After this long without a renewal of the Lease another operator takes over, in whole seconds. The holder renews it
    /// every 2/15 of this time, and ends when it could not for 2/3 of it.
    #[arg(long, env = "SFUMATO_LEASE_DURATION", value_name = "TIME", default_value = "15s", help_heading = PACE)]
    #[arg(value_parser = duration(Duration::from_secs(3)..=Duration::from_secs(300), "15s"))]
    pub lease_duration: Duration,
    /// How long after the end of its grace period a pod of a lost Kubernetes node is removed, if no media node hears it.
    #[arg(long, env = "SFUMATO_LOST_AFTER", value_name = "TIME", default_value = "30s", help_heading = PACE)]
    #[arg(value_parser = duration(Duration::from_secs(1)..=Duration::from_secs(3600), "30s"))]
    pub lost_after: Duration,
    /// How long a disruption budget may refuse the eviction of a media node before Degraded says so. From then on, the node takes
    /// sessions again until it may be replaced.
    #[arg(long, env = "SFUMATO_EVICTION_PATIENCE", value_name = "TIME", default_value = "60s", help_heading = PACE)]
    #[arg(value_parser = duration(Duration::from_secs(1)..=Duration::from_secs(3600), "60s"))]
    pub eviction_patience: Duration,
    /// How long a pod may be without a Kubernetes node before Degraded says so. Meanwhile an autoscaler may add one, or a volume
    /// may be bound.
    #[arg(long, env = "SFUMATO_HOST_PATIENCE", value_name = "TIME", default_value = "60s", help_heading = PACE)]
    #[arg(value_parser = duration(Duration::from_secs(1)..=Duration::from_secs(3600), "60s"))]
    pub host_patience: Duration,
    /// How long the clients of a node may lack an address before Degraded says so, such as while a load balancer is made.
    #[arg(long, env = "SFUMATO_ADDRESS_PATIENCE", value_name = "TIME", default_value = "2m", help_heading = PACE)]
    #[arg(value_parser = duration(Duration::from_secs(1)..=Duration::from_secs(3600), "2m"))]
    pub address_patience: Duration,
    /// How often Secrets and Kubernetes nodes are read again, which no watch tells of. Every 5 s at least while something is not as desired.
    #[arg(long, env = "SFUMATO_SECRETS_EVERY", value_name = "TIME", default_value = "60s", help_heading = PACE)]
    #[arg(value_parser = duration(Duration::from_secs(1)..=Duration::from_secs(3600), "60s"))]
    pub secrets_every: Duration,
    /// Address of `/livez`, `/readyz` and `/metrics`.
    #[arg(long, env = "SFUMATO_LISTEN", value_name = "IP:PORT", default_value = "[::]:8080", value_parser = socket_address)]
    pub listen: SocketAddr,
    /// Form of the log on standard error: human, or json with one object a line.
    #[arg(long, env = "SFUMATO_LOG_FORMAT", value_name = "FORMAT", default_value = "human")]
    pub log_format: LogFormat,
    /// What is logged: a level, or levels by module as well, such as `info,sfumato_mesh=debug`.
    #[arg(
        long,
        env = "SFUMATO_LOG",
        value_name = "FILTER",
        default_value = "info,kube=warn,kube_client=off,kube_runtime::watcher=error"
    )]
    pub log: LogFilter,
}

const PACE: &str = "Pace";

/// Name of an installation that nobody has named.
pub const INSTALLATION_NAME: &str = "sfu-operator";
/// Longest name of an installation, in characters: pods of its Deployment have it in theirs.
const MAX_NAME: usize = 40;

/// A name that Kubernetes takes for every kind of object.
fn installation_name(text: &str) -> Result<String, String> {
    let is_inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let fits = (1..=MAX_NAME).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && !text.ends_with('-')
        && text.chars().all(is_inner);
    if fits {
        Ok(text.to_owned())
    } else {
        Err(format!(
            "use at most {MAX_NAME} lower-case letters, digits and `-`, beginning with a letter: {INSTALLATION_NAME}"
        ))
    }
}

impl RunArgs {
    /// This installation, apart from all others: `NAMESPACE/NAME`.
    #[must_use]
    pub fn installation(&self, namespace: &str) -> String {
        format!("{namespace}/{}", self.name)
    }

    /// Whether nodes see the operator as a pod, which network policies can name.
    #[must_use]
    pub fn in_cluster(&self) -> bool {
        self.node_access == Access::Direct && std::env::var_os("KUBERNETES_SERVICE_HOST").is_some()
    }
}

/// The pod's name on Kubernetes, where it is the host's name too.
fn identity() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = if host.trim().is_empty() {
        "sfu-operator"
    } else {
        host.trim()
    };
    // Two processes on one laptop are two.
    format!("{host}-{}", std::process::id())
}

/// How nodes are reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Access {
    /// By the addresses of the pods.
    Direct,
    /// Through the API server.
    Proxy,
}

/// Options of `manifests`.
#[derive(Debug, Args)]
pub struct ManifestsArgs {
    /// Namespace to run the operator in.
    #[arg(long, value_name = "NAME", default_value = "sfumato-system")]
    pub namespace: String,
    /// Name of this installation: of its Deployment, its ServiceAccount and its Lease. Several in one namespace need several.
    #[arg(long, value_name = "NAME", default_value = INSTALLATION_NAME, value_parser = installation_name)]
    pub name: String,
    /// Image of the operator.
    #[arg(long, value_name = "IMAGE", default_value = concat!("sfumato/sfu-operator:", env!("CARGO_PKG_VERSION")))]
    pub image: String,
    /// Pods of the operator; one works, the others take over.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = whole_number::<i32>(1..=10, 2))]
    pub replicas: i32,
    /// Namespaces to look for SfuClusters in: rights are given in these only. They must exist.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub watch_namespaces: Vec<String>,
    /// How the operator reaches the nodes' admin API. Only `proxy` needs the right to send requests to pods through the API server.
    #[arg(long, value_enum, default_value = "direct")]
    pub node_access: Access,
    /// Whether the operator may read Kubernetes nodes: only SfuClusters with `media.announce.from` of NodeExternalIP or
    /// NodeInternalIP need it.
    #[arg(long)]
    pub kubernetes_nodes: bool,
    /// Further options of `sfu-operator run`, such as `--node-image=IMAGE`. Repeatable.
    #[arg(long = "arg", value_name = "OPTION", allow_hyphen_values = true)]
    pub args: Vec<String>,
    #[command(flatten)]
    pub pods: OwnPods,
}

#[cfg(test)]
mod tests {
    use crate::cli::{Cli, Command};
    use clap::Parser;
    use std::time::Duration;

    /// Tests shorten these, so nothing else would notice that a default has changed.
    #[test]
    fn the_pace_is_the_documented_one_unless_somebody_says_otherwise() {
        let Cli { command } = Cli::parse_from(["sfu-operator", "run"]);
        let Command::Run(args) = command else {
            panic!("`run` is another command");
        };
        assert_eq!(
            [
                args.lease_duration,
                args.lost_after,
                args.eviction_patience,
                args.host_patience,
                args.address_patience,
                args.secrets_every
            ],
            [15, 30, 60, 60, 120, 60].map(Duration::from_secs)
        );
    }
}
