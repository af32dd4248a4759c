//! One long poll after another at one target: the mesh task's only source of truth about it.

use crate::target::Target;
use sfumato_admin_api::client::{AdminError, NodeAdmin};
use sfumato_admin_api::types::NodeReport;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// How long a long poll asks the node to wait for news.
pub const POLL_WAIT: Duration = Duration::from_secs(20);
/// Shortest time between two polls of one target, so that a burst of changes comes as one report.
const POLL_SPACING: Duration = Duration::from_millis(20);
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
    Report { report: Arc<NodeReport>, asked: Instant },
    /// No answer, or not that of the node that the target names.
    Silent { why: String },
}

/// Polls until the receiver is gone. Dropping the future stops it.
pub async fn poll(target: Target, polling: u64, admin: Arc<dyn NodeAdmin>, news: mpsc::Sender<News>) {
    let mut after = None;
    let mut known_silent = false;
    let mut retry = FIRST_RETRY;
    loop {
        let asked = Instant::now();
        let answer = admin.node_report(&target.admin_url, after, POLL_WAIT).await;
        let what = match check(&target, answer) {
            Ok(report) => {
                after = Some(report.revision);
                known_silent = false;
                retry = FIRST_RETRY;
                What::Report {
                    report: Arc::new(report),
                    asked,
                }
            }
            // One broken long poll is no proof (a proxy may have cut it): only a refusal, or a second failure in a row, is.
            Err(Failure { certain: false, .. }) if after.take().is_some() => continue,
            Err(Failure { why, .. }) => {
                after = None;
                let news_to_tell = !std::mem::replace(&mut known_silent, true);
                if !news_to_tell {
                    tokio::time::sleep(retry).await;
                    retry = retry.mul_f64(RETRY_GROWTH).min(LONGEST_RETRY);
                    continue;
                }
                What::Silent { why }
            }
        };
        if news.send(News { polling, what }).await.is_err() {
            return;
        }
        tokio::time::sleep_until(asked + POLL_SPACING).await;
    }
}

struct Failure {
    certain: bool,
    why: String,
}

/// Addresses are used again: an answer counts only if it comes from the node that the target names.
fn check(target: &Target, answer: Result<NodeReport, AdminError>) -> Result<NodeReport, Failure> {
    match answer {
        Ok(report) if report.node.name == target.name => Ok(report),
        Ok(report) => Err(Failure {
            certain: true,
            why: format!(
                "{} answers as {}, not as {}",
                target.admin_url, report.node.name, target.name
            ),
        }),
        Err(error) => Err(Failure {
            certain: error.is_refused(),
            why: error.to_string(),
        }),
    }
}
