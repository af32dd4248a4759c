//! The mesh task: targets and reports in, steps and snapshots out, the same on Kubernetes and on one machine.
//!
//! It plans whenever anything has changed and starts only as many steps as may run at once, so that each step is
//! planned from what the nodes say just before it runs. A pair that is being driven is left out of new plans; the others do not wait for it.

use crate::backoff::{Backoff, Hold};
use crate::budget::{Account, Budget, within_budget};
use crate::drive::{DriveOptions, Outcome, drive_step};
use crate::plan::{AgedReport, Observed, PairId, PlanOptions, Step, plan};
use crate::poll::{News, What, poll};
use crate::snapshot::{Established, MemberSnapshot, MeshSnapshot};
use crate::target::Target;
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use rand::rngs::StdRng;
use sfumato_admin_api::client::NodeAdmin;
use sfumato_admin_api::types::bounds::MAX_MEMBERS;
use sfumato_admin_api::types::{Incarnation, LinkId, NodeName, NodeReport};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tracing::{Instrument, debug, error, info, warn};

/// Resync while something is not as desired: time alone may make a step due.
const RESYNC_BUSY: Duration = Duration::from_secs(2);
/// Resync while all is well.
const RESYNC_IDLE: Duration = Duration::from_secs(30);
/// News that may queue up before polls wait: each may be a report, which counts against no budget yet.
const NEWS_QUEUE: usize = 8;

/// A look at all links that takes longer than this is followed by a rest, so that one mesh of nodes that report as much as they may,
/// over and over, leaves processor time to the others. An honest mesh of 32 nodes takes less.
const LONG_PASS: Duration = Duration::from_millis(10);
/// How many times as long that rest is.
const REST: u32 = 4;

/// What the mesh task is to do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MeshOptions {
    /// What is wanted of links.
    pub plan: PlanOptions,
    /// Bounds on calls.
    pub drive: DriveOptions,
}

/// Starts the task that keeps one cluster's mesh whole.
#[derive(Debug)]
pub struct MeshTask;

/// A running mesh task. Dropping it stops the task, its polls and its calls.
#[derive(Debug)]
#[must_use = "dropping the handle stops the mesh task"]
pub struct MeshHandle {
    /// The mesh as it is, after every change.
    pub snapshots: watch::Receiver<MeshSnapshot>,
    task: JoinHandle<()>,
}

impl Drop for MeshHandle {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl MeshTask {
    /// Starts it. `None` in `targets` means that they are not known yet: nothing is planned before they are. The task
    /// also ends when the sender of `targets` is dropped, since then nobody says any more who is a member. Meshes of one program
    /// have one budget.
    pub fn spawn(
        targets: watch::Receiver<Option<Vec<Target>>>,
        admin: Arc<dyn NodeAdmin>,
        options: MeshOptions,
        budget: &Budget,
    ) -> MeshHandle {
        let (snapshot, snapshots) = watch::channel(MeshSnapshot::default());
        MeshHandle {
            snapshots,
            // The span says which mesh: an operator has many.
            task: tokio::spawn(
                Mesh::new(admin, options, snapshot, budget.account())
                    .run(targets)
                    .in_current_span(),
            ),
        }
    }
}

/// A target, its poll, and what it said last.
struct Member {
    target: Target,
    polling: u64,
    poll: JoinHandle<()>,
    reachable: bool,
    /// Whether there were news of it.
    asked: bool,
    /// Why its last answer could not be used.
    unusable: Option<String>,
    /// Why it does not answer.
    silent: Option<String>,
    last: Option<Last>,
}

struct Last {
    report: Arc<NodeReport>,
    streams: usize,
    /// What the report takes in memory, in bytes.
    weight: usize,
    asked: Instant,
    received: Instant,
}

// A poll dies with its target.
impl Drop for Member {
    fn drop(&mut self) {
        self.poll.abort();
    }
}

struct Mesh {
    admin: Arc<dyn NodeAdmin>,
    options: MeshOptions,
    snapshot: watch::Sender<MeshSnapshot>,
    account: Account,
    members: BTreeMap<NodeName, Member>,
    /// Whether the targets are known.
    synced: bool,
    pollings: u64,
    backoff: Backoff,
    random: StdRng,
    in_flight: BTreeSet<(NodeName, NodeName)>,
    drives: FuturesUnordered<BoxFuture<'static, Outcome>>,
    established: Established,
    news_tx: mpsc::Sender<News>,
    news_rx: mpsc::Receiver<News>,
}

impl Mesh {
    fn new(
        admin: Arc<dyn NodeAdmin>,
        options: MeshOptions,
        snapshot: watch::Sender<MeshSnapshot>,
        account: Account,
    ) -> Self {
        let (news_tx, news_rx) = mpsc::channel(NEWS_QUEUE);
        Self {
            admin,
            options,
            snapshot,
            account,
            members: BTreeMap::new(),
            synced: false,
            pollings: 0,
            backoff: Backoff::default(),
            random: rand::make_rng(),
            in_flight: BTreeSet::new(),
            drives: FuturesUnordered::new(),
            established: Established::default(),
            news_tx,
            news_rx,
        }
    }

