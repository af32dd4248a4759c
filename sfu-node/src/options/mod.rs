//! Options of `sfu-node`: each is a flag, an environment variable and a line in `--help` with its unit and default.

pub mod ice_server;

use crate::access::AccessOptions;
use crate::limits::LimitOptions;
use crate::media::announced::Announced;
use crate::media::inner_addresses;
use crate::names::redis_link::{RedisFiles, RedisUrl};
use clap::{ArgAction, Parser, ValueEnum};
use ice_server::IceServer;
use sfumato_admin_api::program::log::{LogFilter, LogFormat};
use sfumato_admin_api::program::log_fields::LogFields;
use sfumato_admin_api::program::option_values::{duration, ip_address, socket_address, whole_number};
use sfumato_admin_api::types::{MAX_DRAIN_SECONDS, NodeName};
use std::ffi::OsString;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

/// Media node of a Sfumato cluster: publishers come by WHIP, viewers by WHEP, streams cross to every other node over
/// encrypted pipes that the operator connects through the admin API.
#[derive(Debug, Clone, Parser)]
#[command(
    name = "sfu-node",
    version,
    about,
    after_help = "\
Example, a node by itself on this machine:
  sfu-node --name sfu-1 --insecure-admin
  curl -X POST -H 'Content-Type: application/sdp' --data-binary @offer.sdp http://127.0.0.1:3001/whip/demo

SIGTERM drains it: no new sessions, viewers move to other nodes, publishers stay until --drain-deadline, and the process
ends when nobody is left. A second SIGTERM, or Ctrl-C, ends it at once.

