//! The command line.

use clap::{Args, Parser, Subcommand, ValueEnum};
use sfu_bench::media::Codec;
use sfu_bench::peer::{self, PeerError};
use sfu_bench::runs::system::SystemOptions;
use sfu_bench::runs::{delay, descriptions, failover, first_frame, joins, memory, mesh, soak, viewers};
use sfumato_admin_api::program::log::LogFilter;
use sfumato_admin_api::program::option_values::{ip_address, whole_number};
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

/// Longest time that an option takes, in seconds: a week.
const MAX_SECONDS: u64 = 7 * 24 * 3600;

/// Measures a mesh of media nodes from the outside, and plays publisher and viewer
#[derive(Debug, Parser)]
#[command(
    name = "sfu-bench",
    version,
    long_about = "Measures a mesh of media nodes from the outside, and plays publisher and viewer.\n\n\
        Each benchmark starts the system by itself, on loopback and on ports of its own, measures it several times and stops it. \
        `publish` and `watch` connect a synthetic peer to any WHIP or WHEP endpoint over plain http.",
    after_help = "\
Examples:
  How long it takes to connect 3 and 10 nodes:
      sfu-bench mesh
  Figures of one benchmark, as JSON and markdown:
      sfu-bench delay --json delay.json --markdown figures.md
  A publisher and a viewer against a local cluster:
      sfu-bench publish http://127.0.0.1:2020/whip/demo --seconds 60 &
      sfu-bench watch http://127.0.0.1:2020/whep/demo --seconds 10 --json

Exit codes: 0 done, 1 failed, 2 wrong option, 3 the other side ended the session early (publish, watch)."
)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
    /// What is logged on standard error: a level, or levels by module as well, such as `warn,sfu_bench=debug`
    #[arg(long, global = true, value_name = "FILTER", default_value = "error")]
    pub log: LogFilter,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Time from "all nodes ready" to "all links up", all pairs at once and one after another
    Mesh(Benchmark<mesh::MeshArgs>),
    /// One-way delay of frames on their own node and across one link, and what the link adds
    Delay(Benchmark<delay::DelayArgs>),
    /// Kill a node of a local cluster: time until the others know, until it is back, until the mesh is fully connected
    Failover(Benchmark<failover::FailoverArgs>),
    /// Time from a viewer's POST to its first key frame, on a node that does not relay the stream yet
    FirstFrame(Benchmark<first_frame::FirstFrameArgs>),
    /// Ten viewers within a second on a node that lacks the stream: time to each one's first key frame
    Joins(Benchmark<joins::JoinsArgs>),
    /// Viewers that a core serves, beside a bare mediasoup program and MediaMTX
    Viewers(Benchmark<viewers::ViewersArgs>),
    /// Viewers come and go for ten minutes: what stays behind, and how memory grows
    Soak(Benchmark<soak::SoakArgs>),
    /// Time of a node to answer the descriptions (SDP) that cost the most
    Descriptions(Benchmark<descriptions::DescriptionsArgs>),
    /// Resident memory of an idle node
    Memory(Benchmark<memory::MemoryArgs>),
    /// Publish made-up media by WHIP; prints `publishing` once connected, and JSON counters at the end
    Publish(PublishArgs),
    /// Let two publishers claim one name at the same moment, over and over; prints a JSON line a race
    Race(RaceArgs),
    /// Publish, play and end sessions in turns, over and over; prints how many rounds went well
    Churn(ChurnArgs),
    /// Watch a stream by WHEP; prints a line a second, and a last one with delays at the end
    Watch(WatchArgs),
}

impl Cli {
    /// Checks what concerns more than one value; the message names the options.
    pub fn check(&self) -> Result<(), String> {
        match &self.command {
            Command::Race(args) if args.nodes.len() < 2 => Err(
                "a race takes two nodes: give --node twice or more, such as --node http://127.0.0.1:3001".to_owned(),
            ),
            _ => Ok(()),
        }
    }
}

fn endpoint(text: &str) -> Result<String, PeerError> {
    peer::plain_endpoint(text).map(|_| text.to_owned())
}

fn base_url(text: &str) -> Result<String, String> {
    match peer::plain_endpoint(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => Err("use http://HOST:PORT, such as http://127.0.0.1:3001".to_owned()),
    }
}

/// What every benchmark takes.
#[derive(Debug, Args)]
pub struct Benchmark<A: Args> {
    #[command(flatten)]
    pub args: A,
    #[command(flatten)]
    pub figures: Figures,
    #[command(flatten)]
    pub system: SystemOptions,
}

/// Where figures go besides standard output.
#[derive(Debug, Args)]
#[command(next_help_heading = "Figures")]
pub struct Figures {
    /// Write the figures, with every sample, to a JSON file
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Append the figures to a markdown file
    #[arg(long, value_name = "FILE")]
    pub markdown: Option<PathBuf>,
}

