//! The command line. Every option of `local` is also an environment variable; the option wins.

mod cluster_selector;
mod examples;
mod own_pods;
mod run;

pub use cluster_selector::ClusterSelector;
pub use run::{Access, INSTALLATION_NAME, ManifestsArgs, RunArgs};

use crate::crd::duration::GoDuration;
use clap::{Args, Parser, Subcommand};
use sfumato_admin_api::program::log::{LogFilter, LogFormat};
use sfumato_admin_api::program::option_values::{ip_address, whole_number};
use sfumato_admin_api::server::client_address::Networks;
use sfumato_admin_api::server::client_token::StreamPattern;
use sfumato_admin_api::types::MAX_DRAIN_SECONDS;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Runs clusters of WebRTC media nodes (SFUs) whose streams can be watched on every node.
#[derive(Debug, Parser)]
#[command(name = "sfu-operator", version, propagate_version = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a cluster on this machine: Redis, media nodes, mesh and front door, as processes.
    Local(Box<LocalArgs>),
    /// Manage SfuCluster objects on Kubernetes.
    Run(Box<RunArgs>),
    /// Print what Kubernetes needs to run the operator: CRD, rights, Deployment. Pipe it into `kubectl apply -f -`.
    Manifests(Box<ManifestsArgs>),
    /// Print the CustomResourceDefinition of SfuCluster, or write it into a directory.
    Crds(CrdsArgs),
    /// Make a token for publishers or viewers, signed with the nodes' secret.
    Token(TokenArgs),
}

impl Cli {
    /// How to write for this command.
    #[must_use]
    pub fn log_format(&self) -> LogFormat {
        match &self.command {
            Command::Local(args) => args.log_format,
            Command::Run(args) => args.log_format,
            Command::Manifests(_) | Command::Crds(_) | Command::Token(_) => LogFormat::Human,
        }
    }
}

/// Options of `crds`.
#[derive(Debug, Args)]
pub struct CrdsArgs {
    /// Directory to write `sfuclusters.sfumato.dev.yaml` into, instead of printing it.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Print a page in Markdown about every field instead.
    #[arg(long, conflicts_with = "out")]
    pub markdown: bool,
}

/// Options of `token`.
#[derive(Debug, Args)]
#[command(
    long_about = "Makes a token for publishers or viewers and prints it. Media nodes that were given the same secret \
        (--auth-secret-file) accept it in `Authorization: Bearer TOKEN`, or in the URL as `?access_token=TOKEN`.\n\n\
        STREAM is a name, or a pattern in which * stands for any characters.",
    after_help = examples::TOKEN
)]
pub struct TokenArgs {
    /// File with the secret, on its first line.
    #[arg(long, value_name = "FILE")]
    pub secret_file: PathBuf,
    /// Stream that may be published; repeatable, or comma separated.
    #[arg(long, value_name = "STREAM", value_delimiter = ',')]
    pub publish: Vec<StreamPattern>,
    /// Stream that may be watched; repeatable, or comma separated.
    #[arg(long, value_name = "STREAM", value_delimiter = ',')]
    pub play: Vec<StreamPattern>,
    /// Allow the holder to take over a name that is in use.
    #[arg(long)]
    pub takeover: bool,
    /// Allow the holder to see the whole cluster on the front door's page and in /api/v1/cluster.
    #[arg(long)]
    pub observe: bool,
    /// How long it is valid, from now on; at most 10years.
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = expires)]
    pub expires: Duration,
    /// Whom it is for (`sub`): all tokens of one subject together have one client's share of what a node limits.
    #[arg(long, value_name = "NAME")]
    pub subject: Option<String>,
    /// Issuer to write into it (`iss`), where nodes run with --auth-issuer.
    #[arg(long, value_name = "NAME")]
    pub issuer: Option<String>,
    /// Audience to write into it (`aud`), where nodes run with --auth-audience.
    #[arg(long, value_name = "NAME")]
    pub audience: Option<String>,
}