`sfu-operator local` starts a whole cluster of them."
)]
pub struct Options {
    /// Name of this node in its cluster [a-z, 0-9, `-`, `.`; at most 63 characters]
    #[arg(long, env = "SFUMATO_NAME", default_value = "sfu-1")]
    pub name: NodeName,
    /// Cluster that this node belongs to: prefix of its Redis keys, `sfumato:{cluster}:`
    #[arg(long, env = "SFUMATO_CLUSTER", default_value = "default/local/0", value_parser = cluster)]
    pub cluster: String,
    /// UID of the pod, part of the incarnation [none outside Kubernetes]
    #[arg(long, env = "SFUMATO_POD_UID", default_value = "0", value_parser = pod_uid)]
    pub pod_uid: String,
    /// mediasoup workers, each a thread with a router and a port of its own [default: number of cores]
    #[arg(long, env = "SFUMATO_WORKERS", value_parser = whole_number::<u16>(1..=64, 2))]
    pub workers: Option<u16>,
    /// Most links to each other node, as the node reports it [default: as many as both have workers]
    #[arg(long, env = "SFUMATO_LANES", value_parser = whole_number::<u16>(1..=64, 2))]
    pub lanes: Option<u16>,
    /// Address of the WHIP and WHEP listener (HTTP)
    #[arg(long, env = "SFUMATO_LISTEN", default_value = "127.0.0.1:3001", value_parser = socket_address)]
    pub listen: SocketAddr,
    /// Address of this node in the URLs that others get of it, where it listens on every address, as in `[::]:3001`
    /// [default: the address that each listener has]
    #[arg(long, env = "SFUMATO_ADVERTISE_IP", value_parser = specific_ip)]
    pub advertise_ip: Option<IpAddr>,
    /// Base URL of that listener, for clients, and for front doors where there is no --secure-listen [default: http://LISTEN]
    #[arg(long, env = "SFUMATO_CLIENT_URL", value_parser = base_url)]
    pub client_url: Option<String>,
    /// Address of a second WHIP and WHEP listener, for front doors: HTTPS with the admin listener's certificate, so that
    /// clients' tokens do not cross the network in clear [default: none]
    #[arg(
        long,
        env = "SFUMATO_SECURE_LISTEN",
        value_parser = socket_address,
        requires = "admin_tls_cert"
    )]
    pub secure_listen: Option<SocketAddr>,
    /// Address of the admin listener (HTTP)
    #[arg(long, env = "SFUMATO_ADMIN_LISTEN", default_value = "127.0.0.1:4001", value_parser = socket_address)]
    pub admin_listen: SocketAddr,
    /// Base URL at which operator and peers reach the admin listener [default: http://ADMIN_LISTEN]
    #[arg(long, env = "SFUMATO_ADMIN_URL", value_parser = base_url)]
    pub admin_url: Option<String>,
    /// Certificate of the admin listener and of --secure-listen, PEM; the former is then HTTPS. Read again when it changes, as
    /// are the two below
    #[arg(
        long,
        env = "SFUMATO_ADMIN_TLS_CERT",
        value_name = "FILE",
        requires = "admin_tls_key",
        requires = "admin_ca"
    )]
    pub admin_tls_cert: Option<PathBuf>,
    /// Key of that certificate, PEM
    #[arg(
        long,
        env = "SFUMATO_ADMIN_TLS_KEY",
        value_name = "FILE",
        requires = "admin_tls_cert"
    )]
    pub admin_tls_key: Option<PathBuf>,
    /// CA that the certificates of other nodes' admin listeners must come from, PEM. They must be made out to
    /// `admin.sfumato.internal`
    #[arg(long, env = "SFUMATO_ADMIN_CA", value_name = "FILE", requires = "admin_tls_cert")]
    pub admin_ca: Option<PathBuf>,
    /// File that holds the admin token, read again when it changes; one a line, the first is sent to peers
    #[arg(long, env = "SFUMATO_ADMIN_TOKEN_FILE", required_unless_present = "insecure_admin")]
    pub admin_token_file: Option<PathBuf>,
    /// File that holds the front door's token, read again when it changes. Its holder may look at this node, ask who may
    /// observe, and vouch for clients' addresses [default: front doors use the admin token]
    #[arg(
        long,
        env = "SFUMATO_FRONT_DOOR_TOKEN_FILE",
        value_name = "FILE",
        requires = "admin_token_file"
    )]
    pub front_door_token_file: Option<PathBuf>,
    /// Serve the admin API without a token; allowed on loopback only
    #[arg(long, env = "SFUMATO_INSECURE_ADMIN", conflicts_with = "admin_token_file")]
    pub insecure_admin: bool,
    /// Address of the health and metrics listener (HTTP; no secret in it)
    #[arg(long, env = "SFUMATO_HEALTH_LISTEN", default_value = "127.0.0.1:5001", value_parser = socket_address)]
    pub health_listen: SocketAddr,
    /// Local address for WebRTC clients, once for each address; never 0.0.0.0
    #[arg(long, env = "SFUMATO_MEDIA_IP", default_value = "127.0.0.1", value_delimiter = ',', value_parser = specific_ip)]
    pub media_ip: Vec<IpAddr>,
    /// Addresses that answers name instead of MEDIA_IP, where clients reach the media ports at others: `ADDRESS` or
    /// `ADDRESS:PORT`, an IP address or a host name, with commas between. Worker w is at PORT + w, UDP and TCP alike, unless
    /// `udp/` or `tcp/` stands before it. `stun/HOST:PORT` and `stun/HOST:PORT/PORT` stand for what a STUN server sees
    /// [PORT: MEDIA_PORT]
    #[arg(long, env = "SFUMATO_MEDIA_ANNOUNCED", conflicts_with = "media_announced_file")]
    pub media_announced: Option<Announced>,
    /// File with such addresses, read again when it changes; the node takes no sessions while it is empty at first
    #[arg(long, env = "SFUMATO_MEDIA_ANNOUNCED_FILE", value_name = "FILE")]
    pub media_announced_file: Option<PathBuf>,
    /// Refuse a trickle without If-Match (428) and tracks of several MediaStreams (422), as RFC 9725 says; published
    /// clients forget the header
    #[arg(long, env = "SFUMATO_STRICT_WHIP")]
    pub strict_whip: bool,
    /// STUN or TURN server that answers name, once for each: `stun:HOST:PORT` or
    /// `turn:HOST:PORT?transport=udp username=NAME credential=SECRET` (each becomes one `Link: <...>; rel="ice-server"`). With
    /// `secret=SECRET ttl=12h` instead, shared with the TURN server (coturn: use-auth-secret), each client gets a password of its
    /// own, which is good for that time
    #[arg(
        long = "ice-server",
        env = "SFUMATO_ICE_SERVERS",
        hide_env_values = true,
        value_delimiter = ','
    )]
    pub ice_servers: Vec<IceServer>,
    /// First port for WebRTC clients; worker w listens on this port + w [UDP, and TCP unless --media-tcp false]
    #[arg(long, env = "SFUMATO_MEDIA_PORT", default_value_t = 20000, value_parser = whole_number::<u16>(1024..=65000, 20000))]
    pub media_port: u16,
    /// Whether WebRTC clients may use TCP
    #[arg(long, env = "SFUMATO_MEDIA_TCP", default_value_t = true, action = ArgAction::Set)]
    pub media_tcp: bool,
    /// Local address of the pipes to other nodes, as those nodes see it
    #[arg(long, env = "SFUMATO_PIPE_IP", default_value = "127.0.0.1", value_parser = specific_ip)]
    pub pipe_ip: IpAddr,
    /// Ports of the pipes, FIRST-LAST [UDP; one for each peer and lane; at least 20, or one less than workers. Nodes of one
    /// machine need ranges of their own]
    #[arg(long, env = "SFUMATO_PIPE_PORTS", default_value = "24000-24099", value_parser = port_range)]
    pub pipe_ports: RangeInclusive<u16>,
    /// Whether links to other nodes are encrypted [SRTP AES-256-GCM; a link is encrypted when either node has this set]
    #[arg(long, env = "SFUMATO_LINK_ENCRYPTION", default_value_t = true, action = ArgAction::Set)]
    pub link_encryption: bool,
    /// Redis for claims on stream names [redis://HOST:PORT, or rediss:// for TLS; without it names are agreed on between
    /// peers]. One with a password belongs into the environment or a file: everybody who may list processes sees this
    #[arg(long, env = "SFUMATO_REDIS_URL", hide_env_values = true)]
    pub redis_url: Option<String>,
    /// File with that URL on its first line, read again when it changes
    #[arg(
        long,
        env = "SFUMATO_REDIS_URL_FILE",
        value_name = "FILE",
        conflicts_with = "redis_url"
    )]
    pub redis_url_file: Option<PathBuf>,
    /// File with the password of Redis on its first line, instead of one in the URL; read again when it changes
    #[arg(long, env = "SFUMATO_REDIS_PASSWORD_FILE", value_name = "FILE")]
    pub redis_password_file: Option<PathBuf>,
    /// CA that the certificate of a rediss:// server must come from, PEM; read again when it changes [default: the CAs of
    /// the system]
    #[arg(long, env = "SFUMATO_REDIS_CA", value_name = "FILE")]
    pub redis_ca: Option<PathBuf>,
    /// Time between heartbeats on a link; after three missed ones its heartbeat counts as lost [50ms to 10s]
    #[arg(long, env = "SFUMATO_BEAT_INTERVAL", default_value = "500ms", value_parser = beat_interval)]
    pub beat_interval: Duration,
    /// When a stream is relayed to another node
    #[arg(long, env = "SFUMATO_FAN_OUT", default_value = "on-demand")]
    pub fan_out: FanOut,
    /// How long a stream without viewers is still relayed [1s to 1h]
    #[arg(long, env = "SFUMATO_FAN_OUT_IDLE_TIMEOUT", default_value = "30s", value_parser = idle_timeout)]
    pub fan_out_idle_timeout: Duration,
    /// How long the node keeps inner copies of a stream without viewers, and their routers and pipes [1s to 1h]
    #[arg(long, env = "SFUMATO_COPY_IDLE_TIMEOUT", default_value = "30s", value_parser = idle_timeout)]
    pub copy_idle_timeout: Duration,
    /// How long publishers may stay after SIGTERM, or after a drain that names no deadline [0s to 24h]. Viewers are moved
    /// to other nodes at once
    #[arg(long, env = "SFUMATO_DRAIN_DEADLINE", default_value = "5m", value_parser = drain_deadline)]
    pub drain_deadline: Duration,
    /// Who may publish and play.
    #[command(flatten)]
    pub access: AccessOptions,
    /// How much clients may use.
    #[command(flatten)]
    pub limits: LimitOptions,
    /// Let the admin API break this node, for tests of what follows: POST /admin/v1/test-faults
    #[arg(long, env = "SFUMATO_TEST_FAULTS", hide = true)]
    pub test_faults: bool,
    /// Form of the log on standard error: human, or json with one object a line
    #[arg(long, env = "SFUMATO_LOG_FORMAT", value_name = "FORMAT", default_value = "human")]
    pub log_format: LogFormat,
    /// Fields of every JSON line of the log, such as `namespace=media,cluster=live`: of namespace, cluster and node
    #[arg(long, env = "SFUMATO_LOG_FIELDS", value_name = "FIELDS", default_value = "")]
    pub log_fields: LogFields,
    /// What is logged: a level, or levels by module as well, such as `info,sfu_node=debug`
    #[arg(
        long,
        env = "SFUMATO_LOG",
        value_name = "FILTER",
        default_value = "info,mediasoup=error"
    )]
    pub log: LogFilter,
}

