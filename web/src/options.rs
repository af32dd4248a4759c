//! The command line. Every option is a flag and an environment variable, and `--help` says unit and default.

use crate::seeds::Seed;
use clap::{Args, Parser};
use sfumato_admin_api::program::log::{LogFilter, LogFormat};
use sfumato_admin_api::program::log_fields::LogFields;
use sfumato_admin_api::program::option_values::{socket_address, whole_number};
use sfumato_admin_api::server::client_address::Networks;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Front door and dashboard of a Sfumato cluster: picks a node for each WHIP and WHEP session and shows the mesh.
#[derive(Debug, Clone, Parser)]
#[command(name = "sfu-web", version)]
pub struct Options {
    /// Address and TCP port to listen on
    #[arg(
        long,
        env = "SFUMATO_WEB_LISTEN",
        value_name = "IP:PORT",
        default_value = "127.0.0.1:2020",
        value_parser = socket_address
    )]
    pub listen: SocketAddr,

    /// Admin URL of a node to begin with, without a path; a name stands for every address behind it, and the nodes name
    /// their peers. Repeatable, or comma separated
    #[arg(
        long = "seed",
        env = "SFUMATO_WEB_SEED",
        value_name = "URL",
        value_delimiter = ',',
        default_value = "http://127.0.0.1:4001"
    )]
    pub seeds: Vec<Seed>,

    /// File with the token that the nodes' admin API is called with, read again when it changes: the front door's own
    /// (--front-door-token-file of the nodes), or the admin token
    #[arg(
        long,
        env = "SFUMATO_WEB_ADMIN_TOKEN_FILE",
        value_name = "PATH",
        required_unless_present = "insecure_admin",
        conflicts_with = "insecure_admin"
    )]
    pub admin_token_file: Option<PathBuf>,

    /// CA that the certificates of nodes must come from whose admin URL is `https`, PEM; read again when it changes. They must
    /// be made out to `admin.sfumato.internal`. Clients' requests go to such nodes by HTTPS as well
    #[arg(long, env = "SFUMATO_WEB_ADMIN_CA", value_name = "PATH")]
    pub admin_ca: Option<PathBuf>,

    /// Call the nodes' admin API without a token: for nodes that run with an open admin listener on one machine [default: off]
    #[arg(long, env = "SFUMATO_WEB_INSECURE_ADMIN")]
    pub insecure_admin: bool,

    /// Certificate chain that the listener for everybody shows, PEM; it is then HTTPS. Read again when it changes, as is the key
    /// [default: none; HTTP]
    #[arg(long, env = "SFUMATO_WEB_TLS_CERT", value_name = "PATH", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,

    /// Key of that certificate, PEM, without a passphrase
    #[arg(long, env = "SFUMATO_WEB_TLS_KEY", value_name = "PATH", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,

    /// Address of a listener for `/livez` and `/readyz` alone (HTTP). It answers while the listener for everybody is full
    /// [default: none; that one answers them as well]
    #[arg(long, env = "SFUMATO_WEB_HEALTH_LISTEN", value_name = "IP:PORT", value_parser = socket_address)]
    pub health_listen: Option<SocketAddr>,

    #[command(flatten)]
    pub limits: LimitOptions,

    /// Names that requests may be for besides `localhost` and addresses, comma separated, where `--listen` is on loopback:
    /// those of a proxy on this machine that passes its own name on [any: `*`]
    #[arg(
        long = "allowed-host",
        env = "SFUMATO_WEB_ALLOWED_HOST",
        value_name = "NAME",
        value_delimiter = ','
    )]
    pub allowed_hosts: Vec<String>,

    /// Directory to read the page from at each request, for work on the page: a change shows when the page is loaded again.
    /// Without it, the page is that of the program
    #[arg(long, env = "SFUMATO_WEB_PAGE_DIR", value_name = "DIR")]
    pub page_dir: Option<PathBuf>,

    /// Form of the log on standard error: human, or json with one object a line
    #[arg(long, env = "SFUMATO_WEB_LOG_FORMAT", value_name = "FORMAT", default_value = "human")]
    pub log_format: LogFormat,

    /// Fields of every JSON line of the log, such as `namespace=media,cluster=live`: of namespace, cluster and node
    #[arg(long, env = "SFUMATO_WEB_LOG_FIELDS", value_name = "FIELDS", default_value = "")]
    pub log_fields: LogFields,

    /// What is logged: a level, or levels by module as well, such as `info,sfu_web=debug`
    #[arg(long, env = "SFUMATO_WEB_LOG", value_name = "FILTER", default_value = "info")]
    pub log: LogFilter,
}

