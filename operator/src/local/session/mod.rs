//! One run of a cluster: from the first process to the last. Waits for whatever comes first (a process, the mesh, the
//! manifest, the user), does what follows from it, and tells.

mod difference;
mod telling;

use crate::cli::LocalArgs;
use crate::cluster::convergence::Standstill;
use crate::cluster::node_arguments::most_lanes;
use crate::cluster::remark::Remark;
use crate::crd::SfuCluster;
use crate::crd::status::SfuClusterStatus;
use crate::local::drain_progress::DrainProgress;
use crate::local::error::LocalError;
use crate::local::follow::{FileChange, Follower};
use crate::local::ignored;
use crate::local::keeper::{Host, Keeper, Order, Phase};
use crate::local::layout::{self, Site};
use crate::local::mesh_progress::MeshProgress;
use crate::local::messages::Event;
use crate::local::probe::Probe;
use crate::local::processes::Processes;
use crate::local::redis_server::Redis;
use crate::local::report::StatusFile;
use crate::local::signals::Signals;
use crate::local::state_dir::StateDir;
use crate::local::wish::{self, WishError};
use crate::terminal::Terminal;
use difference::difference;
use sfumato_admin_api::client::HttpNodeAdmin;
use sfumato_admin_api::files::TokenSource;
use sfumato_admin_api::program::task;
use sfumato_mesh::{Budget, MeshHandle, MeshOptions, MeshTask, PlanOptions};
use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::time::{interval, timeout};

/// How long a process may take to end when everything ends.
const END_GRACE: Duration = Duration::from_secs(5);
/// How long the Redis that was started may take to answer.
const REDIS_DEADLINE: Duration = Duration::from_secs(10);
/// After this long a start that is not complete is explained.
const PATIENCE: Duration = Duration::from_secs(15);
/// How long the summary waits for the mesh once all processes are ready.
const MESH_PATIENCE: Duration = Duration::from_secs(10);
/// How often time alone is looked at.
const TICK: Duration = Duration::from_secs(1);

pub struct Session<'a> {
    args: &'a LocalArgs,
    terminal: &'a Terminal,
    state: &'a StateDir,
    host: Arc<Host>,
    cluster: SfuCluster,
    redis: Redis,
    redis_keeper: Option<Keeper>,
    processes: Processes,
    mesh: Option<Mesh>,
    mesh_progress: MeshProgress,
    drain_progress: DrainProgress,
    status: SfuClusterStatus,
    /// Which version of the manifest this is, as Kubernetes counts generations.
    version: i64,
    /// Since when it has got no further.
    standstill: Option<Standstill>,
    /// Why the manifest as it is now cannot be carried out.
    refused: Option<Remark>,
    status_file: Option<StatusFile>,
    started: Instant,
    settled: Option<Instant>,
    explained: bool,
    summary_shown: bool,
}

struct Mesh {
    options: MeshOptions,
    handle: MeshHandle,
}

impl<'a> Session<'a> {
    #[must_use]
    pub fn new(
        args: &'a LocalArgs,
        terminal: &'a Terminal,
        state: &'a StateDir,
        site: Site,
        redis: Redis,
        cluster: SfuCluster,
    ) -> Self {
        let (news, news_rx) = mpsc::unbounded_channel();
        let host = Arc::new(Host {
            terminal: terminal.clone(),
            logs: state.logs(),
            http: sfumato_admin_api::files::http_client(None, |options| options),
            news,
        });
        let admin = Arc::new(HttpNodeAdmin::new(TokenSource::fixed(state.token())));
        Self {
            args,
            terminal,
            state,
            processes: Processes::new(Arc::clone(&host), news_rx, site, admin),
            host,
            cluster,
            redis,
            redis_keeper: None,
            mesh: None,
            mesh_progress: MeshProgress::new(Instant::now()),
            drain_progress: DrainProgress::default(),
            status: SfuClusterStatus::default(),
            version: 1,
            standstill: None,
            refused: None,
            status_file: args.status_json.as_deref().map(StatusFile::new),
            started: Instant::now(),
            settled: None,
            explained: false,
            summary_shown: false,
        }
    }

    /// Runs the cluster until the user wants to end. [`Self::end`] must follow in any case.
    ///
    /// # Errors
    /// When the cluster cannot be brought up.
    pub async fn run(&mut self, signals: &mut Signals) -> Result<(), LocalError> {
        let mut follower = Follower::new(self.args.file.clone());
        let mut ticks = interval(TICK);
        self.greet();
        tokio::select! {
            () = signals.stop() => return Ok(()),
            up = self.start_redis() => up?,
        }
        self.processes.apply(&self.cluster)?;
        self.link();
        loop {
            tokio::select! {
                () = signals.stop() => return Ok(()),
                why = task::given_up(task::process()) => return Err(LocalError::Task(why)),
                event = self.processes.next_event() => self.tell(event),
                change = follower.changed() => self.follow(change),
                alive = mesh_changed(&mut self.mesh) => {
                    if !alive {
                        return Err(LocalError::MeshEnded);
                    }
                }
                _ = ticks.tick() => {}
            }
            self.look();
        }
    }

