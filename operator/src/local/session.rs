//! One run of a cluster: from the first process to the last. Waits for whatever comes first (a process, the mesh, the
//! manifest, the user), does what follows from it, and tells.

use super::error::LocalError;
use super::follow::{Change, Follower};
use super::keeper::{Host, Keeper, Order, Phase};
use super::layout::{self, Site};
use super::probe::Probe;
use super::processes::Processes;
use super::redis_server::Redis;
use super::report::{self, StatusFile};
use super::signals::Signals;
use super::state_dir::StateDir;
use super::summary::{self, Summary};
use super::wish::{self, WishError};
use super::words::{MeshTale, seconds};
use crate::cli::LocalArgs;
use crate::crd::SfuCluster;
use crate::crd::status::SfuClusterStatus;
use crate::platform::{Event, Platform};
use crate::terminal::Terminal;
use k8s_openapi::jiff::Timestamp;
use sfumato_mesh::{HttpNodeAdmin, MeshHandle, MeshOptions, MeshSnapshot, MeshTask, PlanOptions, TokenSource};
use std::collections::BTreeMap;
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

/// One run of a cluster.
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
    tale: MeshTale,
    status: SfuClusterStatus,
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
    /// Nothing runs yet.
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
        // A builder without TLS files or system proxies to read cannot fail; were it to, the plain client works too.
        let http = reqwest::Client::builder().no_proxy().build().unwrap_or_default();
        let host = Arc::new(Host {
            terminal: terminal.clone(),
            logs: state.logs(),
            http,
            news,
        });
        Self {
            args,
            terminal,
            state,
            processes: Processes::new(Arc::clone(&host), news_rx, site),
            host,
            cluster,
            redis,
            redis_keeper: None,
            mesh: None,
            tale: MeshTale::new(Instant::now()),
            status: SfuClusterStatus::default(),
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
        self.processes.apply(&self.cluster).await?;
        self.link();
        loop {
            tokio::select! {
                () = signals.stop() => return Ok(()),
                event = self.processes.next_event() => self.tell(event),
                change = follower.changed() => self.follow(change).await,
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
        self.processes.order_nodes(Order::Stop(END_GRACE));
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

    fn greet(&self) {
        let spec = &self.cluster.spec;
        let what = self
            .args
            .file
            .as_ref()
            .map_or_else(String::new, |file| format!(" from {}", file.display()));
        let name = self.cluster.metadata.name.as_deref().unwrap_or_default();
        self.terminal
            .say(&format!("starting cluster `{name}`{what}: {}", nodes(spec.replicas)));
        if let (Some(wins), Some(_)) = (self.args.nodes, &self.args.file) {
            self.terminal
                .say(&format!("--nodes {wins} wins over spec.replicas of the file"));
        }
    }

    async fn start_redis(&mut self) -> Result<(), LocalError> {
        let Some(program) = self.redis.program(self.state) else {
            self.terminal.say(&format!("Redis at {} answers", self.redis.shown()));
            return Ok(());
        };
        let probe = Probe::Redis(self.redis.client.clone());
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
                lanes: layout::lanes(&self.cluster),
                link_grace: self.cluster.spec.mesh.link_grace.0,
            },
            ..MeshOptions::default()
        };
        if self.mesh.as_ref().is_none_or(|mesh| mesh.options != options) {
            let admin = Arc::new(HttpNodeAdmin::new(TokenSource::fixed(self.state.token())));
            let handle = MeshTask::spawn(self.processes.targets(), admin, options.clone());
            self.mesh = Some(Mesh { options, handle });
        }
    }

    fn tell(&self, event: Event) {
        show(self.terminal, event);
    }

    async fn follow(&mut self, change: Change) {
        let Some(path) = self.args.file.as_deref() else {
            return;
        };
        let outcome = match change {
            Change::Text(text) => self.adopt(path, &text).await.map_err(|error| error.to_string()),
            Change::Unreadable(source) => Err(WishError::Read {
                path: path.to_owned(),
                source,
            }
            .to_string()),
        };
        match outcome {
            Ok(told) => self.terminal.say(&format!("{} has changed: {told}", path.display())),
            Err(error) => self.terminal.warn(&format!("{error} (the cluster stays as it is)")),
        }
    }

    /// Carries out a new version of the manifest.
    async fn adopt(&mut self, path: &Path, text: &[u8]) -> Result<String, LocalError> {
        let new = wish::from_text(self.args, path, text)?;
        wish::check_change(path, &self.cluster, &new)?;
        let told = difference(&self.cluster, &new);
        self.processes.apply(&new).await?;
        self.cluster = new;
        self.link();
        Ok(told)
    }

    /// Tells what has become of the cluster: status file, mesh, and the summary once.
    fn look(&mut self) {
        let now = Instant::now();
        let mesh = self
            .mesh
            .as_ref()
            .map(|mesh| mesh.handle.snapshots.borrow().clone())
            .unwrap_or_default();
        // First the file, then the lines: a script that waits for a line finds the file up to date.
        self.report(&mesh);
        if let Some(line) = self.tale.line(&mesh, now) {
            self.terminal.say(&line);
        }
        let settled = self.processes.is_settled();
        self.settled = if settled { self.settled.or(Some(now)) } else { None };
        let waited_for_mesh = self
            .settled
            .is_some_and(|since| now.duration_since(since) > MESH_PATIENCE);
        if !self.summary_shown && settled && (mesh.is_whole() || waited_for_mesh) {
            self.summary_shown = true;
            self.summarize(now);
        }
        if !self.summary_shown && !self.explained && now.duration_since(self.started) > PATIENCE {
            self.explained = true;
            self.explain(&mesh);
        }
    }

    fn summarize(&self, now: Instant) {
        let after = seconds(now.duration_since(self.started));
        let Some(layout) = self.processes.layout() else {
            return;
        };
        self.terminal.say(&format!(
            "everything is up (after {after}): http://{}",
            layout.web.listen
        ));
        let pids: BTreeMap<String, i32> = self
            .views()
            .into_iter()
            .filter_map(|view| Some((view.name, view.state.pid?)))
            .collect();
        self.terminal.block(&summary::text(&Summary {
            layout,
            pids: &pids,
            redis: &self.redis.shown(),
            logs: &self.state.logs(),
            file: self.args.file.as_deref(),
        }));
    }

    fn explain(&self, mesh: &MeshSnapshot) {
        let missing = self.views().into_iter().filter(|view| view.state.phase != Phase::Ready);
        let mut lines: Vec<String> = missing
            .map(|view| match view.state.trouble {
                Some(trouble) => format!("{} has died {} times ({trouble})", view.name, view.state.restarts + 1),
                None => format!("{} is not ready", view.name),
            })
            .collect();
        if lines.is_empty() {
            lines.push(format!("mesh {}/{}", mesh.established_pairs, mesh.desired_pairs));
        }
        let waited = PATIENCE.as_secs();
        self.terminal
            .warn(&format!("not everything is up after {waited} s: {}", lines.join("; ")));
    }

    fn report(&mut self, mesh: &MeshSnapshot) {
        let nodes = self.processes.nodes();
        self.status = report::status(&self.cluster, &nodes, mesh, &self.status, Timestamp::now());
        let views = self.views();
        let page = format!("http://{}:{}", layout::IP, self.cluster.spec.web.service.port);
        let Some(file) = &mut self.status_file else {
            return;
        };
        if let Err(error) = file.write(&page, &self.state.logs(), &views, &self.status) {
            self.terminal
                .warn(&format!("cannot write the --status-json file: {error}; it is given up"));
            self.status_file = None;
        }
    }

    /// Every process, Redis first.
    fn views(&self) -> Vec<super::processes::ProcessView> {
        let redis = self.redis_keeper.iter().map(|keeper| super::processes::ProcessView {
            name: "redis".to_owned(),
            state: keeper.state(),
        });
        redis.chain(self.processes.view()).collect()
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

fn nodes(count: i32) -> String {
    if count == 1 {
        "1 node".to_owned()
    } else {
        format!("{count} nodes")
    }
}

/// What a new version of the manifest means.
fn difference(old: &SfuCluster, new: &SfuCluster) -> String {
    let mut same_size = old.spec.clone();
    same_size.replicas = new.spec.replicas;
    let resized = old.spec.replicas != new.spec.replicas;
    let size = format!("{} -> {}", old.spec.replicas, nodes(new.spec.replicas));
    match (resized, same_size == new.spec) {
        (false, true) => "nothing to do".to_owned(),
        (true, true) => size,
        (true, false) => format!("{size}, and what runs takes over the other fields one by one"),
        (false, false) => "what runs takes over the new fields one by one".to_owned(),
    }
}
