//! A smoke test of a running cluster: one generated stream, published on one node and watched on every one.
//!
//! It asks only the front door: for the nodes, and to open each session on a certain node.

mod unconnected;

use crate::door::{Door, DoorError};
use crate::output::say;
use crate::peer::{PeerError, Publisher, PublisherOptions, Retry, Viewer, ViewerOptions, ViewerReport};
use std::net::IpAddr;
use std::time::Duration;
use unconnected::unconnected;

/// How long a session may take to connect.
const CONNECT_WITHIN: Duration = Duration::from_secs(15);

/// What is tried.
#[derive(Debug, Clone)]
pub struct SmokeOptions {
    /// The front door, and the stream to publish.
    pub door: Door,
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
    /// The front door, or the nodes behind it.
    #[error(transparent)]
    Door(#[from] DoorError),
    /// Nothing was published.
    #[error("node {node} takes no publisher: {source}")]
    Publisher {
        /// The node.
        node: String,
        /// What went wrong.
        source: PeerError,
    },
    /// The publisher's media did not get to the node.
    #[error("node {node} takes no publisher: {why}")]
    Unconnected {
        /// The node.
        node: String,
        /// Where media was to go, and what to do.
        why: String,
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
    let door = &options.door;
    let bind = match options.bind {
        Some(bind) => bind,
        None => door.reached_from().await?,
    };
    let names = door
        .wait_for(options.within, |cluster| cluster.usable(options.nodes))
        .await?;
    let first = &names[0];
    let failed = |source| SmokeError::Publisher {
        node: first.clone(),
        source,
    };
    let publisher = PublisherOptions {
        token: door.token.clone(),
        bind,
        retry: Retry::For(CONNECT_WITHIN),
        ..PublisherOptions::default()
    };
    let publisher = Publisher::start(&door.endpoint("whip", first), publisher)
        .await
        .map_err(failed)?;
    if let Err(error) = publisher.connected(CONNECT_WITHIN).await {
        let why = unconnected(&error, publisher.candidates(), &door.url);
        // So that whoever looks for the reason finds the name free. What is wrong is told already.
        let _ = publisher.stop().await;
        return Err(SmokeError::Unconnected {
            node: first.clone(),
            why,
        });
    }
    say(&format!("published `{}` on {first}", door.stream));
    let seen = futures::future::join_all(names.iter().map(|name| watch(options, bind, name))).await;
    let mut silent = Vec::new();
    for (name, seen) in names.iter().zip(seen) {
        match seen {
            Ok(report) => say(&format!("{name}: {}", counted(&report))),
            Err(why) => {
                say(&format!("{name}: FAILED: {why}"));
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

/// Counts frames on one node; on an error says why they did not come.
async fn watch(options: &SmokeOptions, bind: IpAddr, node: &str) -> Result<ViewerReport, String> {
    let viewer = ViewerOptions {
        token: options.door.token.clone(),
        bind,
        retry: Retry::For(options.within),
        ..ViewerOptions::default()
    };
    let text = |error: PeerError| error.to_string();
    let viewer = Viewer::start(&options.door.endpoint("whep", node), viewer)
        .await
        .map_err(text)?;
    let enough = |report: &ViewerReport| report.frames() >= options.frames && report.key_frames() > 0;
    let seen = match viewer.wait_for("frames", options.within, enough).await {
        Ok(seen) => seen,
        Err(error) if viewer.report().connected_ms.is_none() => {
            return Err(unconnected(&error, viewer.candidates(), &options.door.url));
        }
        Err(error) => return Err(text(error)),
    };
    viewer.stop().await.map_err(text)?;
    Ok(seen)
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