    /// Ends everything that was started: front door, nodes, Redis, in that order. A second Ctrl-C kills.
    pub async fn end(&mut self, signals: &mut Signals) {
        self.terminal.say("ending; once more Ctrl-C to be quick");
        self.processes.give_up();
        self.mesh = None;
        self.processes.order_web(Order::Stop(END_GRACE));
        if !in_time(self.processes.web_gone(), signals).await {
            self.processes.order_web(Order::Kill);
            self.processes.web_gone().await;
        }
        // Not by draining: there is no other node left for anybody.
        self.processes.order_nodes(Order::Interrupt(END_GRACE));
        if !in_time(self.processes.nodes_gone(), signals).await {
            self.processes.order_nodes(Order::Kill);
            self.processes.nodes_gone().await;
        }
        if let Some(redis) = &mut self.redis_keeper {
            redis.order(Order::Stop(END_GRACE));
            if !in_time(redis.gone(), signals).await {
                redis.order(Order::Kill);
                redis.gone().await;
            }
        }
        while let Some(event) = self.processes.past_event() {
            if let Event::Bad(text) = event {
                self.terminal.warn(&text);
            }
        }
        if let Some(file) = &self.status_file {
            file.remove();
        }
        self.terminal.say("everything has ended");
    }

    async fn start_redis(&mut self) -> Result<(), LocalError> {
        let Some(program) = self.redis.program(self.state) else {
            self.terminal.say(&format!("Redis at {} answers", self.redis.shown()));
            return Ok(());
        };
        let probe = Probe::Redis(Box::new(self.redis.client.clone()));
        let keeper = self
            .redis_keeper
            .insert(Keeper::start(program, probe, Arc::clone(&self.host)));
        let processes = &mut self.processes;
        let terminal = self.terminal;
        let up = timeout(REDIS_DEADLINE, async {
            loop {
                let event = processes.next_event().await;
                let state = keeper.state();
                match (state.phase, state.trouble) {
                    (_, Some(trouble)) => return Err(trouble),
                    (Phase::Ready, None) => return Ok(event),
                    _ => {}
                }
            }
        });
        let why = match up.await {
            Ok(Ok(event)) => {
                show(terminal, event);
                return Ok(());
            }
            Ok(Err(trouble)) => trouble,
            Err(_) => format!("no answer within {} s", REDIS_DEADLINE.as_secs()),
        };
        Err(LocalError::RedisNotUp {
            address: self.redis.shown(),
            why,
        })
    }

    /// Starts the mesh task, or starts it anew when its options have changed.
    fn link(&mut self) {
        let options = MeshOptions {
            plan: PlanOptions {
                lanes: Some(most_lanes(
                    &self.cluster.spec,
                    layout::workers(&self.cluster, self.processes.cores()),
                )),
                link_grace: self.cluster.spec.mesh.link_grace.0,
            },
            ..MeshOptions::default()
        };
        if self.mesh.as_ref().is_none_or(|mesh| mesh.options != options) {
            let admin = Arc::new(HttpNodeAdmin::new(TokenSource::fixed(self.state.token())));
            let handle = MeshTask::spawn(self.processes.targets(), admin, options.clone(), &Budget::default());
            self.mesh = Some(Mesh { options, handle });
        }
    }

    fn tell(&self, event: Event) {
        show(self.terminal, event);
    }

    fn follow(&mut self, change: FileChange) {
        let Some(path) = self.args.file.as_deref() else {
            return;
        };
        let outcome = match change {
            FileChange::Text(text) => self.adopt(path, &text).map_err(|error| error.to_string()),
            FileChange::Unreadable(source) => Err(WishError::Read {
                path: path.to_owned(),
                source,
            }
            .to_string()),
        };
        self.version += 1;
        let before = self.refused.take();
        match outcome {
            Ok(told) => self.terminal.say(&format!("{} has changed: {told}", path.display())),
            Err(error) => {
                let refused = Remark::invalid_spec(error);
                // `look` tells what is new. Who saves the same again wants an answer as well.
                if before.as_ref() == Some(&refused) {
                    self.terminal.warn(&format!("{}: {}", refused.reason, refused.message));
                }
                self.refused = Some(refused);
            }
        }
    }

    /// Carries out a new version of the manifest.
    fn adopt(&mut self, path: &Path, text: &[u8]) -> Result<String, LocalError> {
        let new = wish::from_text(self.args, path, text)?;
        wish::check_change(path, &self.cluster, &new)?;
        let told = difference(&self.cluster, &new);
        self.processes.apply(&new)?;
        let ignored = ignored::without_effect(&new.spec);
        if ignored != ignored::without_effect(&self.cluster.spec) {
            ignored.iter().for_each(|told| self.terminal.warn(told));
        }
        self.cluster = new;
        self.link();
        Ok(told)
    }
}

/// Waits for the next snapshot; whether the task lives.
async fn mesh_changed(mesh: &mut Option<Mesh>) -> bool {
    match mesh {
        Some(mesh) => mesh.handle.snapshots.changed().await.is_ok(),
        None => std::future::pending().await,
    }
}

/// Waits until something is gone, or the user is in a hurry.
async fn in_time(gone: impl Future<Output = ()>, signals: &mut Signals) -> bool {
    tokio::select! {
        () = gone => true,
        () = signals.hurry() => false,
    }
}

fn show(terminal: &Terminal, event: Event) {
    match event {
        Event::Good(text) => terminal.say(&text),
        Event::Bad(text) => terminal.warn(&text),
        Event::Silent => {}
    }
}
