//! How long a new viewer waits for its first picture.

use super::RunError;
use super::system::{Cluster, SystemOptions};
use crate::output::{Machine, Report, Row, progress};
use crate::peer::{Publisher, PublisherOptions, Retry, Viewer, ViewerOptions, ViewerReport};
use clap::Args;
use std::time::Duration;

/// For a connection and the first frames.
const SOON: Duration = Duration::from_secs(20);

/// Options of `first-frame`.
#[derive(Debug, Clone, Args)]
pub struct FirstFrameArgs {
    /// Streams to try; each has a fresh name, so that no node carries it
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub samples: u32,
    /// mediasoup workers of each node
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=8))]
    pub workers: u16,
}

/// Measures.
///
/// # Errors
/// When the cluster cannot be started or frames do not flow.
pub async fn run(args: &FirstFrameArgs, system: &SystemOptions) -> Result<Vec<Report>, RunError> {
    let cluster = Cluster::start(system, 2, args.workers).await?;
    let measured = all(args, &cluster).await;
    cluster.stop_after(&measured).await;
    let (same, other) = measured?;
    let first = |reports: &[ViewerReport]| {
        reports
            .iter()
            .filter_map(|r| r.video.as_ref()?.first_key_frame_ms)
            .collect::<Vec<_>>()
    };
    let connected = |reports: &[ViewerReport]| reports.iter().filter_map(|r| r.connected_ms).collect::<Vec<_>>();
    Ok(vec![Report {
        benchmark: "first-frame",
        title: "First picture of a new viewer".to_owned(),
        method: "From the viewer's POST to the last packet of its first key frame. A fresh stream for each sample, published on \
                 one node; then one viewer on the other node, which does not carry the stream yet, or on the same node, in turn. \
                 Connected: ICE and DTLS are done."
            .to_owned(),
        machine: Machine::this(),
        rows: vec![
            Row::new("another node: first key frame", "ms", first(&other)),
            Row::new("another node: connected", "ms", connected(&other)),
            Row::new("same node: first key frame", "ms", first(&same)),
            Row::new("same node: connected", "ms", connected(&same)),
        ],
    }])
}

async fn all(args: &FirstFrameArgs, cluster: &Cluster) -> Result<(Vec<ViewerReport>, Vec<ViewerReport>), RunError> {
    let (mut same, mut other) = (Vec::new(), Vec::new());
    for sample in 1..=args.samples {
        if sample % 10 == 1 {
            progress(&format!("first-frame: stream {sample} of {}", args.samples));
        }
        other.push(one(cluster, &format!("first-{sample}-other"), 1).await?);
        same.push(one(cluster, &format!("first-{sample}-same"), 0).await?);
    }
    Ok((same, other))
}

async fn one(cluster: &Cluster, stream: &str, node: u16) -> Result<ViewerReport, RunError> {
    let whip = format!("{}/whip/{stream}", cluster.options.client_url(0));
    let publisher = Publisher::start(&whip, PublisherOptions::default()).await?;
    publisher.wait_for("sent frames", SOON, |r| r.frames > 5).await?;
    let options = ViewerOptions {
        retry: Retry::For(SOON),
        ..ViewerOptions::default()
    };
    let viewer = Viewer::start(&format!("{}/whep/{stream}", cluster.options.client_url(node)), options).await?;
    let report = viewer.wait_for("first key frame", SOON, |r| r.key_frames() > 0).await?;
    viewer.stop().await?;
    publisher.stop().await?;
    Ok(report)
}
