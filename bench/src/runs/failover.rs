//! What a killed node costs: how soon the survivors know, and how soon the mesh is whole again.

use super::process::{parent_of, signal};
use super::system::{Cluster, SystemOptions, is_whole};
use super::{Repeat, RunError, poll};
use crate::figures::millis;
use crate::output::{Machine, Report, Row};
use clap::Args;
use nix::sys::signal::Signal;
use sfumato_mesh::api::{Incarnation, LinkState, NodeName, NodeReport};
use std::time::{Duration, Instant};

/// How often nodes are asked: the resolution of every figure.
const EVERY: Duration = Duration::from_millis(20);
const WITHIN: Duration = Duration::from_secs(60);
/// The node that is killed, counted from 0.
const VICTIM: u16 = 1;

/// Options of `failover`.
#[derive(Debug, Clone, Args)]
pub struct FailoverArgs {
    /// Nodes of the cluster
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(2..=10))]
    pub nodes: u16,
    /// mediasoup workers of each node
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=8))]
    pub workers: u16,
    #[command(flatten)]
    pub repeat: Repeat,
}

/// When things happened, counted from the kill.
#[derive(Debug, Clone, Copy)]
struct Timeline {
    noticed: Duration,
    ready: Duration,
    whole: Duration,
}

/// Measures.
///
/// # Errors
/// When the cluster cannot be started, or does not heal.
pub async fn run(args: &FailoverArgs, system: &SystemOptions) -> Result<Vec<Report>, RunError> {
    let mut times = Vec::new();
    for _ in args.repeat.each("failover") {
        let cluster = Cluster::start(system, args.nodes, args.workers).await?;
        let timeline = kill_and_follow(&cluster).await;
        cluster.stop_after(&timeline).await;
        times.push(timeline?);
    }
    let all = |of: fn(&Timeline) -> Duration| times.iter().map(|t| millis(of(t))).collect::<Vec<_>>();
    Ok(vec![Report {
        benchmark: "failover",
        title: format!("One of {} nodes is killed", args.nodes),
        method: "kill -9 of one node under `sfu-operator local`; every node is asked every 20 ms. Whole: every pair is fresh at both \
                 ends."
            .to_owned(),
        machine: Machine::this(),
        rows: vec![
            Row::new("kill to stale links at every survivor", "ms", all(|t| t.noticed)),
            Row::new("kill to new process ready", "ms", all(|t| t.ready)),
            Row::new("new process ready to mesh whole", "ms", all(|t| t.whole.saturating_sub(t.ready))),
            Row::new("kill to mesh whole", "ms", all(|t| t.whole)),
        ],
    }])
}

async fn kill_and_follow(cluster: &Cluster) -> Result<Timeline, RunError> {
    let before = cluster.whole(WITHIN).await?;
    let victim = &before[usize::from(VICTIM)];
    let (name, life) = (&victim.node.name, &victim.node.incarnation);
    if parent_of(victim.pid) != Some(cluster.operator_pid()) {
        let why =
            "the node that answers was not started by our operator; is another cluster on these ports?".to_owned();
        return Err(RunError::Signal {
            signal: "SIGKILL",
            pid: victim.pid,
            why,
        });
    }
    let killed = Instant::now();
    signal(victim.pid, Signal::SIGKILL)?;
    let noticed = async {
        for node in (0..cluster.nodes).filter(|n| *n != VICTIM) {
            poll(&format!("stale links at sfu-{}", node + 1), WITHIN, EVERY, || async {
                let report = cluster.report(node).await.map_err(|e| e.to_string())?;
                if has_fresh_link(&report, name, life) {
                    Err("still fresh".to_owned())
                } else {
                    Ok(())
                }
            })
            .await?;
        }
        Ok::<_, RunError>(killed.elapsed())
    };
    let healed = async {
        let back = |report: &NodeReport| report.node.incarnation != *life && report.ready;
        poll("new process", WITHIN, EVERY, || async {
            let report = cluster.report(VICTIM).await.map_err(|e| e.to_string())?;
            if back(&report) {
                Ok(())
            } else {
                Err("not ready yet".to_owned())
            }
        })
        .await?;
        let ready = killed.elapsed();
        poll("whole mesh", WITHIN, EVERY, || async {
            let reports = cluster.whole(Duration::ZERO).await.map_err(|e| e.to_string())?;
            if is_whole(&reports) {
                Ok(())
            } else {
                Err("not whole yet".to_owned())
            }
        })
        .await?;
        Ok::<_, RunError>((ready, killed.elapsed()))
    };
    // Survivors are asked one after another, yet each answer that comes first is remembered by the link itself: a stale
    // link does not become fresh again before its node is back, and then under another life.
    let (noticed, (ready, whole)) = tokio::try_join!(noticed, healed)?;
    Ok(Timeline { noticed, ready, whole })
}

fn has_fresh_link(report: &NodeReport, to: &NodeName, life: &Incarnation) -> bool {
    report
        .links
        .iter()
        .any(|l| l.peer == *to && l.peer_incarnation == *life && l.state == LinkState::Fresh)
}