    async fn run(mut self, mut targets: watch::Receiver<Option<Vec<Target>>>) {
        let first = targets.borrow_and_update().clone();
        self.retarget(first);
        loop {
            let begun = std::time::Instant::now();
            self.publish();
            let wake = self.start_steps();
            let took = begun.elapsed();
            if took > LONG_PASS {
                tokio::time::sleep(took * REST).await;
            }
            tokio::select! {
                changed = targets.changed() => match changed {
                    Ok(()) => {
                        let now = targets.borrow_and_update().clone();
                        self.retarget(now);
                    }
                    Err(_) => return warn!("the mesh is not looked after any more: the source of its members has ended"),
                },
                Some(news) = self.news_rx.recv() => self.hear(news),
                Some(outcome) = self.drives.next() => self.finish(outcome),
                () = tokio::time::sleep_until(wake) => {}
            }
            self.revive();
            // Whatever else has come in the meantime goes into the same plan.
            while let Ok(news) = self.news_rx.try_recv() {
                self.hear(news);
            }
        }
    }

    /// Takes over a new list of targets: starts and ends polls.
    fn retarget(&mut self, targets: Option<Vec<Target>>) {
        self.synced = targets.is_some();
        // Not known (any more): what is there stays as it is, and nothing is planned.
        let Some(targets) = targets else { return };
        let mut wanted: BTreeMap<NodeName, Target> = targets.into_iter().map(|t| (t.name.clone(), t)).collect();
        if wanted.len() > MAX_MEMBERS {
            let found = wanted.len();
            warn!("{found} members are more than a mesh can have: only the first {MAX_MEMBERS} by name are linked");
            wanted = wanted.into_iter().take(MAX_MEMBERS).collect();
        }
        self.members.retain(|name, member| {
            let stays = wanted.get(name) == Some(&member.target);
            if stays {
                wanted.remove(name);
            } else {
                info!(node = %name, "not a member any more");
            }
            stays
        });
        for (name, target) in wanted {
            debug!(node = %name, url = target.admin_url, "looking for the node");
            let (polling, poll) = self.ask(&target);
            self.members.insert(
                name,
                Member {
                    target,
                    polling,
                    poll,
                    reachable: false,
                    asked: false,
                    unusable: None,
                    silent: None,
                    last: None,
                },
            );
        }
        self.account.keeps(self.kept());
    }

    /// What is known of the nodes, in bytes of memory.
    fn kept(&self) -> usize {
        let last = self.members.values().filter_map(|member| member.last.as_ref());
        last.map(|last| last.weight).sum()
    }

    /// Begins to poll a target.
    fn ask(&mut self, target: &Target) -> (u64, JoinHandle<()>) {
        self.pollings += 1;
        let (admin, news) = (Arc::clone(&self.admin), self.news_tx.clone());
        let poll = poll(target.clone(), self.pollings, admin, news);
        (self.pollings, tokio::spawn(poll.in_current_span()))
    }

