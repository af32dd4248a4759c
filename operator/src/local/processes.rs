//! Nodes and front door as processes of this machine.
//!
//! It is level-triggered: whatever happens, [`Processes::step`] compares what is wanted with what runs, and does what
//! [`decide`] says is due.

use super::drain_call::{Asking, DrainCall, tell};
use super::keeper::{Host, Keeper, News, Order, Phase, State};
use super::layout::{Layout, NodePlan, Site, WebPlan};
use super::messages::{self, Event};
use super::observe::{END_SLACK, SeenDoor, SeenProcess, observe};
use super::port_holder::Protocol;
use super::ports::{self, PortError, PortUse};
use super::probe::Probe;
use crate::cluster::note::Note;
use crate::cluster::remark::Remark;
use crate::cluster::rollout::{Act, Decision, Leaving, count_leaving, decide};
use crate::crd::SfuCluster;
use sfumato_admin_api::client::NodeAdmin;
use sfumato_mesh::{MeshSnapshot, Target};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, watch};

/// How long a front door that moves to another port may take to end.
const WEB_GRACE: Duration = Duration::from_secs(5);

/// Nodes and front door as processes.
pub struct Processes {
    host: Arc<Host>,
    site: Site,
    news: mpsc::UnboundedReceiver<News>,
    wanted: Option<Layout>,
    /// Whether changes are stopped.
    paused: bool,
    nodes: BTreeMap<u16, Node>,
    web: Option<Web>,
    /// For draining.
    admin: Arc<dyn NodeAdmin>,
    /// What the nodes said last.
    mesh: MeshSnapshot,
    targets: watch::Sender<Option<Vec<Target>>>,
    /// Since when nodes have been on their way out.
    leaving: Leaving,
    /// What is under way.
    progress: Option<Remark>,
    /// Nodes started so far: tells one process slot of a name from the next.
    started: u64,
}

#[derive(Debug)]
struct Node {
    plan: NodePlan,
    target: Target,
    keeper: Keeper,
    drain: DrainCall,
    /// Whether it has been told to end.
    ending: bool,
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

impl Processes {
    /// Takes `cluster` as what is wanted from now on. The work is carried on by [`Self::next_event`]; a refusal leaves
    /// everything as it was.
    ///
    /// # Errors
    /// When a port that it needs is not free.
    pub fn apply(&mut self, cluster: &SfuCluster) -> Result<(), PortError> {
        let layout = Layout::new(cluster, &self.site);
        let uses = ports::wanted(&layout, None);
        ports::check_disjoint(&uses)?;
        let held = self.held_ports();
        // A port that another of our processes has is as taken as any: it may not be given back in time.
        let new: Vec<PortUse> = uses.into_iter().filter(|it| !held.contains(&key(it))).collect();
        ports::check_free(&new)?;
        self.wanted = Some(layout);
        self.paused = cluster.spec.paused;
        self.step();
        Ok(())
    }

    /// The nodes that exist, wanted or not: who is in the mesh. A node stays until it has really ended; one that is
    /// being restarted has not. `None` until the first [`Self::apply`].
    #[must_use]
    pub fn targets(&self) -> watch::Receiver<Option<Vec<Target>>> {
        self.targets.subscribe()
    }

    /// The front door as it is now, if there is one.
    #[must_use]
    pub fn door(&self) -> Option<SeenDoor<'_>> {
        let web = self.web.as_ref()?;
        Some(SeenDoor {
            name: &web.plan.program.name,
            state: web.keeper.state(),
            current: self.wanted.as_ref().is_none_or(|wanted| web.plan == wanted.web),
        })
    }

    /// What is under way, as of when changes were not stopped.
    #[must_use]
    pub fn progress(&self) -> Option<&Remark> {
        self.progress.as_ref()
    }

    /// Whether a node is on its way out, which may take as long as publishers may stay.
    #[must_use]
    pub fn is_emptying(&self) -> bool {
        !self.leaving.is_empty()
    }

    /// Cores that nodes may count on.
    #[must_use]
    pub fn cores(&self) -> i32 {
        self.site.cores
    }

