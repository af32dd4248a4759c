//! `sfu-smoke`: whether every node of a running cluster shows what is published on one of them, or which ways media has to each.
//! The image of `helm test`.

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};
use reqwest::Url;
use sfu_bench::check::{self, CheckOptions};
use sfu_bench::door::Door;
use sfu_bench::output;
use sfu_bench::peer::trust;
use sfu_bench::smoke::{self, SmokeOptions};
use sfumato_admin_api::program::log::{self, LogFilter, LogFormat};
use sfumato_admin_api::program::log_fields::LogFields;
use sfumato_admin_api::program::option_values::{duration, ip_address, whole_number};
use sfumato_admin_api::server::client_token::{Audience, NumericDate, StreamPattern, TokenClaims};
use sfumato_admin_api::server::token_signing::sign;
use sfumato_admin_api::types::StreamName;
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

/// How long a token of our own is valid.
const TOKEN_LIFE: Duration = Duration::from_secs(3600);

/// Publishes a generated stream on one media node of a cluster, and counts its frames on every node
#[derive(Debug, Parser)]
#[command(
    name = "sfu-smoke",
    version,
    long_about = "Publishes a generated stream on one media node of a cluster by WHIP, and counts its frames on every node by WHEP.\n\n\
        It asks the cluster's front door for the nodes and for each session. It prints what it has seen, node by node.\n\n\
        With --check-media it sends no media. It opens a session on every node, and tries from this machine which of its addresses answer \
        by UDP and by TCP, and which of its TURN servers relay to it. If none does, it says what to change.",
    after_help = "\
Examples:
  A local cluster:
      sfu-smoke --door http://127.0.0.1:2020
  One that asks for tokens:
      sfu-smoke --door http://live-web.media.svc:2020 --secret-file /run/secrets/tokens/secret --nodes 3
  Why clients outside of the cluster get no media (run it where they are):
      sfu-smoke --check-media --door https://live.example.net --token-file token

Exit codes: 0 every node shows the stream, or media gets through to it; 1 to one it does not; 2 wrong option."
)]
struct Options {
    /// The front door, such as `http://live-web.media.svc:2020` or `https://live.example.net`
    #[arg(long, env = "SFU_SMOKE_DOOR", value_name = "URL", value_parser = door)]
    door: Url,
    /// Try only which ways media has to each node: UDP, TCP, and the TURN servers that it names
    #[arg(long, conflicts_with = "frames")]
    check_media: bool,
    /// File with the CA that has signed the certificate of the front door, in PEM [default: the CAs of the system]
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Name to publish by. Nobody else should use it
    #[arg(long, value_name = "NAME", default_value = "sfu-smoke", value_parser = stream)]
    stream: StreamName,
    /// Fewest nodes that the cluster must have
    #[arg(long, default_value_t = 1, value_parser = whole_number::<usize>(1..=32, 3))]
    nodes: usize,
    /// Frames to count on each node
    #[arg(long, default_value_t = 30, value_parser = whole_number::<u64>(1..=10_000, 30))]
    frames: u64,
    /// How long all nodes may take to be up, and then each to show these frames
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = duration(Duration::from_secs(1)..=TOKEN_LIFE / 4, "60s"))]
    within: Duration,
    /// File with the secret that tokens are signed with, where the cluster asks for tokens (HS256)
    #[arg(long, value_name = "FILE", conflicts_with = "token_file")]
    secret_file: Option<PathBuf>,
    /// Issuer to write into the token, where nodes want one
    #[arg(long, value_name = "NAME", requires = "secret_file")]
    issuer: Option<String>,
    /// Audience to write into the token, where nodes want one
    #[arg(long, value_name = "NAME", requires = "secret_file")]
    audience: Option<String>,
    /// File with a token that may observe, and publish and play the stream, where tokens are signed with a key that is not here
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Local address of the media sockets; nodes must be able to reach it [default: the one from which the front door is reached;
    /// with --check-media the one from which each address is reached]
    #[arg(long, value_name = "IP", value_parser = ip_address)]
    bind: Option<IpAddr>,
    /// What is logged on standard error: a level, or levels by module as well, such as `warn,sfu_bench=debug`
    #[arg(long, value_name = "FILTER", default_value = "error")]
    log: LogFilter,
}