    /// A poll ends before its member only by a panic. Nobody would hear of that node again; the others must not go with it.
    fn revive(&mut self) {
        let ended = |(name, member): (&NodeName, &Member)| member.poll.is_finished().then(|| name.clone());
        for name in self.members.iter().filter_map(ended).collect::<Vec<_>>() {
            let Some(target) = self.members.get(&name).map(|member| member.target.clone()) else {
                continue;
            };
            error!(node = %name, "asking the node has failed in this program; it is asked anew");
            let again = self.ask(&target);
            if let Some(member) = self.members.get_mut(&name) {
                (member.polling, member.poll) = again;
                member.reachable = false;
            }
        }
    }

    fn hear(&mut self, news: News) {
        let of_others = self.members.values().filter(|m| m.polling != news.polling);
        let others: usize = of_others.filter_map(|m| m.last.as_ref()).map(|last| last.weight).sum();
        let Some((name, member)) = self.members.iter_mut().find(|(_, m)| m.polling == news.polling) else {
            return;
        };
        member.asked = true;
        let kept = member.last.as_ref().map_or(0, |last| last.weight);
        let what = within_budget(news.what, kept, others, &self.account);
        match what {
            What::Report {
                report,
                streams,
                weight,
                asked,
            } => {
                let life = &report.node.incarnation;
                if member
                    .last
                    .as_ref()
                    .is_none_or(|last| last.report.node.incarnation != *life)
                {
                    info!(node = %name, incarnation = %life, "the node is a member");
                } else if !member.reachable {
                    info!(node = %name, incarnation = %life, "the node answers again");
                }
                member.reachable = true;
                member.unusable = None;
                member.silent = None;
                member.last = Some(Last {
                    report,
                    streams,
                    weight,
                    asked,
                    received: Instant::now(),
                });
            }
            What::Silent { why } => {
                if member.reachable {
                    warn!(node = %name, error = why, "the node does not answer; its links are left as they are");
                } else {
                    info!(node = %name, error = why, "the node does not answer yet");
                }
                member.reachable = false;
                member.unusable = None;
                member.silent.get_or_insert(why);
            }
            What::Unusable { why } => {
                warn!(node = %name, error = why, "the node's answer is refused; its links are left as they are");
                member.reachable = false;
                member.silent = None;
                member.unusable = Some(why);
            }
        }
        self.account.keeps(self.kept());
    }

    /// Tells everyone else how things are, and the log which links have changed.
    fn publish(&mut self) {
        let members = self.members.values().map(|m| MemberSnapshot {
            name: m.target.name.clone(),
            incarnation: m.last.as_ref().map(|last| last.report.node.incarnation.clone()),
            reachable: m.reachable,
            asked: m.asked,
            report: m.last.as_ref().map(|last| Arc::clone(&last.report)),
            streams: m.last.as_ref().map_or(0, |last| last.streams),
            unusable: m.unusable.clone(),
            silent: m.silent.clone(),
        });
        let (snapshot, established) = MeshSnapshot::new(members.collect(), self.options.plan.lanes);
        for (a, b, lane) in established.lanes.difference(&self.established.lanes) {
            debug!(node = %a, peer = %b, %lane, "link established");
        }
        for (a, b, lane) in self.established.lanes.difference(&established.lanes) {
            info!(node = %a, peer = %b, %lane, reason = self.why_lost(a, b), "link lost");
        }
        self.established = established;
        self.snapshot.send_if_modified(|old| {
            let changed = *old != snapshot;
            *old = snapshot;
            changed
        });
    }

    fn why_lost(&self, a: &NodeName, b: &NodeName) -> &'static str {
        let ends = [self.members.get(a), self.members.get(b)];
        if ends.iter().any(Option::is_none) {
            "a node has left"
        } else if ends.iter().flatten().any(|m| !m.reachable) {
            "a node does not answer"
        } else {
            "the nodes do not report it as up"
        }
    }

    /// Plans, starts what may start now, and returns when to look again at the latest.
    fn start_steps(&mut self) -> Instant {
        let now = Instant::now();
        if !self.synced {
            return now + RESYNC_IDLE;
        }
        let steps = plan(&self.observed(now), &self.options.plan);
        self.forget_settled(&steps);
        let desired = self.members.len() * self.members.len().saturating_sub(1) / 2;
        let all_well = steps.is_empty() && self.snapshot.borrow().established_pairs as usize == desired;
        let mut wake = now + if all_well { RESYNC_IDLE } else { RESYNC_BUSY };
        for step in steps {
            if self.drives.len() >= self.options.drive.concurrency {
                break;
            }
            let may_start = step.restricted(|pair| {
                if self.in_flight.contains(&pair.names()) {
                    return false;
                }
                let checked = self.backoff.check(pair, now.into_std(), |hold| self.shows(pair, hold));
                if let Err(later) = checked {
                    wake = wake.min(Instant::from_std(later));
                }
                checked.is_ok()
            });
            if let Some(step) = may_start {
                self.start(step);
            }
        }
        wake
    }

