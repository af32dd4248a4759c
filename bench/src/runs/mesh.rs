//! How fast the mesh comes to be: all pairs at once, against one pair after another.

use super::system::{Nodes, SystemOptions, node_name};
use super::{Repeat, RunError};
use crate::figures::millis;
use crate::output::{Machine, Report, Row};
use clap::Args;
use sfumato_admin_api::program::option_values::whole_number;
use sfumato_admin_api::types::NodeReport;
use sfumato_mesh::{Budget, DriveOptions, MeshOptions, MeshSnapshot, MeshTask, Target};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// A mesh that takes longer than this is broken.
const WHOLE_WITHIN: Duration = Duration::from_secs(60);

/// Options of `mesh`.
#[derive(Debug, Clone, Args)]
pub struct MeshArgs {
    /// Nodes; a list is measured one size after another
    #[arg(long, value_delimiter = ',', default_values_t = [3, 10], value_parser = whole_number::<u16>(2..=32, 3))]
    pub nodes: Vec<u16>,
    /// mediasoup workers of each node; as many lanes cross between each two
    #[arg(long, default_value_t = 1, value_parser = whole_number::<u16>(1..=8, 1))]
    pub workers: u16,
    #[command(flatten)]
    pub repeat: Repeat,
}

/// What one mesh took.
#[derive(Debug, Clone, Copy)]
pub(super) struct Took {
    /// Until every node had reported all its links with their other ends.
    connected: Duration,
    /// Until every link was fresh at both ends.
    fresh: Duration,
}

/// Measures.
///
/// # Errors
/// When nodes cannot be started, or a mesh does not come to be.
pub async fn run(args: &MeshArgs, system: &SystemOptions) -> Result<Vec<Report>, RunError> {
    let mut reports = Vec::new();
    for &nodes in &args.nodes {
        reports.push(size(nodes, args, system).await?);
    }
    Ok(reports)
}

async fn size(nodes: u16, args: &MeshArgs, system: &SystemOptions) -> Result<Report, RunError> {
    let (mut at_once, mut sequential) = (Vec::new(), Vec::new());
    for _ in args.repeat.each(&format!("mesh of {nodes}")) {
        // Taken in turn, each with fresh nodes: what else the machine does falls on both alike.
        at_once.push(build(nodes, args.workers, DriveOptions::default(), system).await?);
        sequential.push(
            build(
                nodes,
                args.workers,
                DriveOptions {
                    concurrency: 1,
                    ..DriveOptions::default()
                },
                system,
            )
            .await?,
        );
    }
    let all = |took: &[Took], of: fn(&Took) -> Duration| took.iter().map(|t| millis(of(t))).collect::<Vec<_>>();
    let ratios = |of: fn(&Took) -> Duration| {
        at_once
            .iter()
            .zip(&sequential)
            .map(|(a, s)| of(s).as_secs_f64() / of(a).as_secs_f64())
            .collect::<Vec<_>>()
    };
    let pairs = u32::from(nodes) * u32::from(nodes - 1) / 2;
    Ok(Report {
        benchmark: "mesh",
        title: format!("Mesh of {nodes} nodes ({pairs} pairs, {} lane each)", args.workers),
        method: "From the moment when all nodes are ready; fresh nodes for each run. Connected: each node reports every link with \
                 its other end. Fresh: both ends have heard a beat that echoes one of their own."
            .to_owned(),
        machine: Machine::this(),
        rows: vec![
            Row::new("all at once: connected", "ms", all(&at_once, |t| t.connected)),
            Row::new("all at once: fresh", "ms", all(&at_once, |t| t.fresh)),
            Row::new("one after another: connected", "ms", all(&sequential, |t| t.connected)),
            Row::new("one after another: fresh", "ms", all(&sequential, |t| t.fresh)),
            Row::new("ratio: connected", "x", ratios(|t| t.connected)),
            Row::new("ratio: fresh", "x", ratios(|t| t.fresh)),
        ],
    })
}

async fn build(count: u16, workers: u16, drive: DriveOptions, system: &SystemOptions) -> Result<Took, RunError> {
    let nodes = Nodes::start(system, count, workers).await?;
    let took = connect(&nodes, drive).await;
    nodes.stop_after(&took).await;
    took
}

/// Builds the mesh of nodes that have no links yet; nobody looks after it afterwards.
pub(super) async fn connect(nodes: &Nodes, drive: DriveOptions) -> Result<Took, RunError> {
    let count = nodes.count();
    let target = |node: u16| Target {
        name: node_name(node),
        admin_url: nodes.options.admin_url(node),
        uid: nodes.pid(node).to_string(),
    };
    let started = Instant::now();
    // Kept to the end: the task ends with the sender of its targets.
    let (_members, targets) = watch::channel(Some((0..count).map(target).collect()));
    let options = MeshOptions {
        drive,
        ..MeshOptions::default()
    };
    let mut mesh = MeshTask::spawn(targets, Arc::new(nodes.admin.clone()), options, &Budget::default());
    let took = tokio::time::timeout(WHOLE_WITHIN, follow(&mut mesh.snapshots, count, started)).await;
    let snapshot = mesh.snapshots.borrow();
    let state = format!("{} of {} pairs", snapshot.established_pairs, snapshot.desired_pairs);
    let late = || RunError::Deadline {
        what: "whole mesh".to_owned(),
        within: WHOLE_WITHIN,
        state,
    };
    took.ok().flatten().ok_or_else(late)
}

async fn follow(snapshots: &mut watch::Receiver<MeshSnapshot>, count: u16, started: Instant) -> Option<Took> {
    let mut connected = None;
    loop {
        {
            let snapshot = snapshots.borrow_and_update();
            let known = snapshot.members.len() == usize::from(count);
            let reports = || snapshot.members.iter().map(|m| m.current());
            if known && connected.is_none() && reports().all(|r| r.is_some_and(|r| is_connected(r, count))) {
                connected = Some(started.elapsed());
            }
            if known && snapshot.is_whole() {
                let fresh = started.elapsed();
                return Some(Took {
                    connected: connected.unwrap_or(fresh),
                    fresh,
                });
            }
        }
        snapshots.changed().await.ok()?;
    }
}

/// Whether this node has a link to every other one, each with its other end.
fn is_connected(report: &NodeReport, count: u16) -> bool {
    let peers: std::collections::BTreeSet<_> = report.links.iter().map(|l| &l.peer).collect();
    peers.len() + 1 == usize::from(count) && report.links.iter().all(|l| l.remote.is_some())
}