/// Options of `local`.
#[derive(Debug, Args)]
#[command(
    long_about = "Runs a cluster on this machine: Redis, media nodes, the mesh between them and the front door, as processes.\n\n\
        It takes the same SfuCluster manifest as Kubernetes. What dies is restarted, and the reason is shown; when the file \
        changes, the cluster follows. Ctrl-C ends everything that was started, and nothing else.",
    after_help = examples::LOCAL
)]
pub struct LocalArgs {
    /// Number of media nodes, 1 to 32. Wins over `spec.replicas` of the file, also when the file changes. Default 3.
    #[arg(short, long, env = "SFUMATO_NODES", value_parser = whole_number::<i32>(1..=32, 3))]
    pub nodes: Option<i32>,
    /// SfuCluster manifest to carry out and to follow while it changes.
    #[arg(short, long, env = "SFUMATO_FILE", value_name = "cluster.yaml")]
    pub file: Option<PathBuf>,
    /// Redis to use, such as redis://127.0.0.1:6379. Without it a redis-server is started. An URL with a password belongs into
    /// the environment: everybody who may list processes sees this.
    #[arg(long, env = "SFUMATO_REDIS_URL", hide_env_values = true, value_name = "URL")]
    pub redis_url: Option<String>,
    /// mediasoup workers of each node. Wins over `spec.workersPerNode`. Default: one for each core, at most 4.
    #[arg(long, env = "SFUMATO_WORKERS", value_name = "N", value_parser = whole_number::<i32>(1..=64, 2))]
    pub workers: Option<i32>,
    /// Further address of this machine on which browsers reach the nodes' media ports, besides 127.0.0.1: its address in
    /// the local network. Firefox needs one unless the page may use the camera: without that it does not use loopback for media.
    #[arg(long, env = "SFUMATO_MEDIA_IP", value_name = "IP", value_delimiter = ',', value_parser = ip_address)]
    pub media_ip: Vec<std::net::IpAddr>,
    /// Address that the front door listens on; 0.0.0.0 and :: stand for all that this machine has. Beyond loopback, publishers and
    /// viewers need tokens unless --open says otherwise. Nodes' other listeners, links and Redis stay on loopback.
    #[arg(long, env = "SFUMATO_LISTEN", value_name = "IP", default_value = "127.0.0.1", value_parser = ip_address, help_heading = OUTSIDE)]
    pub listen: std::net::IpAddr,
    /// Where clients on other machines reach this one: IP addresses or host names, the preferred one first. They are told to send
    /// media there. Default: an address of this machine, if --listen is beyond loopback.
    #[arg(long, env = "SFUMATO_PUBLIC_ADDRESS", value_name = "ADDRESS", value_delimiter = ',', value_parser = public_address, help_heading = OUTSIDE)]
    pub public_address: Vec<String>,
    /// Certificate chain of the front door, PEM: it then speaks HTTPS. Read again when it changes, as is the key.
    #[arg(long, env = "SFUMATO_TLS_CERT", value_name = "FILE", requires = "tls_key", help_heading = OUTSIDE)]
    pub tls_cert: Option<PathBuf>,
    /// Key of that certificate, PEM, without a passphrase.
    #[arg(long, env = "SFUMATO_TLS_KEY", value_name = "FILE", requires = "tls_cert", help_heading = OUTSIDE)]
    pub tls_key: Option<PathBuf>,
    /// Proxies before the front door whose X-Forwarded-For is trusted: addresses or networks, comma separated; 127.0.0.1,::1 for one
    /// on this machine. All clients of another proxy count as one [none: `-`]
    #[arg(long, env = "SFUMATO_TRUSTED_PROXY", value_name = "NETWORK,...", value_parser = networks, help_heading = OUTSIDE)]
    pub trusted_proxy: Option<String>,
    /// Let everybody publish and watch who reaches the front door, also from other machines. Not with --auth-secret-file or
    /// --auth-jwks-file.
    // For clap, SFUMATO_OPEN=false would contradict these as well.
    #[arg(long, env = "SFUMATO_OPEN", help_heading = OUTSIDE)]
    pub open: bool,
    /// How long publishers may stay on a node that is scaled away or replaced, 0s to 24h; its viewers move to other nodes at
    /// once. Ctrl-C waits for nobody.
    #[arg(long, env = "SFUMATO_DRAIN_DEADLINE", value_name = "TIME", default_value = "10s", value_parser = drain_deadline)]
    pub drain_deadline: Duration,
    /// How to write: human, with lines that begin with the name of the process that wrote them, or json with one object a line.
    #[arg(long, env = "SFUMATO_LOG_FORMAT", value_name = "FORMAT", default_value = "human")]
    pub log_format: LogFormat,
    /// What this program itself logs on standard error, beside what it shows: a level, or levels by module as well, such as
    /// `error,sfumato_mesh=info`. Nodes read the same variable.
    #[arg(long, env = "SFUMATO_LOG", value_name = "FILTER", default_value = "error")]
    pub log: LogFilter,

