//! Keeps the view true: one task for each admin URL asks for the node's report, over and over, by long polls.

use crate::seeds::Seed;
use crate::view::{View, has_tls};
use crate::way;
use rand::RngExt as _;
use sfumato_admin_api::client::{AdminError, HttpNodeAdmin, NodeAdmin as _, time_of};
use sfumato_admin_api::types::{NodeReport, Observer, Observing};
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};

/// How long a node may hold a poll when nothing has changed. Short, because counters, load and round trip times do not
/// end a long poll, and because a node that went silent is noticed only when the next answer is due.
pub const POLL_WAIT: Duration = Duration::from_secs(2);
/// Shortest time between two polls of one node, so that a busy node is not asked for every single change.
const POLL_GAP: Duration = Duration::from_millis(100);
/// How fast reports of one node are read over time, in bytes of memory that they take while they are read: who names many others,
/// which all say as much as they may, costs no more than some of a core.
const BYTES_A_SECOND: u32 = 1024 * 1024;
/// First and longest pause after a poll that failed; doubled each time, with jitter.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(1));
/// Longest pause between two polls of a node that answers.
const LONGEST_GAP: Duration = Duration::from_secs(10);
/// How often seeds are resolved, and asked again where they stand before nodes that live at other addresses.
const SEED_INTERVAL: Duration = Duration::from_secs(5);

/// Most bytes of memory that the lists of publications of one node's report take: what a node says is kept for as long as it
/// is known, and a few bytes of JSON can become many. What an honest node tells at most, 576 KiB of JSON, fits.
const MAX_LISTS_BYTES: usize = 2 * 1024 * 1024;

/// Where reports come from: the nodes' admin API, or a table in tests.
pub trait Reports: Clone + Send + Sync + 'static {
    /// The report of the node at this admin URL. With `after`, the node answers when its revision differs from that,
    /// or when `wait` is over.
    ///
    /// # Errors
    /// When the node does not answer, or answers what cannot be used.
    fn report(
        &self,
        admin_url: &str,
        after: Option<u64>,
        wait: Duration,
    ) -> impl Future<Output = Result<NodeReport, NoReport>> + Send;

    /// Asks the node at this admin URL whether the holder of a token may see the cluster.
    ///
    /// # Errors
    /// A sentence for people: what was attempted, and what went wrong.
    fn observer(&self, admin_url: &str, observer: &Observer) -> impl Future<Output = Result<Observing, String>> + Send;
}

/// Why there is no report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoReport {
    /// A sentence for people: what was attempted, and what went wrong.
    pub why: String,
    /// Whether the node answers, and what it says is over a bound or of another shape.
    pub unusable: bool,
}

impl From<AdminError> for NoReport {
    fn from(error: AdminError) -> Self {
        Self {
            why: error.to_string(),
            unusable: error.is_unusable(),
        }
    }
}

impl Reports for HttpNodeAdmin {
    async fn report(&self, admin_url: &str, after: Option<u64>, wait: Duration) -> Result<NodeReport, NoReport> {
        self.node_report(admin_url, after, wait).await.map_err(NoReport::from)
    }

    async fn observer(&self, admin_url: &str, observer: &Observer) -> Result<Observing, String> {
        let answer = HttpNodeAdmin::observer(self, admin_url, observer).await;
        answer.map_err(|error| error.to_string())
    }
}

/// Polls the seeds and every node that becomes known, until dropped.
pub async fn run<R: Reports>(view: watch::Sender<View>, seeds: Vec<Seed>, reports: R) {
    let mut changes = view.subscribe();
    let mut polls = Polls::default();
    let mut resolving = tokio::time::interval(SEED_INTERVAL);
    loop {
        tokio::select! {
            _ = resolving.tick() => resolve(&view, &seeds).await,
            changed = changes.changed() => if changed.is_err() { return },
        }
        let targets = changes.borrow_and_update().targets();
        polls.follow(&targets, |url| poll(url, view.clone(), reports.clone()));
    }
}

/// The running polls, by admin URL. Dropping it ends them all.
#[derive(Default)]
struct Polls {
    tasks: JoinSet<()>,
    by_url: BTreeMap<String, AbortHandle>,
}

