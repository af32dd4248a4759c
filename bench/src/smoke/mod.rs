//! A smoke test of a running cluster: one generated stream, published on one node and watched on every one.
//!
//! It asks only the front door: for the nodes (`nodes`), and to open each session on a certain node.

mod nodes;

use crate::output;
use crate::peer::{PeerError, Publisher, PublisherOptions, Retry, Viewer, ViewerOptions, ViewerReport, client};
use nodes::Cluster;
use reqwest::{StatusCode, Url};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};
use tokio::net::{UdpSocket, lookup_host};

/// Time that one answer of the front door may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// How often a front door is asked that does not know every node yet.
const ASK_EVERY: Duration = Duration::from_millis(500);
/// How long a session may take to connect.
const CONNECT_WITHIN: Duration = Duration::from_secs(15);

/// What is tried.
#[derive(Debug, Clone)]
pub struct SmokeOptions {
    /// The front door.
    pub door: Url,
    /// Name to publish by.
    pub stream: String,
    /// Bearer token.
    pub token: Option<String>,
    /// Local address of the media sockets; by default the one from which the front door is reached.
    pub bind: Option<IpAddr>,
    /// Fewest nodes.
    pub nodes: usize,
    /// Frames to count on each node.
    pub frames: u64,
    /// How long the cluster may take until all nodes are up, and then each node until it has shown the frames.
    pub within: Duration,
}

/// Why a cluster has not passed; the text is a sentence for whoever runs it.
#[derive(Debug, thiserror::Error)]
pub enum SmokeError {
    /// The front door or the nodes behind it are not as they must be.
    #[error("the cluster was not ready within {within:?}: {missing}")]
    NotReady {
        /// How long it had.
        within: Duration,
        /// What it lacks.
        missing: String,
    },
    /// The front door gives the list of nodes to nobody without a token, or to nobody with this one.
    #[error(
        "{url} was answered with {status}: this cluster asks for tokens. Give --secret-file with the secret that tokens are signed with, \
         or --token-file with a token that may observe, and publish and play `{stream}`"
    )]
    Token {
        /// What was asked.
        url: String,
        /// The answer.
        status: StatusCode,
        /// What is to be published.
        stream: String,
    },
    /// Nothing was published.
    #[error("node {node} takes no publisher: {source}")]
    Publisher {
        /// The node.
        node: String,
        /// What went wrong.
        source: PeerError,
    },
    /// There is no way to the front door.
    #[error(
        "the front door's address cannot be found: {source}; check --door, and --bind where the machine has no way there"
    )]
    Address {
        /// What the system says.
        #[from]
        source: std::io::Error,
    },
    /// Some nodes do not play.
    #[error("{} of {all} nodes did not show the stream: {}", .failed.len(), .failed.join(", "))]
    Silent {
        /// Their names.
        failed: Vec<String>,
        /// How many were tried.
        all: usize,
    },
}

/// Publishes on the first node, and watches on all of them; says node by node what has come.
///
/// # Errors
/// When a node is missing or shows no frames.
pub async fn run(options: &SmokeOptions) -> Result<(), SmokeError> {
    let bind = match options.bind {
        Some(bind) => bind,
        None => address_towards(&options.door).await?,
    };
    let names = all_nodes(options).await?;
    let first = &names[0];
    let failed = |source| SmokeError::Publisher {
        node: first.clone(),
        source,
    };
    let publisher = PublisherOptions {
        token: options.token.clone(),
        bind,
        retry: Retry::For(CONNECT_WITHIN),
        ..PublisherOptions::default()
    };
    let publisher = Publisher::start(&endpoint(options, "whip", first), publisher)
        .await
        .map_err(failed)?;
    publisher.connected(CONNECT_WITHIN).await.map_err(failed)?;
    say(&format!("published `{}` on {first}", options.stream));
    let seen = futures::future::join_all(names.iter().map(|name| watch(options, bind, name))).await;
    let mut silent = Vec::new();
    for (name, seen) in names.iter().zip(seen) {
        match seen {
            Ok(report) => say(&format!("{name}: {}", counted(&report))),
            Err(error) => {
                say(&format!("{name}: FAILED: {error}"));
                silent.push(name.clone());
            }
        }
    }
    let ended = publisher.stop().await;
    if !silent.is_empty() {
        return Err(SmokeError::Silent {
            failed: silent,
            all: names.len(),
        });
    }
    ended.map_err(failed)?;
    say(&format!(
        "passed: every node of {} shows what {first} takes in",
        names.len()
    ));
    Ok(())
}