    /// Port of the front door. Wins over `spec.web.service.port`. Default 2020.
    #[arg(long, env = "SFUMATO_WEB_PORT", value_name = "PORT", help_heading = PORTS)]
    #[arg(value_parser = whole_number::<i32>(1..=65_535, 2020))]
    pub web_port: Option<i32>,
    /// WHIP and WHEP port of sfu-1; sfu-2 has the next one, and so on.
    #[arg(long, env = "SFUMATO_CLIENT_PORT_BASE", value_name = "PORT", default_value_t = 3001, help_heading = PORTS)]
    #[arg(value_parser = whole_number::<u16>(1..=65_504, 3001))]
    pub client_port_base: u16,
    /// Admin port of sfu-1.
    #[arg(long, env = "SFUMATO_ADMIN_PORT_BASE", value_name = "PORT", default_value_t = 4001, help_heading = PORTS)]
    #[arg(value_parser = whole_number::<u16>(1..=65_504, 4001))]
    pub admin_port_base: u16,
    /// Health and metrics port of sfu-1.
    #[arg(long, env = "SFUMATO_HEALTH_PORT_BASE", value_name = "PORT", default_value_t = 5001, help_heading = PORTS)]
    #[arg(value_parser = whole_number::<u16>(1..=65_503, 5001))]
    pub health_port_base: u16,
    /// Port of the redis-server that is started.
    #[arg(long, env = "SFUMATO_REDIS_PORT", value_name = "PORT", default_value_t = 6377, help_heading = PORTS)]
    #[arg(value_parser = whole_number::<u16>(1..=65_535, 6377))]
    pub redis_port: u16,
    /// First media port; each node has 100. Wins over `spec.media.port`. Default 20000.
    #[arg(long, env = "SFUMATO_MEDIA_PORT_BASE", value_name = "PORT", help_heading = PORTS)]
    #[arg(value_parser = whole_number::<i32>(1024..=29_900, 20000))]
    pub media_port_base: Option<i32>,
    /// First port of the links; each node has 100. Wins over `spec.mesh.portBase`. Default 24000.
    #[arg(long, env = "SFUMATO_PIPE_PORT_BASE", value_name = "PORT", help_heading = PORTS)]
    #[arg(value_parser = whole_number::<i32>(1024..=29_900, 24000))]
    pub pipe_port_base: Option<i32>,

    /// Require tokens of publishers and viewers, signed with the secret in this file (see `sfu-operator token`).
    #[arg(long, env = "SFUMATO_AUTH_SECRET_FILE", value_name = "FILE", conflicts_with = "auth_jwks_file", help_heading = ACCESS)]
    pub auth_secret_file: Option<PathBuf>,
    /// Require tokens of publishers and viewers, signed with a key of this JSON Web Key Set (RS256, ES256 or EdDSA).
    #[arg(long, env = "SFUMATO_AUTH_JWKS_FILE", value_name = "FILE", help_heading = ACCESS)]
    pub auth_jwks_file: Option<PathBuf>,

    /// Directory for logs, the admin token and Redis; kept at the end. Default: a new one below /tmp, removed at the end.
    #[arg(long, env = "SFUMATO_STATE_DIR", value_name = "DIR", help_heading = FILES)]
    pub state_dir: Option<PathBuf>,
    /// File to keep the state of the cluster in, as JSON, for scripts.
    #[arg(long, env = "SFUMATO_STATUS_JSON", value_name = "FILE", help_heading = FILES)]
    pub status_json: Option<PathBuf>,
    /// Media node program. Default: `sfu-node` beside this program.
    #[arg(long, env = "SFUMATO_NODE_BIN", value_name = "FILE", help_heading = FILES)]
    pub node_bin: Option<PathBuf>,
    /// Front door program. Default: `sfu-web` beside this program.
    #[arg(long, env = "SFUMATO_WEB_BIN", value_name = "FILE", help_heading = FILES)]
    pub web_bin: Option<PathBuf>,
    /// Redis program. Default: `redis-server` on the PATH.
    #[arg(long, env = "SFUMATO_REDIS_BIN", value_name = "FILE", help_heading = FILES)]
    pub redis_bin: Option<PathBuf>,
}

impl LocalArgs {
    /// The address of the Redis that is started, when one is.
    #[must_use]
    pub fn own_redis(&self) -> Option<SocketAddr> {
        self.redis_url
            .is_none()
            .then(|| SocketAddr::from(([127, 0, 0, 1], self.redis_port)))
    }
}