const MAX_CONNECTIONS: u32 = 8192;
const MAX_EVENT_STREAMS: u32 = 4096;

/// How much clients may hold.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Limits")]
pub struct LimitOptions {
    /// Most connections. Above half of them, one client address (IPv6: one /64) has at most a tenth
    #[arg(long, env = "SFUMATO_WEB_MAX_CONNECTIONS", value_name = "N", default_value_t = MAX_CONNECTIONS, value_parser = whole_number::<u32>(16..=1_000_000, MAX_CONNECTIONS))]
    pub max_connections: u32,

    /// Most event streams of viewers that are passed on at a time; above half of them, one client address has at most a tenth
    #[arg(long, env = "SFUMATO_WEB_MAX_EVENT_STREAMS", value_name = "N", default_value_t = MAX_EVENT_STREAMS, value_parser = whole_number::<u32>(10..=1_000_000, MAX_EVENT_STREAMS))]
    pub max_event_streams: u32,

    /// Proxies before this front door whose X-Forwarded-For is trusted: addresses or networks, comma separated [none: `-`]
    #[arg(
        long,
        env = "SFUMATO_WEB_TRUSTED_PROXY",
        value_name = "NETWORK,...",
        default_value = "-"
    )]
    pub trusted_proxy: Networks,

    /// Addresses or networks that have no share, comma separated: many people are behind each, as on a campus. They are
    /// bounded by the whole alone [none: `-`]
    #[arg(
        long,
        env = "SFUMATO_WEB_TRUSTED_ADDRESS",
        value_name = "NETWORK,...",
        default_value = "-"
    )]
    pub trusted_address: Networks,
}

impl Default for LimitOptions {
    fn default() -> Self {
        Self {
            max_connections: MAX_CONNECTIONS,
            max_event_streams: MAX_EVENT_STREAMS,
            trusted_proxy: Networks::default(),
            trusted_address: Networks::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent_and_every_option_has_an_environment_variable_and_a_help_line() {
        let command = Options::command();
        command.clone().debug_assert();
        for option in command.get_arguments() {
            let id = option.get_id().as_str();
            assert!(
                option
                    .get_env()
                    .is_some_and(|env| env.to_string_lossy().starts_with("SFUMATO_WEB_")),
                "{id}"
            );
            assert!(option.get_help().is_some(), "{id}");
        }
    }

    #[test]
    fn seeds_can_be_repeated_or_separated_by_commas() {
        let options = Options::try_parse_from([
            "sfu-web",
            "--insecure-admin",
            "--seed=http://127.0.0.1:4001,http://127.0.0.1:4002",
            "--seed=http://127.0.0.1:4003",
        ]);
        assert_eq!(options.unwrap().seeds.len(), 3);
    }

    #[test]
    fn a_token_file_or_the_word_that_none_is_wanted_must_be_given_and_not_both() {
        assert!(Options::try_parse_from(["sfu-web"]).is_err());
        assert!(Options::try_parse_from(["sfu-web", "--admin-token-file", "t"]).is_ok());
        assert!(Options::try_parse_from(["sfu-web", "--admin-token-file", "t", "--insecure-admin"]).is_err());
    }

    #[test]
    fn a_certificate_and_its_key_come_together() {
        let taken = |options: &[&str]| {
            let all = ["sfu-web", "--insecure-admin"];
            Options::try_parse_from(all.iter().chain(options)).is_ok()
        };
        assert!(taken(&["--tls-cert=c", "--tls-key=k"]));
        assert!(!taken(&["--tls-cert=c"]) && !taken(&["--tls-key=k"]));
    }
}