    /// Waits for the next thing that happens, and does what has become due with it. Cancel safe.
    pub async fn next_event(&mut self) -> Event {
        // The sender lives in `host`, which is ours: there is always a next event.
        let Some(news) = self.news.recv().await else {
            return std::future::pending().await;
        };
        self.step();
        messages::event(&news)
    }

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
            paused: false,
            nodes: BTreeMap::new(),
            web: None,
            admin,
            mesh: MeshSnapshot::default(),
            targets,
            leaving: Leaving::new(),
            progress: None,
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
        let view = |seen: &SeenProcess<'_>| ProcessView {
            name: seen.name.to_owned(),
            state: seen.state.clone(),
            draining: seen.is_draining(),
        };
        let mut all: Vec<ProcessView> = self.seen().iter().map(view).collect();
        all.extend(self.web.iter().map(|web| ProcessView {
            name: web.plan.program.name.clone(),
            state: web.keeper.state(),
            draining: false,
        }));
        all
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
            && self.nodes.values().all(|node| ready(&node.keeper))
            && !self.seen().iter().any(SeenProcess::is_draining)
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
        let Some(wanted) = self.wanted.clone().filter(|_| !self.paused) else {
            return;
        };
        self.nodes.retain(|_, node| node.keeper.state().phase != Phase::Gone);
        let now = Instant::now();
        let desired = u16::try_from(wanted.nodes.len()).unwrap_or(u16::MAX);
        let observation = observe(desired, self.site.drain_deadline, &self.seen(), &self.leaving, now);
        // Without `..`: a decision that nobody heeds does not compile.
        let Decision {
            replicas: _, // Of a platform that gives up its highest numbers first.
            surplus,
            acts,
            progress,
            leaving,
        } = decide(&observation);
        count_leaving(&mut self.leaving, &observation, &leaving, now);
        self.progress = progress;
        for plan in wanted.nodes {
            if !self.nodes.contains_key(&plan.ordinal) {
                self.start_node(plan);
            }
        }
        for name in surplus {
            self.end(&name);
        }
        for act in acts {
            self.carry_out(act);
        }
        self.step_web(wanted.web);
        self.tell_targets();
    }

    fn carry_out(&mut self, act: Act) {
        match act {
            Act::Drain(name, reason) => {
                let deadline = self.site.drain_deadline;
                self.call(&name, |call, asking| call.drain(asking, reason, deadline));
            }
            Act::Undrain(name, reason) => self.call(&name, |call, asking| call.lift(asking, reason)),
            Act::Replace { node, id: _ } => {
                tell(&self.host.terminal, &Note::replacing(&node));
                self.end(&node);
            }
            Act::AskToReplace { .. } | Act::ForceDelete { .. } | Act::MakeAnew { .. } => {} // Of pods only.
        }
    }

    fn call(&mut self, name: &str, call: impl FnOnce(&mut DrainCall, Asking<'_>)) {
        let Some(node) = self.nodes.values_mut().find(|node| node.name() == name) else {
            return;
        };
        let asking = Asking {
            name: &node.plan.program.name,
            url: &node.target.admin_url,
            admin: &self.admin,
            terminal: &self.host.terminal,
        };
        call(&mut node.drain, asking);
    }

    /// Ends a node in order. If it is wanted, it is started again once it has ended.
    fn end(&mut self, name: &str) {
        if let Some(node) = self.nodes.values_mut().find(|node| node.name() == name) {
            node.ending = true;
            node.keeper.order(Order::Stop(node.plan.drain_deadline + END_SLACK));
        }
    }

    /// The nodes as they are now, ordered by number.
    #[must_use]
    pub fn seen(&self) -> Vec<SeenProcess<'_>> {
        let plans = || self.wanted.iter().flat_map(|wanted| &wanted.nodes);
        let is_current = |node: &Node| {
            plans()
                .find(|plan| plan.ordinal == node.plan.ordinal)
                .is_none_or(|plan| *plan == node.plan)
        };
        let nodes = self.nodes.values();
        nodes
            .map(|node| SeenProcess {
                name: node.name(),
                ordinal: node.plan.ordinal,
                id: &node.target.uid,
                state: node.keeper.state(),
                ending: node.ending,
                current: is_current(node),
                mesh: &self.mesh,
            })
            .collect()
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
            drain: DrainCall::default(),
            ending: false,
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
            let probe = Probe::Http(format!("http://{}/readyz", wanted.probe));
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

impl Node {
    fn name(&self) -> &str {
        &self.plan.program.name
    }
}

type PortKey = (String, u16, Protocol);

fn key(it: &PortUse) -> PortKey {
    (it.who.clone(), it.port, it.protocol)
}