fn door(text: &str) -> Result<Url, String> {
    let wanted = || {
        "use http://HOST:PORT or https://HOST:PORT, such as http://127.0.0.1:2020 or https://live.example.net"
            .to_owned()
    };
    let url: Url = text.parse().map_err(|_| wanted())?;
    let is_http = ["http", "https"].contains(&url.scheme());
    let is_bare = url.has_host() && url.path() == "/" && url.query().is_none();
    if is_http && is_bare { Ok(url) } else { Err(wanted()) }
}

fn stream(text: &str) -> Result<StreamName, String> {
    text.parse().map_err(|error| format!("{error}"))
}

impl Options {
    /// Checks what concerns more than one option.
    fn check(&self) -> Result<(), &'static str> {
        if self.ca.is_some() && self.door.scheme() != "https" {
            return Err("--ca is for a front door with TLS: give --door such as https://live.example.net");
        }
        Ok(())
    }

    /// The token to present: one that is given, or one of our own.
    fn token(&self) -> Result<Option<String>, String> {
        if let Some(file) = &self.token_file {
            let text = std::fs::read_to_string(file)
                .map_err(|error| format!("cannot read the token in {}: {error}", file.display()))?;
            return Ok(Some(text.trim().to_owned()));
        }
        let Some(file) = &self.secret_file else { return Ok(None) };
        let pattern: StreamPattern = self.stream.as_str().parse().map_err(|error| format!("{error}"))?;
        let claims = TokenClaims {
            publish: vec![pattern.clone()],
            play: vec![pattern],
            takeover: false,
            observe: true,
            exp: NumericDate::of(SystemTime::now() + TOKEN_LIFE),
            nbf: None,
            sub: Some("sfu-smoke".to_owned()),
            iss: self.issuer.clone(),
            aud: self.audience.clone().map(Audience::One),
        };
        sign(&claims, file).map(Some).map_err(|error| error.to_string())
    }
}

async fn carry_out(options: Options) -> Result<(), String> {
    if options.door.scheme() == "https" {
        trust(options.ca.as_deref()).map_err(|error| error.to_string())?;
    }
    let door = Door {
        token: options.token()?,
        url: options.door,
        stream: options.stream.to_string(),
    };
    if options.check_media {
        let options = CheckOptions {
            door,
            bind: options.bind,
            nodes: options.nodes,
            within: options.within,
        };
        return check::run(&options).await.map_err(|error| error.to_string());
    }
    let options = SmokeOptions {
        door,
        bind: options.bind,
        nodes: options.nodes,
        frames: options.frames,
        within: options.within,
    };
    smoke::run(&options).await.map_err(|error| error.to_string())
}

fn main() -> ExitCode {
    let options = Options::parse();
    if let Err(message) = options.check() {
        Options::command().error(ErrorKind::ValueValidation, message).exit();
    }
    log::start(&options.log, LogFormat::Human, LogFields::default());
    let done = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(carry_out(options)),
        Err(error) => Err(format!("cannot start: {error}")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::progress(&format!("error: {error}"));
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Options::command().debug_assert();
    }

    #[test]
    fn a_front_door_is_named_by_host_and_port_alone() {
        assert_eq!(
            door("http://live-web.media.svc:2020").unwrap().as_str(),
            "http://live-web.media.svc:2020/"
        );
        assert_eq!(
            door("https://live.example.net").unwrap().as_str(),
            "https://live.example.net/"
        );
        for wrong in [
            "live-web:2020",
            "ftp://live-web:2020",
            "http://live-web:2020/whip",
            "http://a?b",
            "",
        ] {
            assert!(door(wrong).unwrap_err().contains("http://HOST:PORT"), "{wrong}");
        }
    }

    #[test]
    fn a_ca_is_refused_where_there_is_no_tls() {
        let options = |door: &str| Options::parse_from(["sfu-smoke", "--door", door, "--ca", "ca.crt"]);
        assert_eq!(options("https://live.example.net").check(), Ok(()));
        let said = options("http://live-web.media.svc:2020").check().unwrap_err();
        assert!(said.contains("--door such as https://"), "{said}");
    }

    #[test]
    fn a_check_counts_no_frames() {
        let with = |more: &[&str]| {
            let line = ["sfu-smoke", "--door", "http://127.0.0.1:2020", "--check-media"];
            Options::try_parse_from(line.iter().chain(more))
        };
        assert!(with(&[]).unwrap().check_media);
        assert!(with(&["--frames", "10"]).is_err());
    }
}
