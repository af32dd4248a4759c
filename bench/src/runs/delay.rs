//! What a link costs a frame: frames watched on their own node and frames watched on another one, in turn.
//!
//! Two streams of the same kind are published on one node, half a frame interval out of step. Each has one viewer: one
//! there, one on the other node. So both kinds are sampled a few milliseconds apart under the same load, and never at the same
//! moment: two viewers of one stream would wait for each other at the node's worker and hide what the link adds.

use super::system::{Cluster, SystemOptions};
use super::{Repeat, RunError};
use crate::figures::{micros, percentile};
use crate::media::Delay;
use crate::output::{Machine, Report, Row};
use crate::peer::{Publisher, PublisherOptions, Retry, Viewer, ViewerOptions};
use clap::Args;
use sfumato_admin_api::program::option_values::whole_number;
use std::time::{Duration, Instant};

/// Largest video frame that can be asked for: some 240 Mbit/s at 30 a second.
const MAX_FRAME_BYTES: usize = 1_000_000;
/// For a connection and the first frames.
const SOON: Duration = Duration::from_secs(20);

/// Options of `delay`.
#[derive(Debug, Clone, Args)]
pub struct DelayArgs {
    /// Seconds of each run
    #[arg(long, default_value_t = 20, value_parser = whole_number::<u32>(1..=600, 20))]
    pub seconds: u32,
    /// Size of every video frame, in bytes [default: 1.15 Mbit/s in all]
    #[arg(long, value_parser = whole_number(1..=MAX_FRAME_BYTES, 5000))]
    pub frame_bytes: Option<usize>,
    /// Video frames a second
    #[arg(long, default_value_t = 30, value_parser = whole_number::<u32>(1..=100, 30))]
    pub fps: u32,
    /// mediasoup workers of each node
    #[arg(long, default_value_t = 1, value_parser = whole_number::<u16>(1..=8, 1))]
    pub workers: u16,
    #[command(flatten)]
    pub repeat: Repeat,
}

impl DelayArgs {
    fn interval(&self) -> Duration {
        Duration::from_secs(1) / self.fps
    }

    fn publisher(&self, grid: Instant) -> PublisherOptions {
        let frame_bytes = self.frame_bytes.unwrap_or(1_150_000 / 8 / self.fps as usize);
        PublisherOptions {
            frames_per_second: self.fps,
            frame_bytes,
            // A sample must not depend on whether it was a key frame.
            key_frame_bytes: frame_bytes,
            frame_grid: Some(grid),
            audio: false,
            ..PublisherOptions::default()
        }
    }
}

/// Samples of one run, in microseconds.
struct Samples {
    same: Vec<f64>,
    other: Vec<f64>,
}

/// Measures.
///
/// # Errors
/// When the cluster cannot be started or frames do not flow.
pub async fn run(args: &DelayArgs, system: &SystemOptions) -> Result<Vec<Report>, RunError> {
    let mut runs = Vec::new();
    for _ in args.repeat.each("delay") {
        let cluster = Cluster::start(system, 2, args.workers).await?;
        let samples = once(args, &cluster).await;
        cluster.stop_after(&samples).await;
        runs.push(samples?);
    }
    let all = |of: &dyn Fn(&Samples) -> Option<f64>| runs.iter().filter_map(of).collect::<Vec<_>>();
    let added = |q| all(&|s| Some(percentile(&s.other, q)? - percentile(&s.same, q)?));
    Ok(vec![Report {
        benchmark: "delay",
        title: "One-way delay, publisher to viewer".to_owned(),
        method: format!(
            "A frame's delay runs from its hand-over to the publisher's engine to the arrival of its last packet at the viewer, \
             all on one machine. Two like streams ({} frames/s of {} bytes) published on one node, half an interval out of step, one \
             watched there and one on another node. Each sample is one run's percentile.",
            args.fps,
            args.publisher(Instant::now()).frame_bytes
        ),
        machine: Machine::this(),
        rows: vec![
            Row::new("same node: p50", "us", all(&|s| percentile(&s.same, 0.5))),
            Row::new("same node: p99", "us", all(&|s| percentile(&s.same, 0.99))),
            Row::new("across one link: p50", "us", all(&|s| percentile(&s.other, 0.5))),
            Row::new("across one link: p99", "us", all(&|s| percentile(&s.other, 0.99))),
            Row::new("added by the link: p50", "us", added(0.5)),
            Row::new("added by the link: p99", "us", added(0.99)),
            Row::new(
                "frames of each kind in a run",
                "",
                all(&|s| Some(s.same.len().min(s.other.len()) as f64)),
            ),
        ],
    }])
}

async fn once(args: &DelayArgs, cluster: &Cluster) -> Result<Samples, RunError> {
    let grid = Instant::now();
    let (here, there) = tokio::try_join!(
        Pair::start(args, cluster, "delay-same", 0, grid),
        Pair::start(args, cluster, "delay-other", 1, grid + args.interval() / 2),
    )?;
    // Warm: what came until both had their first second is not counted.
    drop((here.viewer.take_video_delays(), there.viewer.take_video_delays()));
    tokio::time::sleep(Duration::from_secs(args.seconds.into())).await;
    let all = |delays: Vec<Delay>| delays.into_iter().map(|d| micros(d.delay)).collect();
    let samples = Samples {
        same: all(here.viewer.take_video_delays()),
        other: all(there.viewer.take_video_delays()),
    };
    here.stop().await?;
    there.stop().await?;
    Ok(samples)
}

/// A stream that is published on the first node, and its one viewer.
struct Pair {
    publisher: Publisher,
    viewer: Viewer,
}

impl Pair {
    async fn start(
        args: &DelayArgs,
        cluster: &Cluster,
        stream: &str,
        node: u16,
        grid: Instant,
    ) -> Result<Self, RunError> {
        let whip = format!("{}/whip/{stream}", cluster.options.client_url(0));
        let publisher = Publisher::start(&whip, args.publisher(grid)).await?;
        publisher.wait_for("sent frames", SOON, |r| r.frames > 0).await?;
        let whep = format!("{}/whep/{stream}", cluster.options.client_url(node));
        let options = ViewerOptions {
            audio: false,
            retry: Retry::For(SOON),
            ..ViewerOptions::default()
        };
        let viewer = Viewer::start(&whep, options).await?;
        viewer
            .wait_for("frames", SOON, |r| r.frames() > u64::from(args.fps))
            .await?;
        Ok(Self { publisher, viewer })
    }

    async fn stop(self) -> Result<(), RunError> {
        self.viewer.stop().await?;
        Ok(self.publisher.stop().await?)
    }
}
