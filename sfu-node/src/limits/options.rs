//! Options about how much of a node clients may use.

use clap::Args;
use sfumato_admin_api::program::option_values::whole_number;
use sfumato_admin_api::server::client_address::Networks;

/// How much clients may use. Beyond a limit the answer is 503, or 429 for too many requests, with Retry-After.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Limits")]
pub struct LimitOptions {
    /// Most sessions of this node, publishers and viewers together
    #[arg(long, env = "SFUMATO_MAX_SESSIONS", value_name = "N", default_value_t = 2000, value_parser = whole_number::<u32>(1..=100_000, 2000))]
    pub max_sessions: u32,
    /// Most sessions that were answered and are not connected yet; they end after 15 s
    #[arg(long, env = "SFUMATO_MAX_HALF_OPEN", value_name = "N", default_value_t = 500, value_parser = whole_number::<u32>(1..=100_000, 500))]
    pub max_half_open: u32,
    /// Most viewers of one stream on this node
    #[arg(long, env = "SFUMATO_MAX_VIEWERS_PER_STREAM", value_name = "N", default_value_t = 1500, value_parser = whole_number::<u32>(1..=100_000, 1500))]
    pub max_viewers_per_stream: u32,
    /// Bitrate that publishers are asked to keep to [kbit/s]. One that sends more than twice as much for 10 s is cut off
    #[arg(long, env = "SFUMATO_MAX_PUBLISHER_BITRATE", value_name = "KBIT/S", default_value_t = 20_000, value_parser = whole_number::<u32>(100..=1_000_000, 20_000))]
    pub max_publisher_bitrate: u32,
    /// Most POST, PATCH and DELETE requests a second of one client address (IPv6: of one /64); twice as many may come at once
    #[arg(long, env = "SFUMATO_MAX_REQUEST_RATE", value_name = "N", default_value_t = 200, value_parser = whole_number::<u32>(1..=100_000, 200))]
    pub max_request_rate: u32,
    /// Most connections of the WHIP and WHEP listeners together. Above half of them, one client address (IPv6: one /64) has at most a
    /// tenth. Each event stream that a front door passes on is one [default: 12448, or twice of --max-sessions and 4096 together, and 256]
    #[arg(long, env = "SFUMATO_MAX_CONNECTIONS", value_name = "N", value_parser = whole_number::<u32>(16..=1_000_000, 12_448))]
    pub max_connections: Option<u32>,
    /// Proxies whose X-Forwarded-For is trusted: addresses or networks, comma separated; 127.0.0.0/8,::1 for one on this
    /// machine. Front doors of this cluster are known by the admin token [none: `-`]
    #[arg(long, env = "SFUMATO_TRUSTED_PROXY", value_name = "NETWORK,...", default_value = "-")]
    pub trusted_proxy: Networks,
    /// Addresses or networks that have no share, comma separated: many people are behind each, as on a campus. They are
    /// bounded by the whole alone [none: `-`]
    #[arg(
        long,
        env = "SFUMATO_TRUSTED_ADDRESS",
        value_name = "NETWORK,...",
        default_value = "-"
    )]
    pub trusted_address: Networks,
}