impl Polls {
    /// Begins polling what is new in `targets` and ends what is no longer in it.
    fn follow<F>(&mut self, targets: &BTreeSet<String>, mut begin: impl FnMut(String) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        while let Some(ended) = self.tasks.try_join_next() {
            // A poll ends only when it is aborted. One that has panicked would leave its node unheard for ever.
            if let Err(error) = ended
                && let Ok(panic) = error.try_into_panic()
            {
                std::panic::resume_unwind(panic);
            }
        }
        self.by_url.retain(|url, task| {
            let keep = targets.contains(url);
            if !keep {
                task.abort();
            }
            keep
        });
        for url in targets {
            if !self.by_url.contains_key(url) {
                let task = self.tasks.spawn(begin(url.clone()));
                self.by_url.insert(url.clone(), task);
            }
        }
    }
}

async fn resolve(view: &watch::Sender<View>, seeds: &[Seed]) {
    let mut urls = BTreeSet::new();
    for seed in seeds {
        match seed.resolve().await {
            Ok(found) => urls.extend(found),
            Err(error) => {
                tracing::warn!(%seed, %error, "cannot resolve a seed; what is known of it stays");
                return;
            }
        }
    }
    view.send_if_modified(|view| {
        let changed = !urls.iter().eq(view.seeds().keys());
        if changed {
            view.seeded(urls);
        }
        changed
    });
}

async fn poll<R: Reports>(url: String, view: watch::Sender<View>, reports: R) {
    let (first, longest) = BACKOFF;
    let mut pause = first;
    let mut after = None;
    let mut trouble: Option<bool> = None;
    let mut in_clear = false;
    let mut cut = false;
    let mut leads_to_http = false;
    loop {
        match reports.report(&url, after, POLL_WAIT).await {
            Ok(mut report) => {
                let gap = gap(report.weight());
                let fits = report.cut_publications(MAX_LISTS_BYTES);
                let was_cut = std::mem::replace(&mut cut, !fits || report.is_cut());
                if cut && !was_cut {
                    let kept = report.publications.len() + report.carried.len();
                    tracing::warn!(%url, node = %report.node.name, "node has more streams than the {kept} that are kept of it; the others play, and the view of the cluster lacks them");
                }
                if trouble.take().is_some() {
                    tracing::info!(%url, node = %report.node.name, "node answers again");
                }
                let before = std::mem::replace(&mut in_clear, way::is_in_clear(&report));
                if in_clear && !before {
                    tracing::warn!(%url, node = %report.node.name, "clients' tokens cross the network to this node in clear: it has no listener for front doors; update its image and its pod template");
                }
                let leads_away = has_tls(&url) && !has_tls(&report.node.admin_url);
                if leads_away && !std::mem::replace(&mut leads_to_http, leads_away) {
                    tracing::warn!(%url, node = %report.node.name, "the node that answers at this seed says that it is reached without TLS; it is not asked there, since the seeds are https: give it a certificate, or name its own URL as the seed");
                }
                pause = first;
                let revision = report.revision;
                let mut at_home = true;
                view.send_modify(|view| at_home = view.heard(&url, report));
                after = at_home.then_some(revision);
                tokio::time::sleep(if at_home { gap } else { SEED_INTERVAL }).await;
            }
            Err(NoReport { why: error, unusable }) => {
                // Once for each kind of trouble, however long it lasts.
                if trouble.replace(unusable) != Some(unusable) {
                    if unusable {
                        tracing::warn!(%url, error, "node's answer is refused; asking again");
                    } else {
                        tracing::warn!(%url, error, "node does not answer; asking again");
                    }
                }
                after = None;
                view.send_if_modified(|view| view.lost(&url, &error));
                tokio::time::sleep(jittered(pause)).await;
                pause = (pause * 2).min(longest);
            }
        }
    }
}

/// The pause after a report that takes so many bytes.
fn gap(bytes: usize) -> Duration {
    time_of(bytes, BYTES_A_SECOND).clamp(POLL_GAP, LONGEST_GAP)
}

/// Between half of `pause` and all of it, so that many front doors do not ask a starting node in step.
fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(rand::rng().random_range(0.5..=1.0))
}

#[cfg(test)]
#[path = "polling_tests.rs"]
mod tests;
