//! The platform whose nodes are processes of this machine.
//!
//! It is level-triggered: whatever happens, [`Processes::step`] compares what is wanted with what runs and does what
//! [`next_steps`] says is due.

use super::keeper::{Host, Keeper, News, Order, Phase, State};
use super::layout::{Layout, NodePlan, Site, WebPlan};
use super::leaving::{Asking, Leaving};
use super::messages;
use super::next_steps::{NodeNow, NodeStep, next_steps};
use super::port_holder::Protocol;
use super::ports::{self, PortError, PortUse};
use super::probe::Probe;
use crate::crd::SfuCluster;
use crate::platform::{Event, NodeState, Platform};
use sfumato_admin_api::client::NodeAdmin;
use sfumato_admin_api::types::{DrainRequest, NodeReport};
use sfumato_mesh::{MeshSnapshot, Target};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, watch};

/// How long a node may take to end beyond the deadline of its drain.
const END_SLACK: Duration = Duration::from_secs(5);
/// How long a front door that moves to another port may take to end.
const WEB_GRACE: Duration = Duration::from_secs(5);

/// Nodes and front door as processes.
pub struct Processes {
    host: Arc<Host>,
    site: Site,
    news: mpsc::UnboundedReceiver<News>,
    wanted: Option<Layout>,
    nodes: BTreeMap<u16, Node>,
    web: Option<Web>,
    /// For draining.
    admin: Arc<dyn NodeAdmin>,
    /// What the nodes said last.
    mesh: MeshSnapshot,
    targets: watch::Sender<Option<Vec<Target>>>,
    /// Nodes started so far: tells one process slot of a name from the next.
    started: u64,
}

#[derive(Debug)]
struct Node {
    plan: NodePlan,
    target: Target,
    keeper: Keeper,
    leaving: Leaving,
}

#[derive(Debug)]
struct Web {
    plan: WebPlan,
    keeper: Keeper,
}

/// A process, for the summary and the status file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessView {
    pub name: String,
    pub state: State,
    /// Whether it is a node that is being emptied.
    pub draining: bool,
}

impl Platform for Processes {
    type Refused = PortError;

    async fn apply(&mut self, cluster: &SfuCluster) -> Result<(), PortError> {
        let layout = Layout::new(cluster, &self.site);
        let uses = ports::wanted(&layout, None);
        ports::check_disjoint(&uses)?;
        let held = self.held_ports();
        // A port that another of our processes has is as taken as any: it may not be given back in time.
        let new: Vec<PortUse> = uses.into_iter().filter(|it| !held.contains(&key(it))).collect();
        ports::check_free(&new)?;
        self.wanted = Some(layout);
        self.step();
        Ok(())
    }

    fn targets(&self) -> watch::Receiver<Option<Vec<Target>>> {
        self.targets.subscribe()
    }

    fn nodes(&self) -> Vec<NodeState> {
        let state = |node: &Node| NodeState {
            name: node.plan.program.name.clone(),
            ready: node.keeper.state().phase == Phase::Ready && !self.is_draining(node),
        };
        self.nodes.values().map(state).collect()
    }

    async fn next_event(&mut self) -> Event {
        // The sender lives in `host`, which is ours: there is always a next event.
        let Some(news) = self.news.recv().await else {
            return std::future::pending().await;
        };
        self.step();
        messages::event(&news)
    }
}

impl Processes {
    /// What has happened meanwhile, without waiting and without doing what is due.
    pub fn past_event(&mut self) -> Option<Event> {
        self.news.try_recv().ok().map(|news| messages::event(&news))
    }

    /// Nothing runs yet. `news` is the other end of the host's channel.
    #[must_use]
    pub fn new(host: Arc<Host>, news: mpsc::UnboundedReceiver<News>, site: Site, admin: Arc<dyn NodeAdmin>) -> Self {
        let targets = watch::Sender::new(None);
        Self {
            host,
            site,
            news,
            wanted: None,
            nodes: BTreeMap::new(),
            web: None,
            admin,
            mesh: MeshSnapshot::default(),
            targets,
            started: 0,
        }
    }

