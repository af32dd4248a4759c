//! One long poll after another at one target: the mesh task's only source of truth about it.

use crate::ends::{Ends, MAX_ENDS_OF_A_LANE};
use crate::target::Target;
use sfumato_admin_api::client::{AdminError, NodeAdmin, time_of};
use sfumato_admin_api::types::NodeReport;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// How long a long poll asks the node to wait for news.
pub const POLL_WAIT: Duration = Duration::from_secs(20);
/// Shortest time between two polls of one target, so that a burst of changes comes as one report.
const POLL_SPACING: Duration = Duration::from_millis(20);
/// How often a node that always has news is asked over time: each answer costs the operator of all clusters.
const POLL_PACE: Duration = Duration::from_millis(200);
/// How fast reports are read over time, in bytes of memory that they take while they are read: a long one is asked for seldom.
const BYTES_A_SECOND: u32 = 2 * 1024 * 1024;
/// How far polling may run ahead of both: a mesh comes about in a few dozen polls.
const AHEAD: Duration = Duration::from_secs(10);
/// First and longest pause between attempts at a target that does not answer. The longest bounds how late a restarted
/// node is noticed; the pauses grow slowly because most restarts are quick.
const FIRST_RETRY: Duration = Duration::from_millis(100);
const LONGEST_RETRY: Duration = Duration::from_secs(1);
const RETRY_GROWTH: f64 = 1.2;

/// News of one target.
#[derive(Debug)]
pub struct News {
    /// Which target, by the number that the mesh task gave this polling: news of an earlier one are ignored.
    pub polling: u64,
    pub what: What,
}

/// What a poll found.
#[derive(Debug)]
pub enum What {
    /// A report, and when it was asked for: it was surely written after that.
    Report {
        report: Arc<NodeReport>,
        /// Streams that are published on it.
        streams: usize,
        /// What it takes in memory, in bytes.
        weight: usize,
        asked: Instant,
    },
    /// No answer, or not that of the node that the target names.
    Silent { why: String },
    /// An answer that cannot be right: over a bound, or of another shape.
    Unusable { why: String },
}

/// Polls until the receiver is gone. Dropping the future stops it.
pub async fn poll(target: Target, polling: u64, admin: Arc<dyn NodeAdmin>, news: mpsc::Sender<News>) {
    let mut after = None;
    let mut known = None;
    let mut retry = FIRST_RETRY;
    let mut pace = Pace(Instant::now());
    loop {
        let asked = Instant::now();
        let mut read = 0;
        let answer = admin.node_report(&target.admin_url, after, POLL_WAIT).await;
        let what = match check(&target, answer) {
            Ok(report) => {
                after = Some(report.revision);
                known = None;
                retry = FIRST_RETRY;
                // The list may be cut to what fits into an answer, and each publication has one publisher.
                let streams = report.publications.len().max(report.publishers as usize);
                read = report.weight();
                let report = thinned(report);
                What::Report {
                    weight: report.weight(),
                    report: Arc::new(report),
                    streams,
                    asked,
                }
            }
            // One broken long poll is no proof (a proxy may have cut it): only a refusal, or a second failure in a row, is.
            Err(Failure { kind: Kind::Broken, .. }) if after.take().is_some() => continue,
            Err(Failure { why, kind }) => {
                after = None;
                let unusable = kind == Kind::Unusable;
                // Told again when another kind of trouble follows: a node that lies is not one that is away.
                let news_to_tell = known.replace(unusable) != Some(unusable);
                if !news_to_tell {
                    tokio::time::sleep(retry).await;
                    retry = retry.mul_f64(RETRY_GROWTH).min(LONGEST_RETRY);
                    continue;
                }
                if unusable {
                    What::Unusable { why }
                } else {
                    What::Silent { why }
                }
            }
        };
        if news.send(News { polling, what }).await.is_err() {
            return;
        }
        tokio::time::sleep_until(pace.next(Instant::now(), read).max(asked + POLL_SPACING)).await;
    }
}

/// When all polls so far would have been made at [`POLL_PACE`] and [`BYTES_A_SECOND`].
struct Pace(Instant);

impl Pace {
    /// When the next poll may be made, after one whose report took so many bytes.
    fn next(&mut self, now: Instant, bytes: usize) -> Instant {
        self.0 = self.0.max(now) + POLL_PACE.max(time_of(bytes, BYTES_A_SECOND));
        self.0.checked_sub(AHEAD).unwrap_or(now)
    }
}

/// The report without what neither the planner nor those who read snapshots need. The operator holds one of each node of all
/// clusters, so what a node can put into one must be little.
fn thinned(report: NodeReport) -> NodeReport {
    NodeReport {
        peers: Vec::new(),
        publications: Vec::new(),
        carried: Vec::new(),
        ..report
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The connection broke, or there was no answer in time.
    Broken,
    /// Nobody listens there, or somebody else.
    Certain,
    /// The node answers, and what it says cannot be used.
    Unusable,
}

struct Failure {
    kind: Kind,
    why: String,
}

/// Addresses are used again: an answer counts only if it comes from the node that the target names.
fn check(target: &Target, answer: Result<NodeReport, AdminError>) -> Result<NodeReport, Failure> {
    match answer {
        Ok(report) if report.node.name == target.name => believable(report),
        Ok(report) => Err(Failure {
            kind: Kind::Certain,
            why: format!(
                "{} answers as {}, not as {}",
                target.admin_url, report.node.name, target.name
            ),
        }),
        Err(error) => Err(Failure {
            kind: kind(&error),
            why: error.to_string(),
        }),
    }
}

/// What is planned of a pair takes time by how many ends there are of each of its lanes.
fn believable(report: NodeReport) -> Result<NodeReport, Failure> {
    let Some((peer, lane, count)) = Ends::of(&report).overfull() else {
        return Ok(report);
    };
    Err(Failure {
        kind: Kind::Unusable,
        why: format!(
            "it reports {count} ends of lane {lane} to {peer}, and {MAX_ENDS_OF_A_LANE} are more than a node can have"
        ),
    })
}

fn kind(error: &AdminError) -> Kind {
    if error.is_unusable() {
        Kind::Unusable
    } else if error.is_refused() {
        Kind::Certain
    } else {
        Kind::Broken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_of_news_is_heard_at_once_and_news_without_end_at_a_pace() {
        // Somewhere after the clock's beginning.
        let begin = Instant::now() + Duration::from_secs(3600);
        let mut pace = Pace(begin);
        let waits: Vec<Duration> = (0..60)
            .map(|_| pace.next(begin, 1_000).saturating_duration_since(begin))
            .collect();
        assert!(waits[..50].iter().all(Duration::is_zero), "{waits:?}");
        assert_eq!(waits[50], POLL_PACE);
        assert_eq!(waits[59], 10 * POLL_PACE);
        // Quiet for as long as that takes, and all of it may come again.
        let later = pace.0;
        assert!((0..50).all(|_| pace.next(later, 1_000) <= later));
    }

    #[test]
    fn a_report_that_takes_much_memory_is_asked_for_seldom() {
        let begin = Instant::now() + Duration::from_secs(3600);
        let mut pace = Pace(begin);
        let waits: Vec<Duration> = (0..10)
            .map(|_| pace.next(begin, 4 << 20).saturating_duration_since(begin))
            .collect();
        assert!(waits[..5].iter().all(Duration::is_zero), "{waits:?}");
        assert_eq!(waits[9] - waits[8], Duration::from_secs(2));
        // Of whatever size.
        let _ = pace.next(begin, usize::MAX);
    }
}