/// When a stream is relayed to another node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FanOut {
    /// On the first viewer there.
    OnDemand,
    /// At once, to every node.
    Eager,
}

impl Options {
    /// Checks what concerns more than one option; the message names the flags.
    pub fn check(&self) -> Result<(), String> {
        if self.insecure_admin && !self.admin_listen.ip().is_loopback() {
            return Err(format!(
                "--insecure-admin serves anybody, so --admin-listen must be on loopback, not {}",
                self.admin_listen
            ));
        }
        self.access.check()?;
        // Not by a parser of the value: what that refuses is shown, and a URL may hold a password.
        if let Some(url) = &self.redis_url
            && redis::Client::open(url.as_str()).is_err()
        {
            return Err(
                "--redis-url must be redis://HOST:PORT, or rediss:// for TLS, such as redis://127.0.0.1:6379"
                    .to_owned(),
            );
        }
        let has_tls = self.redis_url.as_ref().is_some_and(|url| url.starts_with("rediss://"));
        if self.redis_ca.is_some() && !has_tls && self.redis_url_file.is_none() {
            return Err("--redis-ca is for a Redis with TLS: give --redis-url such as rediss://redis:6379".to_owned());
        }
        if self.redis_password_file.is_some() && self.redis().is_none() {
            return Err(
                "--redis-password-file is for a Redis: give --redis-url such as redis://127.0.0.1:6379, or --redis-url-file"
                    .to_owned(),
            );
        }
        let last = u32::from(self.media_port) + u32::from(self.worker_count()) - 1;
        if last > u32::from(u16::MAX) {
            return Err(format!(
                "--media-port {} leaves no port for each of the workers",
                self.media_port
            ));
        }
        if u32::from(*self.pipe_ports.start()) <= last && self.media_port <= *self.pipe_ports.end() {
            return Err(format!(
                "--pipe-ports {}-{} overlap the client ports {}-{last}",
                self.pipe_ports.start(),
                self.pipe_ports.end(),
                self.media_port
            ));
        }
        if let Some(announced) = &self.media_announced {
            let checked = announced.check(self.worker_count());
            checked.map_err(|error| format!("--media-announced {announced}: {error}"))?;
        }
        inner_addresses::check(&self.pipe_ports, self.worker_count())
    }

