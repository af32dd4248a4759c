//! What a killed node costs: how soon the survivors know, and how soon the mesh is whole again.

use super::mesh::connect;
use super::process::{parent_of, signal};
use super::system::{Cluster, Nodes, SystemOptions};
use super::{Repeat, RunError, poll};
use crate::figures::millis;
use crate::output::{Machine, Report, Row};
use clap::Args;
use nix::sys::signal::Signal;
use sfumato_admin_api::program::option_values::whole_number;
use sfumato_admin_api::types::{Incarnation, LinkState, NodeName, NodeReport};
use sfumato_mesh::DriveOptions;
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
    #[arg(long, default_value_t = 3, value_parser = whole_number::<u16>(2..=10, 3))]
    pub nodes: u16,
    /// mediasoup workers of each node
    #[arg(long, default_value_t = 1, value_parser = whole_number::<u16>(1..=8, 1))]
    pub workers: u16,
    #[command(flatten)]
    pub repeat: Repeat,
}

/// When things happened in a cluster whose operator starts the node again, counted from the kill.
#[derive(Debug, Clone, Copy)]
struct Healed {
    forgotten: Duration,
    ready: Duration,
    whole: Duration,
}

/// Measures.
///
/// # Errors
/// When the cluster cannot be started, or does not heal.
pub async fn run(args: &FailoverArgs, system: &SystemOptions) -> Result<Vec<Report>, RunError> {
    let (mut stale, mut healed) = (Vec::new(), Vec::new());
    for _ in args.repeat.each("failover") {
        let nodes = Nodes::start(system, args.nodes, args.workers).await?;
        let noticed = kill_for_good(&nodes).await;
        nodes.stop_after(&noticed).await;
        stale.push(millis(noticed?));

        let cluster = Cluster::start(system, args.nodes, args.workers).await?;
        let timeline = kill_and_follow(&cluster).await;
        cluster.stop_after(&timeline).await;
        healed.push(timeline?);
    }
    let all = |of: fn(&Healed) -> Duration| healed.iter().map(|t| millis(of(t))).collect::<Vec<_>>();
    Ok(vec![Report {
        benchmark: "failover",
        title: format!("One of {} nodes is killed", args.nodes),
        method: "kill -9 of one node; every node is asked every 20 ms. First among bare nodes where it stays away, then under \
                 `sfu-operator local`, which starts it again. Whole: every pair is fresh at both ends."
            .to_owned(),
        machine: Machine::this(),
        rows: vec![
            Row::new("stays away: kill to stale links at every survivor", "ms", stale),
            Row::new("restarted: kill to no fresh link to the dead life anywhere", "ms", all(|t| t.forgotten)),
            Row::new("restarted: kill to new process ready", "ms", all(|t| t.ready)),
            Row::new("restarted: new process ready to mesh whole", "ms", all(|t| t.whole.saturating_sub(t.ready))),
            Row::new("restarted: kill to mesh whole", "ms", all(|t| t.whole)),
        ],
    }])
}

/// Nobody replaces links here, so what the survivors say is their own finding.
async fn kill_for_good(nodes: &Nodes) -> Result<Duration, RunError> {
    connect(nodes, DriveOptions::default()).await?;
    let life = nodes.report(VICTIM).await?.node;
    let killed = Instant::now();
    signal(nodes.pid(VICTIM), Signal::SIGKILL)?;
    for node in survivors(nodes.count()) {
        let is_stale = |report: &NodeReport| {
            let mut links = report.links.iter().filter(|l| l.peer == life.name).peekable();
            links.peek().is_some() && links.all(|l| l.state != LinkState::Fresh)
        };
        poll(&format!("stale links at sfu-{}", node + 1), WITHIN, EVERY, || async {
            let report = nodes.report(node).await.map_err(|e| e.to_string())?;
            if is_stale(&report) {
                Ok(())
            } else {
                Err("still fresh".to_owned())
            }
        })
        .await?;
    }
    Ok(killed.elapsed())
}

async fn kill_and_follow(cluster: &Cluster) -> Result<Healed, RunError> {
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
    // One after another is exact enough: a link to a dead life never becomes fresh again.
    let forgotten = async {
        for node in survivors(cluster.nodes) {
            poll(&format!("dead links at sfu-{}", node + 1), WITHIN, EVERY, || async {
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
        poll("new process", WITHIN, EVERY, || async {
            let report = cluster.report(VICTIM).await.map_err(|e| e.to_string())?;
            if report.node.incarnation != *life && report.ready {
                Ok(())
            } else {
                Err("not ready yet".to_owned())
            }
        })
        .await?;
        let ready = killed.elapsed();
        cluster.whole(WITHIN).await?;
        Ok::<_, RunError>((ready, killed.elapsed()))
    };
    let (forgotten, (ready, whole)) = tokio::try_join!(forgotten, healed)?;
    Ok(Healed {
        forgotten,
        ready,
        whole,
    })
}

fn survivors(nodes: u16) -> impl Iterator<Item = u16> {
    (0..nodes).filter(|n| *n != VICTIM)
}

fn has_fresh_link(report: &NodeReport, to: &NodeName, life: &Incarnation) -> bool {
    report
        .links
        .iter()
        .any(|l| l.peer == *to && l.peer_incarnation == *life && l.state == LinkState::Fresh)
}