/// Waits until the front door knows all nodes, and all of them take sessions.
async fn all_nodes(options: &SmokeOptions) -> Result<Vec<String>, SmokeError> {
    let url = format!("{}api/v1/cluster", options.door);
    let last = Instant::now() + options.within;
    loop {
        let missing = match ask(&url, options).await? {
            Ok(cluster) => match cluster.usable(options.nodes) {
                Ok(names) => return Ok(names),
                Err(missing) => missing,
            },
            Err(why) => why,
        };
        if Instant::now() + ASK_EVERY > last {
            return Err(SmokeError::NotReady {
                within: options.within,
                missing,
            });
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
}

/// The cluster, or why it could not be had this time.
async fn ask(url: &str, options: &SmokeOptions) -> Result<Result<Cluster, String>, SmokeError> {
    let mut request = client().get(url).timeout(ANSWER_WITHIN);
    if let Some(token) = &options.token {
        request = request.bearer_auth(token);
    }
    let answer = match request.send().await {
        Ok(answer) => answer,
        Err(error) => return Ok(Err(format!("the front door does not answer: {error}"))),
    };
    match answer.status() {
        status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => Err(SmokeError::Token {
            url: url.to_owned(),
            status,
            stream: options.stream.clone(),
        }),
        status if !status.is_success() => Ok(Err(format!("{url} was answered with {status}"))),
        _ => Ok(answer
            .json()
            .await
            .map_err(|error| format!("the answer of {url} is no cluster: {error}; is this its front door?"))),
    }
}

async fn watch(options: &SmokeOptions, bind: IpAddr, node: &str) -> Result<ViewerReport, PeerError> {
    let viewer = ViewerOptions {
        token: options.token.clone(),
        bind,
        retry: Retry::For(options.within),
        ..ViewerOptions::default()
    };
    let viewer = Viewer::start(&endpoint(options, "whep", node), viewer).await?;
    let enough = |report: &ViewerReport| report.frames() >= options.frames && report.key_frames() > 0;
    let seen = viewer.wait_for("frames", options.within, enough).await?;
    viewer.stop().await?;
    Ok(seen)
}

fn endpoint(options: &SmokeOptions, protocol: &str, node: &str) -> String {
    format!("{}{protocol}/{}?node={node}", options.door, options.stream)
}

fn counted(report: &ViewerReport) -> String {
    format!(
        "{} frames, {} of them key frames, {} packets, {} lost; connected after {:.0} ms",
        report.frames(),
        report.key_frames(),
        report.packets(),
        report.lost(),
        report.connected_ms.unwrap_or_default()
    )
}

/// The address of this machine from which the front door is reached. Nothing is sent for that.
async fn address_towards(door: &Url) -> Result<IpAddr, std::io::Error> {
    let host = door.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let port = door.port_or_known_default().unwrap_or_default();
    let nobody = || std::io::Error::other(format!("{host} has no address"));
    let door = lookup_host((host, port)).await?.next().ok_or_else(nobody)?;
    let any: SocketAddr = if door.is_ipv4() {
        ([0; 4], 0).into()
    } else {
        ([0; 16], 0).into()
    };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(door).await?;
    Ok(socket.local_addr()?.ip())
}

/// Whoever started this may have stopped reading; the exit code tells all the same.
fn say(text: &str) {
    let _ = output::line(text);
}