    /// Where Redis is, if there is one.
    pub fn redis(&self) -> Option<RedisUrl> {
        let file = self.redis_url_file.clone().map(RedisUrl::InFile);
        file.or_else(|| self.redis_url.clone().map(RedisUrl::Given))
    }

    /// What else of Redis is in files.
    pub fn redis_files(&self) -> RedisFiles {
        RedisFiles {
            ca: self.redis_ca.clone(),
            password: self.redis_password_file.clone(),
        }
    }

    /// Secrets that came by these arguments, which other users of this machine can see: a sentence on each.
    pub fn shown_secrets(&self, arguments: impl IntoIterator<Item = OsString>) -> Vec<&'static str> {
        let arguments: Vec<String> = arguments
            .into_iter()
            .map(|argument| argument.to_string_lossy().into_owned())
            .collect();
        let shown = |secret: &str| arguments.iter().any(|argument| argument.contains(secret));
        let has_password = |url: &str| {
            redis::Client::open(url)
                .is_ok_and(|client| client.get_connection_info().redis_settings().password().is_some())
        };
        let mut told = Vec::new();
        if self
            .redis_url
            .as_deref()
            .is_some_and(|url| has_password(url) && shown(url))
        {
            told.push(
                "--redis-url has a password, and everybody who may list processes sees it: use --redis-url-file or SFUMATO_REDIS_URL",
            );
        }
        let mut secrets = self.ice_servers.iter().filter_map(IceServer::secret);
        if secrets.any(|secret| shown(&format!("={secret}"))) {
            told.push(
                "--ice-server has a secret, and everybody who may list processes sees it: use SFUMATO_ICE_SERVERS",
            );
        }
        told
    }

    /// Base URL at which operator and peers reach the admin listener.
    pub fn admin_base_url(&self) -> String {
        let scheme = if self.admin_tls_cert.is_some() { "https" } else { "http" };
        let own = || format!("{scheme}://{}", self.advertised(self.admin_listen));
        self.admin_url.clone().unwrap_or_else(own)
    }

    /// Base URL of the listener for clients.
    pub fn client_base_url(&self) -> String {
        let own = || format!("http://{}", self.advertised(self.listen));
        self.client_url.clone().unwrap_or_else(own)
    }

    /// Base URL at which front doors reach their own listener, if there is one.
    pub fn secure_client_url(&self) -> Option<String> {
        let listen = self.secure_listen?;
        Some(format!("https://{}", self.advertised(listen)))
    }

    fn advertised(&self, listen: SocketAddr) -> SocketAddr {
        SocketAddr::new(self.advertise_ip.unwrap_or(listen.ip()), listen.port())
    }

    /// Number of workers.
    pub fn worker_count(&self) -> u16 {
        self.workers.unwrap_or_else(|| {
            std::thread::available_parallelism().map_or(1, |n| u16::try_from(n.get().min(64)).unwrap_or(1))
        })
    }
}