fn drain_deadline(text: &str) -> Result<Duration, String> {
    match text.parse() {
        Ok(GoDuration(deadline)) if deadline <= Duration::from_secs(MAX_DRAIN_SECONDS) => Ok(deadline),
        _ => Err("use a time with a unit, from 0s to 24h, such as 10s or 5m".to_owned()),
    }
}

fn public_address(text: &str) -> Result<String, String> {
    let labels = || text.split('.').all(|label| !label.is_empty() && label.len() <= 63);
    let is_name = text.len() <= 253
        && text.chars().all(|c| c.is_ascii_alphanumeric() || ".-".contains(c))
        && text
            .rsplit('.')
            .next()
            .is_some_and(|last| last.starts_with(|c: char| c.is_ascii_alphabetic()))
        && labels();
    let ip = text.parse::<std::net::IpAddr>();
    if is_name || ip.is_ok_and(|ip| !ip.is_unspecified() && !ip.is_multicast()) {
        Ok(text.to_ascii_lowercase())
    } else {
        Err(
            "use an IP address or a host name without scheme and port, such as 203.0.113.7 or live.example.net"
                .to_owned(),
        )
    }
}

/// Networks as they were written, for the programs that are started.
fn networks(text: &str) -> Result<String, String> {
    text.parse::<Networks>().map(|_| text.to_owned())
}

fn expires(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(time) if !time.is_zero() && time <= LONGEST_TOKEN => Ok(time),
        _ => Err("use a time with a unit, at most 10years, such as 90s, 1h or 7days".to_owned()),
    }
}

/// Longest life of a token: beyond it a limit means nothing, and times end somewhere.
const LONGEST_TOKEN: Duration = Duration::from_secs(10 * 31_557_600);
const ACCESS: &str = "Authentication";
const OUTSIDE: &str = "Clients on other machines";
const PORTS: &str = "Ports";
const FILES: &str = "Files";

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub mod tests {
    use super::*;
    use clap::CommandFactory;

    /// What these options of `local` mean.
    pub fn local(options: &[&str]) -> LocalArgs {
        let line = ["sfu-operator", "local"].iter().chain(options);
        match Cli::try_parse_from(line).unwrap().command {
            Command::Local(args) => *args,
            _ => unreachable!("the command is `local`"),
        }
    }

    #[test]
    fn a_public_address_is_an_address_or_a_name_and_nothing_more() {
        for good in ["203.0.113.7", "2001:db8::7", "Live.example.net", "box"] {
            assert_eq!(public_address(good).as_deref(), Ok(good.to_lowercase().as_str()));
        }
        for bad in [
            "",
            "https://live.example.net",
            "live.example.net:443",
            "0.0.0.0",
            "::",
            "1.2.3",
            "a..b",
            "a b",
            "ä.example",
        ] {
            assert!(public_address(bad).unwrap_err().contains("203.0.113.7"), "{bad}");
        }
    }

    /// The commands of a help text, with the lines that go on joined.
    fn commands(text: &str) -> Vec<String> {
        let text = text.replace("\\\n", " ");
        let indented = text.lines().filter_map(|line| line.strip_prefix("      "));
        indented.map(str::to_owned).collect()
    }

    #[test]
    fn every_example_of_the_help_texts_can_be_copied() {
        let readme = include_str!("../../README.md");
        let mut parsed = 0;
        for command in [examples::LOCAL, examples::TOKEN].into_iter().flat_map(commands) {
            if command.starts_with("sfu-operator ") {
                let words = command.split_whitespace().map(|word| word.trim_matches('\''));
                let wrong = Cli::try_parse_from(words).err().map(|error| error.to_string());
                assert_eq!(wrong, None, "{command}");
                parsed += 1;
            } else if command.starts_with("kill ") {
                assert!(readme.contains(&command), "README has another one than {command}");
            } else {
                assert_eq!(command, "openssl rand -hex 32 > secret");
            }
        }
        assert_eq!(parsed, 7, "the others were not found");
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_option_of_local_is_an_environment_variable_too() {
        let command = Cli::command();
        let local = command.find_subcommand("local").expect("`local` is a subcommand");
        for arg in local
            .get_arguments()
            .filter(|a| a.get_id() != "help" && a.get_id() != "version")
        {
            let name = format!("SFUMATO_{}", arg.get_id().as_str().to_uppercase());
            assert_eq!(arg.get_env().and_then(|v| v.to_str()), Some(name.as_str()));
        }
    }
}
