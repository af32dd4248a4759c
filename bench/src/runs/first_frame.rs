//! How long a new viewer waits for its first picture.

use super::RunError;
use super::system::{Cluster, SystemOptions};
use crate::output::{Machine, Report, Row, progress};
use crate::peer::{Publisher, PublisherOptions, Retry, Viewer, ViewerOptions, ViewerReport};
use clap::Args;
use sfumato_admin_api::program::option_values::whole_number;
use std::time::Duration;

/// For a connection and the first frames.
const SOON: Duration = Duration::from_secs(20);

/// Options of `first-frame`.
#[derive(Debug, Clone, Args)]
pub struct FirstFrameArgs {
    /// Streams to try; each has a new name, so that no node relays it
    #[arg(long, default_value_t = 30, value_parser = whole_number::<u32>(1..=1000, 30))]
    pub samples: u32,
    /// Video frames a second: a key frame that is asked for leaves in the place of the next frame
    #[arg(long, default_value_t = 30, value_parser = whole_number::<u32>(1..=240, 30))]
    pub fps: u32,
    /// mediasoup workers of each node
    #[arg(long, default_value_t = 1, value_parser = whole_number::<u16>(1..=8, 1))]
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
        method: format!(
            "From the viewer's POST to the last packet of its first key frame. A fresh stream for each sample, published on one \
             node; then one viewer on the other node, which does not carry the stream yet, or on the same node, in turn. The \
             publisher's own wait for its next frame, 0 to {:.0} ms spread evenly, is in it. Connected: ICE and DTLS are done.",
            1000.0 / f64::from(args.fps)
        ),
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
    for sample in 0..args.samples {
        if sample % 10 == 0 {
            progress(&format!("first-frame: stream {} of {}", sample + 1, args.samples));
        }
        let pause = Duration::from_secs(1).mul_f64(phase(sample) / f64::from(args.fps));
        other.push(one(cluster, &format!("first-{sample}-other"), 1, args.fps, pause).await?);
        same.push(one(cluster, &format!("first-{sample}-same"), 0, args.fps, pause).await?);
    }
    Ok((same, other))
}

/// The n-th of a sequence that fills 0 to 1 evenly (multiples of the golden ratio): without it, every viewer would come at the
/// same moment between two frames, and every sample would be the publisher's frame interval.
fn phase(n: u32) -> f64 {
    (f64::from(n) * 0.618_033_988_749_894_9).fract()
}

async fn one(cluster: &Cluster, stream: &str, node: u16, fps: u32, pause: Duration) -> Result<ViewerReport, RunError> {
    let whip = format!("{}/whip/{stream}", cluster.options.client_url(0));
    let options = PublisherOptions {
        frames_per_second: fps,
        ..PublisherOptions::default()
    };
    let publisher = Publisher::start(&whip, options).await?;
    publisher.wait_for("sent frames", SOON, |r| r.frames > 5).await?;
    tokio::time::sleep(pause).await;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn viewers_come_at_every_moment_between_two_frames() {
        let mut phases: Vec<f64> = (0..30).map(phase).collect();
        phases.sort_by(f64::total_cmp);
        assert!(
            phases.windows(2).all(|w| w[1] - w[0] < 0.06) && phases[29] > 0.94,
            "{phases:?}"
        );
    }
}