fn cluster(text: &str) -> Result<String, String> {
    let fine = (1..=300).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'/' | b'_'));
    fine.then(|| text.to_owned())
        .ok_or_else(|| "use 1 to 300 of A-Z, a-z, 0-9, `-`, `_`, `.` and `/`, such as default/live/0".to_owned())
}

fn pod_uid(text: &str) -> Result<String, String> {
    let fine = (1..=63).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    fine.then(|| text.to_owned())
        .ok_or_else(|| "use 1 to 63 of A-Z, a-z, 0-9 and `-`, such as 5c7c1f3a-0b5e".to_owned())
}

fn base_url(text: &str) -> Result<String, String> {
    let trimmed = text.trim_end_matches('/');
    let fine = (trimmed.starts_with("http://") || trimmed.starts_with("https://")) && trimmed.matches('/').count() == 2;
    fine.then(|| trimmed.to_owned())
        .ok_or_else(|| "use http://HOST:PORT without a path, such as http://10.0.0.5:3001".to_owned())
}

fn specific_ip(text: &str) -> Result<IpAddr, String> {
    let ip = ip_address(text)?;
    if ip.is_unspecified() {
        return Err(
            "name the address itself, such as 192.168.1.20: replies to clients would leave from another one".to_owned(),
        );
    }
    Ok(ip)
}

fn port_range(text: &str) -> Result<RangeInclusive<u16>, String> {
    let ports = text
        .split_once('-')
        .and_then(|(first, last)| Some((first.trim().parse::<u16>().ok()?, last.trim().parse::<u16>().ok()?)));
    match ports {
        Some((first, last)) if first >= 1024 && last >= first => Ok(first..=last),
        _ => Err("use FIRST-LAST with ports from 1024 to 65535, such as 24000-24099".to_owned()),
    }
}

fn beat_interval(text: &str) -> Result<Duration, String> {
    duration(Duration::from_millis(50)..=Duration::from_secs(10), "500ms")(text)
}

fn idle_timeout(text: &str) -> Result<Duration, String> {
    duration(Duration::from_secs(1)..=Duration::from_secs(3600), "30s")(text)
}

fn drain_deadline(text: &str) -> Result<Duration, String> {
    duration(Duration::ZERO..=Duration::from_secs(MAX_DRAIN_SECONDS), "5m")(text)
}

#[cfg(test)]
mod tests;
