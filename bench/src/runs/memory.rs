//! What an idle node keeps in memory.

use super::process::resident_kib;
use super::system::{Nodes, SystemOptions};
use super::{Repeat, RunError};
use crate::figures::millis;
use crate::output::{Machine, Report, Row};
use clap::Args;
use sfumato_admin_api::program::option_values::whole_number;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Samples a second apart that must agree.
const SETTLED_SAMPLES: usize = 4;
/// How far apart they may be, of the largest.
const SETTLED_WITHIN: f64 = 0.01;
/// No value counts before this.
const AT_LEAST: Duration = Duration::from_secs(10);
/// The last value counts after this, settled or not.
const AT_MOST: Duration = Duration::from_secs(60);

/// Options of `memory`.
#[derive(Debug, Clone, Args)]
pub struct MemoryArgs {
    /// mediasoup workers of the node
    #[arg(long, default_value_t = 1, value_parser = whole_number::<u16>(1..=8, 1))]
    pub workers: u16,
    #[command(flatten)]
    pub repeat: Repeat,
}

/// Measures.
///
/// # Errors
/// When the node cannot be started, or ends.
pub async fn run(args: &MemoryArgs, system: &SystemOptions) -> Result<Vec<Report>, RunError> {
    let (mut resident, mut ready) = (Vec::new(), Vec::new());
    for _ in args.repeat.each("memory") {
        let node = Nodes::start(system, 1, args.workers).await?;
        ready.push(millis(node.ready_after));
        let settled = settled_kib(node.pid(0)).await;
        node.stop_after(&settled).await;
        resident.push(settled? / 1024.0);
    }
    Ok(vec![Report {
        benchmark: "memory",
        title: format!("Idle node with {} worker", args.workers),
        method: "VmRSS of the process without sessions or links, at least 10 s after it was ready, once four samples a second apart \
                 lie within 1 %."
            .to_owned(),
        machine: Machine::this(),
        rows: vec![Row::new("resident memory", "MiB", resident), Row::new("start to ready", "ms", ready)],
    }])
}

async fn settled_kib(pid: u32) -> Result<f64, RunError> {
    let started = Instant::now();
    let mut last = VecDeque::new();
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let kib =
            resident_kib(pid).ok_or_else(|| RunError::Usage(format!("process {pid} has no VmRSS: it has ended")))?;
        last.push_back(kib as f64);
        if last.len() > SETTLED_SAMPLES {
            last.pop_front();
        }
        let age = started.elapsed();
        if age >= AT_MOST || age >= AT_LEAST && is_settled(&last) {
            return Ok(kib as f64);
        }
    }
}

fn is_settled(last: &VecDeque<f64>) -> bool {
    let (min, max) = last
        .iter()
        .fold((f64::MAX, 0_f64), |(min, max), v| (min.min(*v), max.max(*v)));
    last.len() == SETTLED_SAMPLES && max - min <= max * SETTLED_WITHIN
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_settled_when_four_samples_agree() {
        let settled = |values: &[f64]| is_settled(&values.iter().copied().collect());
        assert!(settled(&[100.0, 100.5, 100.2, 100.9]));
        assert!(!settled(&[100.0, 100.5, 100.2]), "too few");
        assert!(!settled(&[100.0, 100.5, 100.2, 103.0]), "still growing");
    }
}
