//! Viewers come and go for a while on the stream's own node and on another one: afterwards the workers hold what they held
//! before, and memory does not climb.

use super::process::resident_kib;
use super::system::{Cluster, SystemOptions};
use super::{RunError, poll};
use crate::output::{Machine, Report, Row, progress};
use crate::peer::{HeaderExtensions, Publisher, PublisherOptions, Retry, Viewer, ViewerOptions};
use clap::Args;
use futures::future::try_join_all;
use sfumato_admin_api::program::option_values::whole_number;
use sfumato_admin_api::types::Objects;
use std::time::{Duration, Instant};

/// For a connection and the first frames.
const SOON: Duration = Duration::from_secs(20);
/// After the last viewer: sessions that left without DELETE, fan-out and idle routers have their own timeouts, of 15 to 30 s.
const SETTLED_WITHIN: Duration = Duration::from_secs(120);
/// Memory is read this often.
const SAMPLE_EVERY: Duration = Duration::from_secs(2);
/// A viewer stays this long at least, and up to three times as long.
const SHORTEST_STAY: Duration = Duration::from_secs(2);

/// Options of `soak`.
#[derive(Debug, Clone, Args)]
pub struct SoakArgs {
    /// Minutes of viewers coming and going
    #[arg(long, default_value_t = 10, value_parser = whole_number::<u32>(1..=1440, 10))]
    pub minutes: u32,
    /// Minutes at the end over which the slope of memory is taken
    #[arg(long, default_value_t = 5, value_parser = whole_number::<u32>(1..=1440, 5))]
    pub slope_minutes: u32,
    /// Viewers at a time
    #[arg(long, default_value_t = 12, value_parser = whole_number::<u32>(1..=500, 12))]
    pub viewers: u32,
}

/// Memory of one node at one moment.
#[derive(Debug, Clone, Copy)]
struct Sample {
    minutes: f64,
    mib: f64,
}

/// Measures.
///
/// # Errors
/// When the cluster cannot be started, frames do not flow, or something stays behind.
pub async fn run(args: &SoakArgs, system: &SystemOptions) -> Result<Vec<Report>, RunError> {
    let cluster = Cluster::start(system, 2, 1).await?;
    let measured = soak(args, &cluster).await;
    cluster.stop_after(&measured).await;
    let (sessions, memory) = measured?;
    let rows = memory.iter().zip(["origin", "other node"]).flat_map(|(samples, node)| {
        let end = samples.last().map_or(0.0, |s| s.minutes);
        let last: Vec<Sample> = samples
            .iter()
            .copied()
            .filter(|s| s.minutes >= end - f64::from(args.slope_minutes))
            .collect();
        [
            Row::new(
                format!("{node}: resident memory"),
                "MiB",
                samples.iter().map(|s| s.mib).collect(),
            ),
            Row::new(
                format!("{node}: slope of its last part"),
                "MiB/min",
                slope(&last).into_iter().collect(),
            ),
        ]
    });
    let mut rows: Vec<Row> = rows.collect();
    rows.push(Row::new("viewers that came and went", "", vec![sessions as f64]));
    Ok(vec![Report {
        benchmark: "soak",
        title: format!("{} minutes of viewers coming and going", args.minutes),
        method: format!(
            "Two nodes, one stream, {} viewers at a time on both nodes, each for 2 to 6 s, every third one leaving without DELETE and \
             every second one with a browser's extension ids. Afterwards the workers of both nodes held the same numbers of routers, \
             transports, producers and consumers as before (the run fails otherwise). Slope: least squares over the last {} minutes.",
            args.viewers, args.slope_minutes
        ),
        machine: Machine::this(),
        rows,
    }])
}