    /// A pair starts anew once it is whole, and nothing needs to be remembered of lives that are over.
    fn forget_settled(&mut self, steps: &[Step]) {
        let Self {
            backoff,
            members,
            established,
            ..
        } = self;
        let planned: BTreeSet<PairId> = steps.iter().flat_map(Step::pairs).collect();
        let lives = |(name, life): &(NodeName, Incarnation)| {
            let last = members.get(name).and_then(|m| m.last.as_ref());
            last.is_some_and(|last| last.report.node.incarnation == *life)
        };
        backoff.retain(|pair| {
            let whole = established.pairs.contains(&pair.names());
            planned.contains(pair) || (lives(&pair.a) && lives(&pair.b) && !whole)
        });
    }

    fn start(&mut self, step: Step) {
        self.in_flight.extend(step.pairs().iter().map(PairId::names));
        let (admin, deadline) = (Arc::clone(&self.admin), self.options.drive.call_deadline);
        self.drives
            .push(Box::pin(async move { drive_step(step, &*admin, deadline).await }));
    }

    fn finish(&mut self, outcome: Outcome) {
        let now = Instant::now().into_std();
        log(&outcome);
        let Outcome { step, result, .. } = outcome;
        let made = result.ok();
        for pair in step.pairs() {
            self.in_flight.remove(&pair.names());
            match &made {
                Some(made) => self.backoff.succeeded(pair, now, made.clone(), &mut self.random),
                None => self.backoff.failed(pair, now, &mut self.random),
            }
        }
    }

    fn observed(&self, now: Instant) -> Vec<Observed> {
        let observe = |m: &Member| Observed {
            name: m.target.name.clone(),
            admin_url: m.target.admin_url.clone(),
            report: m.last.as_ref().filter(|_| m.reachable).map(|last| AgedReport {
                report: Arc::clone(&last.report),
                age: now.saturating_duration_since(last.received),
            }),
        };
        self.members.values().map(observe).collect()
    }

    /// Whether what both ends say was surely written after a drive: it was asked for later, or it has what was made.
    fn shows(&self, pair: &PairId, hold: &Hold) -> bool {
        let shows = |(name, life): &(NodeName, Incarnation), made: Vec<&LinkId>| {
            // Another life knows nothing of that drive, and who is gone reports nothing that could be out of date.
            let last = self.members.get(name).and_then(|m| m.last.as_ref());
            let Some(last) = last.filter(|last| last.report.node.incarnation == *life) else {
                return true;
            };
            let has = |id: &LinkId| last.report.links.iter().any(|link| link.id == *id);
            last.asked.into_std() >= hold.since || !made.is_empty() && made.into_iter().all(has)
        };
        shows(&pair.a, hold.made.iter().map(|c| &c.a).collect())
            && shows(&pair.b, hold.made.iter().map(|c| &c.b).collect())
    }
}

fn log(outcome: &Outcome) {
    match (&outcome.step, &outcome.result) {
        (Step::Pair(step), Ok(made)) => {
            for (lane, made) in step.lanes.iter().zip(made) {
                let (a, b) = (&step.a.node.name, &step.b.node.name);
                debug!(node = %a, peer = %b, lane = %lane.lane, reason = %lane.reason, link = %made.a, peer_link = %made.b, "link made");
            }
        }
        (Step::Close(step), Ok(_)) => {
            for end in &step.ends {
                info!(node = %step.node.name, peer = %end.peer, link = %end.id, "end without a peer closed");
            }
        }
        (_, Err(error)) if error.source.is_conflict() => debug!(%error, "a step was overtaken"),
        (_, Err(error)) => warn!(%error, "a step failed; it is planned again"),
    }
}
