//! Many viewers at once on a node that lacks the stream: one flight over the link serves them all.

use super::RunError;
use super::system::{Cluster, SystemOptions};
use crate::output::{Machine, Report, Row, progress};
use crate::peer::{Publisher, PublisherOptions, Retry, Viewer, ViewerOptions};
use clap::Args;
use futures::future::try_join_all;
use sfumato_admin_api::program::option_values::whole_number;
use std::time::Duration;

/// For a connection and the first frames.
const SOON: Duration = Duration::from_secs(20);

/// Options of `joins`.
#[derive(Debug, Clone, Args)]
pub struct JoinsArgs {
    /// Viewers that join one stream, spread evenly over a second
    #[arg(long, default_value_t = 10, value_parser = whole_number::<u32>(1..=200, 10))]
    pub viewers: u32,
    /// Streams, each new, so that the node does not relay it
    #[arg(long, default_value_t = 10, value_parser = whole_number::<u32>(1..=200, 10))]
    pub streams: u32,
    /// mediasoup workers of each node
    #[arg(long, default_value_t = 1, value_parser = whole_number::<u16>(1..=8, 1))]
    pub workers: u16,
}

/// Measures.
///
/// # Errors
/// When the cluster cannot be started or frames do not flow.
pub async fn run(args: &JoinsArgs, system: &SystemOptions) -> Result<Vec<Report>, RunError> {
    let cluster = Cluster::start(system, 2, args.workers).await?;
    let measured = all(args, &cluster).await;
    cluster.stop_after(&measured).await;
    Ok(vec![Report {
        benchmark: "joins",
        title: format!("{} viewers join within a second", args.viewers),
        method: "From each viewer's POST to the last packet of its first key frame, on a node that does not carry the stream when \
                 the first one comes; a fresh stream each time."
            .to_owned(),
        machine: Machine::this(),
        rows: vec![Row::new("first key frame", "ms", measured?)],
    }])
}

async fn all(args: &JoinsArgs, cluster: &Cluster) -> Result<Vec<f64>, RunError> {
    let mut samples = Vec::new();
    for stream in 0..args.streams {
        progress(&format!("joins: stream {} of {}", stream + 1, args.streams));
        let whip = format!("{}/whip/join-{stream}", cluster.options.client_url(0));
        let whep = format!("{}/whep/join-{stream}", cluster.options.client_url(1));
        let publisher = Publisher::start(&whip, PublisherOptions::default()).await?;
        publisher.wait_for("sent frames", SOON, |r| r.frames > 5).await?;
        let gap = Duration::from_secs(1) / args.viewers;
        let whep = whep.as_str();
        let joins = (0..args.viewers).map(|n| async move {
            tokio::time::sleep(gap * n).await;
            let options = ViewerOptions {
                retry: Retry::For(SOON),
                ..ViewerOptions::default()
            };
            let viewer = Viewer::start(whep, options).await?;
            let report = viewer.wait_for("first key frame", SOON, |r| r.key_frames() > 0).await?;
            viewer.stop().await?;
            Ok::<_, RunError>(report.video.and_then(|v| v.first_key_frame_ms))
        });
        samples.extend(try_join_all(joins).await?.into_iter().flatten());
        publisher.stop().await?;
    }
    Ok(samples)
}