    /// Takes over what the nodes say, and does what has become due with it.
    pub fn observe(&mut self, mesh: MeshSnapshot) {
        self.mesh = mesh;
        self.step();
    }

    /// What runs, the front door last.
    #[must_use]
    pub fn view(&self) -> Vec<ProcessView> {
        let nodes = self
            .nodes
            .values()
            .map(|node| (&node.plan.program, &node.keeper, self.is_draining(node)));
        let web = self.web.iter().map(|web| (&web.plan.program, &web.keeper, false));
        let view = |(program, keeper, draining): (&super::child::Program, &Keeper, bool)| ProcessView {
            name: program.name.clone(),
            state: keeper.state(),
            draining,
        };
        nodes.chain(web).map(view).collect()
    }

    #[must_use]
    pub fn layout(&self) -> Option<&Layout> {
        self.wanted.as_ref()
    }

    /// Whether everything that is wanted runs as wanted, and is ready.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        let Some(wanted) = &self.wanted else {
            return false;
        };
        let ready = |keeper: &Keeper| keeper.state().phase == Phase::Ready;
        // What has not been told yet comes first.
        self.news.is_empty()
            && self.nodes.len() == wanted.nodes.len()
            && self
                .nodes
                .values()
                .all(|node| ready(&node.keeper) && !self.is_draining(node))
            && self
                .web
                .as_ref()
                .is_some_and(|web| web.plan == wanted.web && ready(&web.keeper))
    }

    /// Wants nothing any more, so that nothing is started again.
    pub fn give_up(&mut self) {
        self.wanted = None;
    }

    /// Tells the front door to end.
    pub fn order_web(&self, order: Order) {
        if let Some(web) = &self.web {
            web.keeper.order(order);
        }
    }

    /// Tells every node to end.
    pub fn order_nodes(&self, order: Order) {
        self.nodes.values().for_each(|node| node.keeper.order(order));
    }

    /// Returns once the front door has ended.
    pub async fn web_gone(&mut self) {
        if let Some(web) = &mut self.web {
            web.keeper.gone().await;
        }
    }

    /// Returns once every node has ended.
    pub async fn nodes_gone(&mut self) {
        for node in self.nodes.values_mut() {
            node.keeper.gone().await;
        }
    }

    /// Does what is due.
    fn step(&mut self) {
        let Some(wanted) = self.wanted.clone() else {
            return;
        };
        self.nodes.retain(|_, node| node.keeper.state().phase != Phase::Gone);
        let plans: BTreeMap<u16, NodePlan> = wanted.nodes.into_iter().map(|plan| (plan.ordinal, plan)).collect();
        let now = Instant::now();
        let seen = |(ordinal, node): (&u16, &Node)| {
            let report = self.report(node);
            let deadline = node.plan.drain_deadline;
            let seen = NodeNow {
                phase: node.keeper.state().phase,
                current: plans.get(ordinal).is_none_or(|plan| *plan == node.plan),
                reasons: report.map(|report| report.drain.reasons.clone()).unwrap_or_default(),
                done: node.leaving.is_done(report, deadline, END_SLACK, now),
            };
            (*ordinal, seen)
        };
        let there = self.nodes.iter().map(seen).collect();
        let whole = self.mesh.is_whole() && self.nodes.values().all(|node| self.report(node).is_some());
        let steps = next_steps(&plans.keys().copied().collect(), &there, whole);
        for (ordinal, node) in &mut self.nodes {
            let leaves = steps.iter().any(|step| step.leaves(*ordinal));
            node.leaving
                .observe(leaves, report(&self.mesh, &node.target, &node.keeper), now);
        }
        for step in steps {
            self.take(step, &plans);
        }
        self.step_web(wanted.web);
        self.tell_targets();
    }

    fn take(&mut self, step: NodeStep, plans: &BTreeMap<u16, NodePlan>) {
        let (NodeStep::Start(ordinal)
        | NodeStep::Drain(ordinal, _)
        | NodeStep::Lift(ordinal, _)
        | NodeStep::End(ordinal)) = step;
        if let NodeStep::Start(_) = step {
            if let Some(plan) = plans.get(&ordinal) {
                self.start_node(plan.clone());
            }
            return;
        }
        let Some(node) = self.nodes.get_mut(&ordinal) else {
            return;
        };
        let asking = Asking {
            name: &node.plan.program.name,
            url: &node.target.admin_url,
            admin: &self.admin,
            terminal: &self.host.terminal,
        };
        match step {
            NodeStep::Start(_) => {}
            NodeStep::Drain(_, reason) => {
                let deadline_seconds = Some(node.plan.drain_deadline.as_secs());
                let request = DrainRequest {
                    reason,
                    deadline_seconds,
                };
                node.leaving.drain(asking, request);
            }
            NodeStep::Lift(_, reason) => node.leaving.lift(asking, reason),
            NodeStep::End(_) => node.keeper.order(Order::Stop(node.plan.drain_deadline + END_SLACK)),
        }
    }

    fn report(&self, node: &Node) -> Option<&NodeReport> {
        report(&self.mesh, &node.target, &node.keeper)
    }

    fn is_draining(&self, node: &Node) -> bool {
        self.report(node).is_some_and(|report| report.draining)
    }

    fn start_node(&mut self, plan: NodePlan) {
        let Ok(name) = plan.program.name.parse() else {
            return; // Names are ours: sfu-1 to sfu-32.
        };
        self.started += 1;
        let uid = format!("{}.{}", self.site.uid, self.started);
        let target = Target {
            name,
            admin_url: format!("http://{}", plan.admin),
            uid,
        };
        let probe = Probe::Http(format!("http://{}/readyz", plan.health));
        let keeper = Keeper::start(plan.program.clone(), probe, Arc::clone(&self.host));
        let node = Node {
            plan,
            target,
            keeper,
            leaving: Leaving::default(),
        };
        self.nodes.insert(node.plan.ordinal, node);
    }

    fn step_web(&mut self, wanted: WebPlan) {
        match &self.web {
            Some(web) if web.keeper.state().phase == Phase::Gone => self.web = None,
            Some(web) if web.plan != wanted && web.keeper.state().phase != Phase::Stopping => {
                web.keeper.order(Order::Stop(WEB_GRACE));
            }
            _ => {}
        }
        if self.web.is_none() {
            let probe = Probe::Http(format!("http://{}/readyz", wanted.listen));
            let keeper = Keeper::start(wanted.program.clone(), probe, Arc::clone(&self.host));
            self.web = Some(Web { plan: wanted, keeper });
        }
    }

    fn tell_targets(&self) {
        let targets: Vec<Target> = self.nodes.values().map(|node| node.target.clone()).collect();
        self.targets.send_if_modified(|told| {
            let changed = told.as_ref() != Some(&targets);
            *told = Some(targets);
            changed
        });
    }

    /// Ports that our own processes have, or are about to give back, and which of them.
    fn held_ports(&self) -> BTreeSet<PortKey> {
        let Some(web) = &self.web else {
            return BTreeSet::new();
        };
        let nodes = self.nodes.values().map(|node| node.plan.clone()).collect();
        ports::wanted(
            &Layout {
                nodes,
                web: web.plan.clone(),
                client_keys: None,
            },
            None,
        )
        .iter()
        .map(key)
        .collect()
    }
}

/// What the life of a node that runs now said last.
fn report<'a>(mesh: &'a MeshSnapshot, target: &Target, keeper: &Keeper) -> Option<&'a NodeReport> {
    let pid = keeper.state().pid;
    let member = mesh.members.iter().find(|member| member.name == target.name);
    let report = member.and_then(|member| member.current());
    report.filter(|report| pid.is_some() && i32::try_from(report.pid).ok() == pid)
}

type PortKey = (String, u16, Protocol);

fn key(it: &PortUse) -> PortKey {
    (it.who.clone(), it.port, it.protocol)
}