async fn soak(args: &SoakArgs, cluster: &Cluster) -> Result<(u64, [Vec<Sample>; 2]), RunError> {
    let whip = format!("{}/whip/soak", cluster.options.client_url(0));
    let publisher = Publisher::start(&whip, PublisherOptions::default()).await?;
    publisher.wait_for("sent frames", SOON, |r| r.frames > 5).await?;
    let before = objects(cluster).await?;
    let pids = [cluster.report(0).await?.pid, cluster.report(1).await?.pid];
    let began = Instant::now();
    let over = began + Duration::from_secs(60) * args.minutes;
    let seats = try_join_all((0..args.viewers).map(|seat| come_and_go(cluster, seat, over)));
    let watch = async {
        let mut memory = [Vec::new(), Vec::new()];
        let mut minute = 0;
        while Instant::now() < over {
            tokio::time::sleep(SAMPLE_EVERY).await;
            let minutes = began.elapsed().as_secs_f64() / 60.0;
            for (samples, pid) in memory.iter_mut().zip(pids) {
                let kib = resident_kib(pid).ok_or_else(|| RunError::Usage(format!("process {pid} has ended")))?;
                samples.push(Sample {
                    minutes,
                    mib: kib as f64 / 1024.0,
                });
            }
            if minutes as u32 > minute {
                minute = minutes as u32;
                progress(&format!("soak: minute {minute} of {}", args.minutes));
            }
        }
        Ok::<_, RunError>(memory)
    };
    let (sessions, memory) = tokio::try_join!(seats, watch)?;
    poll(
        "workers as they were before",
        SETTLED_WITHIN,
        Duration::from_secs(1),
        || async {
            let now = objects(cluster).await.map_err(|e| e.to_string())?;
            if now == before {
                Ok(())
            } else {
                Err(format!("before {before:?}, now {now:?}"))
            }
        },
    )
    .await?;
    publisher.stop().await?;
    Ok((sessions.iter().sum(), memory))
}

/// One seat: a viewer after the other until the time is over; how many.
async fn come_and_go(cluster: &Cluster, seat: u32, over: Instant) -> Result<u64, RunError> {
    let mut viewers = 0;
    while Instant::now() < over {
        let turn = viewers + u64::from(seat);
        let node = u16::from(turn.is_multiple_of(2));
        let options = ViewerOptions {
            extensions: if turn % 4 < 2 {
                HeaderExtensions::Mediasoup
            } else {
                HeaderExtensions::Browser
            },
            retry: Retry::For(SOON),
            max_delays: 0,
            ..ViewerOptions::default()
        };
        let viewer = Viewer::start(&format!("{}/whep/soak", cluster.options.client_url(node)), options).await?;
        viewer.wait_for("first key frame", SOON, |r| r.key_frames() > 0).await?;
        // Stays of 1, 1.5, 2, 2.5 and 3 times the shortest, in an order that differs from seat to seat.
        tokio::time::sleep(SHORTEST_STAY.mul_f64(1.0 + (turn * 3 % 5) as f64 / 2.0)).await;
        if turn.is_multiple_of(3) {
            viewer.leave().await;
        } else {
            viewer.stop().await?;
        }
        viewers += 1;
    }
    Ok(viewers)
}

/// What the workers of both nodes hold; links and sessions belong to the cluster and are in it as well.
async fn objects(cluster: &Cluster) -> Result<[Objects; 2], RunError> {
    let urls = [0, 1].map(|node| cluster.options.admin_url(node));
    let (origin, other) = tokio::try_join!(cluster.admin.objects(&urls[0]), cluster.admin.objects(&urls[1]))?;
    Ok([origin, other])
}

/// Least squares, in MiB a minute.
fn slope(samples: &[Sample]) -> Option<f64> {
    let n = samples.len() as f64;
    let mean = |of: fn(&Sample) -> f64| samples.iter().map(of).sum::<f64>() / n;
    let (x, y) = (mean(|s| s.minutes), mean(|s| s.mib));
    let (mut above, mut below) = (0.0, 0.0);
    for sample in samples {
        above += (sample.minutes - x) * (sample.mib - y);
        below += (sample.minutes - x).powi(2);
    }
    (below > 0.0).then_some(above / below)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slope_is_that_of_the_line_through_the_samples() {
        let line = |a: f64| {
            (0..10)
                .map(|n| Sample {
                    minutes: f64::from(n),
                    mib: 30.0 + a * f64::from(n),
                })
                .collect::<Vec<_>>()
        };
        assert!(slope(&line(0.25)).is_some_and(|s| (s - 0.25).abs() < 1e-9));
        assert!(slope(&line(0.0)).is_some_and(|s| s.abs() < 1e-9));
        assert_eq!(slope(&line(1.0)[..1]), None, "one point has no slope");
    }
}
