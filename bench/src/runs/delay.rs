//! What a link costs a frame: the same frames, seen on their own node and on another one.

use super::system::{Cluster, SystemOptions};
use super::{Repeat, RunError};
use crate::figures::{micros, percentile};
use crate::media::Delay;
use crate::output::{Machine, Report, Row};
use crate::peer::{Publisher, PublisherOptions, Retry, Viewer, ViewerOptions};
use clap::Args;
use std::collections::HashMap;
use std::time::Duration;

/// For a connection and the first frames.
const SOON: Duration = Duration::from_secs(20);

/// Options of `delay`.
#[derive(Debug, Clone, Args)]
pub struct DelayArgs {
    /// Seconds of each run
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=600))]
    pub seconds: u32,
    /// Size of a video frame, in bytes [default: 1.15 Mbit/s in all]
    #[arg(long)]
    pub frame_bytes: Option<usize>,
    /// Video frames a second
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=240))]
    pub fps: u32,
    /// mediasoup workers of each node
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=8))]
    pub workers: u16,
    #[command(flatten)]
    pub repeat: Repeat,
}

/// Samples of one run, in microseconds.
struct Samples {
    same: Vec<f64>,
    other: Vec<f64>,
    /// Frame by frame: on the other node less on the same node.
    added: Vec<f64>,
}

/// Picks one kind of sample.
type Of = fn(&Samples) -> &[f64];

/// Measures.
///
/// # Errors
/// When the cluster cannot be started or frames do not flow.
pub async fn run(args: &DelayArgs, system: &SystemOptions) -> Result<Vec<Report>, RunError> {
    let mut runs = Vec::new();
    for run in args.repeat.each("delay") {
        let cluster = Cluster::start(system, 2, args.workers).await?;
        let samples = once(args, &cluster, &format!("delay-{run}")).await;
        cluster.stop_after(&samples).await;
        runs.push(samples?);
    }
    let of = |samples: Of, q| {
        runs.iter()
            .filter_map(|r| percentile(samples(r), q))
            .collect::<Vec<_>>()
    };
    let difference = |q| {
        runs.iter()
            .filter_map(|r| Some(percentile(&r.other, q)? - percentile(&r.same, q)?))
            .collect::<Vec<_>>()
    };
    let frames = runs.iter().map(|r| r.added.len() as f64).collect();
    let (same, other, added): (Of, Of, Of) = (|s| &s.same, |s| &s.other, |s| &s.added);
    Ok(vec![Report {
        benchmark: "delay",
        title: "One-way delay, publisher to viewer".to_owned(),
        method: "A frame's delay runs from its hand-over to the publisher's socket to the arrival of its last packet at the viewer. \
                 One publisher, one viewer on its node and one on another node at the same time; both see the same frames. Each \
                 sample is one run's percentile."
            .to_owned(),
        machine: Machine::this(),
        rows: vec![
            Row::new("same node: p50", "us", of(same, 0.5)),
            Row::new("same node: p99", "us", of(same, 0.99)),
            Row::new("across one link: p50", "us", of(other, 0.5)),
            Row::new("across one link: p99", "us", of(other, 0.99)),
            Row::new("added by the link: difference of the p50", "us", difference(0.5)),
            Row::new("added by the link: difference of the p99", "us", difference(0.99)),
            Row::new("added by the link, frame by frame: p50", "us", of(added, 0.5)),
            Row::new("added by the link, frame by frame: p99", "us", of(added, 0.99)),
            Row::new("frames seen by both viewers", "", frames),
        ],
    }])
}

async fn once(args: &DelayArgs, cluster: &Cluster, stream: &str) -> Result<Samples, RunError> {
    let defaults = PublisherOptions::default();
    let options = PublisherOptions {
        frames_per_second: args.fps,
        frame_bytes: args.frame_bytes.unwrap_or(1_150_000 / 8 / args.fps as usize),
        // Key frames of the size of any other: a sample must not depend on whether it was one.
        key_frame_bytes: args.frame_bytes.unwrap_or(1_150_000 / 8 / args.fps as usize),
        audio: false,
        ..defaults
    };
    let publisher = Publisher::start(&format!("{}/whip/{stream}", cluster.options.client_url(0)), options).await?;
    publisher.wait_for("sent frames", SOON, |r| r.frames > 0).await?;
    let viewer = |node| {
        let options = ViewerOptions {
            audio: false,
            retry: Retry::For(SOON),
            ..ViewerOptions::default()
        };
        let url = format!("{}/whep/{stream}", cluster.options.client_url(node));
        async move { Viewer::start(&url, options).await }
    };
    let (same, other) = (viewer(0).await?, viewer(1).await?);
    // Warm: the first second of both is not counted.
    for viewer in [&same, &other] {
        viewer
            .wait_for("frames", SOON, |r| r.frames() > u64::from(args.fps))
            .await?;
    }
    drop((same.take_video_delays(), other.take_video_delays()));
    tokio::time::sleep(Duration::from_secs(args.seconds.into())).await;
    let (at_same, at_other) = (same.take_video_delays(), other.take_video_delays());
    for viewer in [same, other] {
        viewer.stop().await?;
    }
    publisher.stop().await?;
    Ok(paired(&at_same, &at_other))
}

fn paired(same: &[Delay], other: &[Delay]) -> Samples {
    let of_frame: HashMap<u64, Duration> = same.iter().map(|d| (d.frame, d.delay)).collect();
    let added = other
        .iter()
        .filter_map(|d| Some(micros(d.delay) - micros(*of_frame.get(&d.frame)?)))
        .collect();
    let all = |delays: &[Delay]| delays.iter().map(|d| micros(d.delay)).collect();
    Samples {
        same: all(same),
        other: all(other),
        added,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_compared_with_themselves() {
        let delay = |frame, us| Delay {
            frame,
            delay: Duration::from_micros(us),
        };
        let samples = paired(&[delay(1, 100), delay(2, 500)], &[delay(2, 700), delay(3, 50)]);
        assert_eq!(samples.same, [100.0, 500.0]);
        assert_eq!(samples.other, [700.0, 50.0]);
        assert_eq!(samples.added, [200.0], "only frame 2 was seen by both");
    }
}