/// Options of `publish`.
#[derive(Debug, Args)]
pub struct PublishArgs {
    /// WHIP endpoint, such as http://127.0.0.1:2020/whip/demo
    #[arg(value_parser = endpoint)]
    pub url: String,
    /// End after so many seconds [default: on SIGINT or SIGTERM]
    #[arg(long, value_parser = whole_number::<u64>(1..=MAX_SECONDS, 60))]
    pub seconds: Option<u64>,
    /// Video codec
    #[arg(long, value_enum, default_value = "vp8")]
    pub video: Video,
    /// Send no sound
    #[arg(long)]
    pub no_audio: bool,
    /// Video frames a second
    #[arg(long, default_value_t = 30, value_parser = whole_number::<u32>(1..=240, 30))]
    pub fps: u32,
    /// Video bitrate [kbit/s]
    #[arg(long, default_value_t = 1150, value_parser = whole_number::<u32>(10..=100_000, 1150))]
    pub kbps: u32,
    /// A key frame at least every so many seconds [default: on request only]
    #[arg(long, value_parser = whole_number::<u64>(1..=MAX_SECONDS, 2))]
    pub key_frame_seconds: Option<u64>,
    /// Local port of the media socket [default: one that the system chooses]
    #[arg(long, default_value_t = 0, hide_default_value = true)]
    pub port: u16,
    #[command(flatten)]
    pub peer: PeerArgs,
}

/// Options of `race`.
#[derive(Debug, Args)]
pub struct RaceArgs {
    /// WHIP listener of a node, such as http://127.0.0.1:3001; two at least
    #[arg(long = "node", value_name = "URL", required = true, value_parser = base_url)]
    pub nodes: Vec<String>,
    /// Where the viewer of each race asks, such as http://127.0.0.1:2020
    #[arg(long, value_name = "URL", value_parser = base_url)]
    pub watch: String,
    /// How many races
    #[arg(long, default_value_t = 100, value_parser = whole_number::<u32>(1..=100_000, 100))]
    pub rounds: u32,
    /// The second publisher starts at most so many milliseconds after the first
    #[arg(long, default_value_t = 20, value_parser = whole_number::<u64>(0..=10_000, 20))]
    pub spread_ms: u64,
    /// Where nodes, delays and names come from; the same gives the same
    #[arg(long, default_value_t = 1, value_parser = whole_number::<u64>(0..=u64::MAX, 1))]
    pub seed: u64,
}

/// Options of `churn`.
#[derive(Debug, Args)]
pub struct ChurnArgs {
    /// Base URL of the WHIP listener to publish to, such as http://127.0.0.1:3001
    #[arg(long, value_name = "URL", value_parser = base_url)]
    pub publish: String,
    /// Base URL of the WHEP listener to play from; another node's, or the same
    #[arg(long, value_name = "URL", value_parser = base_url)]
    pub watch: String,
    /// How many rounds
    #[arg(long, default_value_t = 100, value_parser = whole_number::<u32>(1..=100_000, 100))]
    pub rounds: u32,
    /// How many rounds run side by side
    #[arg(long, default_value_t = 4, value_parser = whole_number::<u32>(1..=100, 4))]
    pub at_once: u32,
    /// First part of the streams' names
    #[arg(long, default_value = "churn")]
    pub name: String,
}

/// Options of `watch`.
#[derive(Debug, Args)]
pub struct WatchArgs {
    /// WHEP endpoint, such as http://127.0.0.1:2020/whep/demo
    #[arg(value_parser = endpoint)]
    pub url: String,
    /// End after so many seconds [default: on SIGINT or SIGTERM]
    #[arg(long, value_parser = whole_number::<u64>(1..=MAX_SECONDS, 60))]
    pub seconds: Option<u64>,
    /// One JSON object a line instead of text
    #[arg(long)]
    pub json: bool,
    /// Viewers in this process; counters are sums
    #[arg(long, default_value_t = 1, value_parser = whole_number::<u32>(1..=2000, 1))]
    pub viewers: u32,
    /// When a session ends, open the next one at this endpoint, as a player does, and tell how long it took
    #[arg(long, value_name = "URL", value_parser = endpoint)]
    pub again: Option<String>,
    /// Watch sound only
    #[arg(long)]
    pub no_video: bool,
    /// Watch video only
    #[arg(long)]
    pub no_audio: bool,
    /// Offer header extensions under a browser's ids instead of mediasoup's
    #[arg(long)]
    pub browser_extensions: bool,
    #[command(flatten)]
    pub peer: PeerArgs,
}

/// What both peers take.
#[derive(Debug, Args)]
pub struct PeerArgs {
    /// Bearer token
    #[arg(long, env = "SFU_BENCH_TOKEN", hide_env_values = true)]
    pub token: Option<String>,
    /// Local address of the media socket; the server must be able to reach it
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST), value_parser = ip_address)]
    pub bind: IpAddr,
    /// Try again for so many seconds while the server answers 409 or 503
    #[arg(long, default_value_t = 0, value_parser = whole_number::<u64>(0..=MAX_SECONDS, 10))]
    pub retry_seconds: u64,
    /// Leave without a DELETE, as a closed browser page does
    #[arg(long)]
    pub no_delete: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Video {
    Vp8,
    H264,
    None,
}

impl Video {
    pub fn codec(self) -> Option<Codec> {
        match self {
            Self::Vp8 => Some(Codec::Vp8),
            Self::H264 => Some(Codec::H264),
            Self::None => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
