//! The system under test: bare nodes, or a whole local cluster, on loopback and on ports of its own.

use super::process::Process;
use super::{RunError, poll};
use crate::output::progress;
use crate::peer::client;
use clap::Args;
use sfumato_admin_api::client::{AdminError, HttpNodeAdmin, NodeAdmin};
use sfumato_admin_api::files::TokenSource;
use sfumato_admin_api::program::option_values::whole_number;
use sfumato_admin_api::types::{LinkState, NodeName, NodeReport};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A cold node on a starved machine takes a while to load.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// Nobody knows this token but this process and the nodes that it starts, which listen on loopback only.
const TOKEN: &str = "sfu-bench";
/// Each node has so many ports, counted from both bases.
const PORTS_A_NODE: u16 = 100;
/// Ports that an option may name: 32 nodes find room above.
const PORTS: RangeInclusive<u16> = 1024..=60_000;

/// Where the programs are, and which ports to use.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "System under test")]
pub struct SystemOptions {
    /// Directory of sfu-node, sfu-operator and sfu-web [default: that of this program]
    #[arg(long, value_name = "DIR")]
    pub bin_dir: Option<PathBuf>,
    /// Port of the front door
    #[arg(long, value_name = "PORT", default_value_t = 12020, value_parser = whole_number(PORTS, 12020))]
    pub web_port: u16,
    /// WHIP and WHEP port of the first node
    #[arg(long, value_name = "PORT", default_value_t = 13001, value_parser = whole_number(PORTS, 13001))]
    pub client_port_base: u16,
    /// Admin port of the first node
    #[arg(long, value_name = "PORT", default_value_t = 14001, value_parser = whole_number(PORTS, 14001))]
    pub admin_port_base: u16,
    /// Health port of the first node
    #[arg(long, value_name = "PORT", default_value_t = 15001, value_parser = whole_number(PORTS, 15001))]
    pub health_port_base: u16,
    /// Port of Redis
    #[arg(long, value_name = "PORT", default_value_t = 16377, value_parser = whole_number(PORTS, 16377))]
    pub redis_port: u16,
    /// First media port; each node has 100
    #[arg(long, value_name = "PORT", default_value_t = 16500, value_parser = whole_number(PORTS, 16500))]
    pub media_port_base: u16,
    /// First port of the links; each node has 100
    #[arg(long, value_name = "PORT", default_value_t = 26000, value_parser = whole_number(PORTS, 26000))]
    pub pipe_port_base: u16,
}

impl SystemOptions {
    /// Path of a program of the workspace; an error when it was not built.
    pub(super) fn program(&self, name: &str) -> Result<PathBuf, RunError> {
        let missing = |program: PathBuf, source| RunError::Start { program, source };
        let path = match &self.bin_dir {
            Some(dir) => dir.join(name),
            None => std::env::current_exe()
                .map_err(|e| missing(name.into(), e))?
                .with_file_name(name),
        };
        match path.metadata() {
            Ok(_) => Ok(path),
            Err(source) => Err(missing(path, source)),
        }
    }

    /// WHIP and WHEP base URL of the n-th node, counted from 0.
    #[must_use]
    pub fn client_url(&self, node: u16) -> String {
        format!("http://127.0.0.1:{}", self.client_port_base + node)
    }

    /// Admin base URL of the n-th node, counted from 0.
    #[must_use]
    pub fn admin_url(&self, node: u16) -> String {
        format!("http://127.0.0.1:{}", self.admin_port_base + node)
    }

    fn ready_url(&self, node: u16) -> String {
        format!("http://127.0.0.1:{}/readyz", self.health_port_base + node)
    }
}

/// Directory for logs and the token of one system; removed with it, kept when a run failed.
pub(super) struct StateDir(pub(super) PathBuf);

impl StateDir {
    pub(super) fn new() -> Result<Self, RunError> {
        let made = tempfile::Builder::new().prefix("sfu-bench-").tempdir();
        made.map(|directory| Self(directory.keep()))
            .map_err(|source| RunError::File {
                path: std::env::temp_dir(),
                source,
            })
    }

    pub(super) fn write(&self, name: &str, text: &str) -> Result<PathBuf, RunError> {
        let path = self.0.join(name);
        std::fs::write(&path, text).map_err(|source| RunError::File {
            path: path.clone(),
            source,
        })?;
        Ok(path)
    }

    /// Removes it, unless what was measured failed.
    pub(super) fn after<T>(self, measured: &Result<T, RunError>) {
        if measured.is_err() {
            return;
        }
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::debug!(%error, path = %self.0.display(), "not removed");
        }
    }
}

impl Drop for StateDir {
    fn drop(&mut self) {
        if self.0.exists() {
            progress(&format!("logs are kept in {}", self.0.display()));
        }
    }
}

/// Bare nodes without Redis, operator or links.
pub struct Nodes {
    pub admin: HttpNodeAdmin,
    pub options: SystemOptions,
    /// From the first process to the last `/readyz`.
    pub ready_after: Duration,
    processes: Vec<Process>,
    state: StateDir,
}

impl Nodes {
    /// Starts `count` nodes and waits until all answer `/readyz`.
    pub async fn start(options: &SystemOptions, count: u16, workers: u16) -> Result<Self, RunError> {
        let program = options.program("sfu-node")?;
        let state = StateDir::new()?;
        let token = state.write("admin-token", TOKEN)?;
        let started = Instant::now();
        let processes = (0..count)
            .map(|n| Process::start(&name(n), &program, &node_args(options, n, workers, &token), &state.0))
            .collect::<Result<Vec<_>, _>>()?;
        let admin = HttpNodeAdmin::new(TokenSource::fixed(TOKEN));
        let mut nodes = Self {
            admin,
            options: options.clone(),
            ready_after: Duration::ZERO,
            processes,
            state,
        };
        for node in 0..count {
            wait_ready(options, node, &mut nodes.processes).await?;
        }
        nodes.ready_after = started.elapsed();
        Ok(nodes)
    }

    /// How many.
    #[must_use]
    pub fn count(&self) -> u16 {
        u16::try_from(self.processes.len()).unwrap_or(u16::MAX)
    }

    /// Pid of the n-th node, counted from 0.
    #[must_use]
    pub fn pid(&self, node: u16) -> u32 {
        self.processes[usize::from(node)].pid
    }

    /// What the n-th node says of itself.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn report(&self, node: u16) -> Result<NodeReport, AdminError> {
        self.admin
            .node_report(&self.options.admin_url(node), None, Duration::ZERO)
            .await
    }

    /// Ends all nodes; their logs are kept if what was measured failed.
    pub async fn stop_after<T>(self, measured: &Result<T, RunError>) {
        self.processes.iter().for_each(Process::terminate);
        for process in self.processes {
            process.ended().await;
        }
        self.state.after(measured);
    }
}

/// A whole cluster under `sfu-operator local`: Redis, nodes, mesh, front door.
pub struct Cluster {
    pub admin: HttpNodeAdmin,
    pub options: SystemOptions,
    pub nodes: u16,
    operator: Process,
    state: StateDir,
}

impl Cluster {
    /// Starts a cluster and waits until its mesh is whole.
    pub async fn start(options: &SystemOptions, nodes: u16, workers: u16) -> Result<Self, RunError> {
        let state = StateDir::new()?;
        let args = cluster_args(options, nodes, workers, &state.0.join("cluster"));
        let operator = Process::start("sfu-operator", &options.program("sfu-operator")?, &args, &state.0)?;
        let mut processes = [operator];
        for node in 0..nodes {
            wait_ready(options, node, &mut processes).await?;
        }
        let [operator] = processes;
        let token = state.0.join("cluster/admin-token");
        let token = std::fs::read_to_string(&token).map_err(|source| RunError::File { path: token, source })?;
        let admin = HttpNodeAdmin::new(TokenSource::fixed(token));
        let cluster = Self {
            admin,
            options: options.clone(),
            nodes,
            operator,
            state,
        };
        cluster.whole(READY_WITHIN).await?;
        Ok(cluster)
    }

    /// Pid of the operator, the parent of every node.
    #[must_use]
    pub fn operator_pid(&self) -> u32 {
        self.operator.pid
    }

    /// What the n-th node says of itself.
    pub async fn report(&self, node: u16) -> Result<NodeReport, AdminError> {
        self.admin
            .node_report(&self.options.admin_url(node), None, Duration::ZERO)
            .await
    }

    /// Waits until both ends of every link are fresh; asks every 20 ms.
    pub async fn whole(&self, within: Duration) -> Result<Vec<NodeReport>, RunError> {
        poll("whole mesh", within, Duration::from_millis(20), || async {
            let mut reports = Vec::new();
            for node in 0..self.nodes {
                reports.push(self.report(node).await.map_err(|e| e.to_string())?);
            }
            let links = reports.iter().map(|r| r.links.len()).sum::<usize>();
            if is_whole(&reports) {
                Ok(reports)
            } else {
                Err(format!("{links} link ends reported, not all fresh"))
            }
        })
        .await
    }

    /// Ends the operator, which ends everything that it has started; logs are kept if what was measured failed.
    pub async fn stop_after<T>(self, measured: &Result<T, RunError>) {
        self.operator.terminate();
        self.operator.ended().await;
        self.state.after(measured);
    }
}

/// Whether every pair of these nodes has all its lanes, fresh at both ends and made for the present lives.
#[must_use]
pub fn is_whole(reports: &[NodeReport]) -> bool {
    reports.iter().enumerate().all(|(i, a)| {
        reports.iter().enumerate().filter(|(j, _)| i != *j).all(|(_, b)| {
            let lanes = usize::from(a.workers.min(b.workers));
            fresh_links(a, b).count() >= lanes.max(1)
        })
    })
}

fn fresh_links<'a>(from: &'a NodeReport, to: &'a NodeReport) -> impl Iterator<Item = ()> + 'a {
    let ours = from
        .links
        .iter()
        .filter(|l| l.state == LinkState::Fresh && l.peer == to.node.name && l.peer_incarnation == to.node.incarnation);
    ours.map(|_| ())
}

fn name(node: u16) -> String {
    format!("sfu-{}", node + 1)
}

/// The name that the n-th node (counted from 0) goes by.
///
/// # Panics
/// Never: the name keeps the rules.
#[must_use]
pub fn node_name(node: u16) -> NodeName {
    name(node).parse().expect("sfu-N is a valid node name")
}

fn node_args(options: &SystemOptions, node: u16, workers: u16, token: &Path) -> Vec<String> {
    let pipes = options.pipe_port_base + node * PORTS_A_NODE;
    let listen = |base: u16| format!("127.0.0.1:{}", base + node);
    [
        ("--name", name(node)),
        ("--cluster", format!("bench/mesh/{}", std::process::id())),
        ("--workers", workers.to_string()),
        ("--listen", listen(options.client_port_base)),
        ("--client-url", options.client_url(node)),
        ("--admin-listen", listen(options.admin_port_base)),
        ("--admin-url", options.admin_url(node)),
        ("--admin-token-file", token.display().to_string()),
        ("--health-listen", listen(options.health_port_base)),
        ("--media-ip", "127.0.0.1".to_owned()),
        (
            "--media-port",
            (options.media_port_base + node * PORTS_A_NODE).to_string(),
        ),
        ("--media-tcp", "true".to_owned()),
        ("--pipe-ip", "127.0.0.1".to_owned()),
        ("--pipe-ports", format!("{pipes}-{}", pipes + PORTS_A_NODE - 1)),
        ("--log-format", "human".to_owned()),
    ]
    .into_iter()
    .flat_map(|(flag, value)| [flag.to_owned(), value])
    .collect()
}

fn cluster_args(options: &SystemOptions, nodes: u16, workers: u16, state: &Path) -> Vec<String> {
    let flags = [
        ("--nodes", nodes.to_string()),
        ("--workers", workers.to_string()),
        ("--web-port", options.web_port.to_string()),
        ("--client-port-base", options.client_port_base.to_string()),
        ("--admin-port-base", options.admin_port_base.to_string()),
        ("--health-port-base", options.health_port_base.to_string()),
        ("--redis-port", options.redis_port.to_string()),
        ("--media-port-base", options.media_port_base.to_string()),
        ("--pipe-port-base", options.pipe_port_base.to_string()),
        ("--state-dir", state.display().to_string()),
        ("--log-format", "human".to_owned()),
    ];
    std::iter::once("local".to_owned())
        .chain(flags.into_iter().flat_map(|(flag, value)| [flag.to_owned(), value]))
        .collect()
}

/// Waits for one node's `/readyz`, and gives up at once when a process has ended.
async fn wait_ready(options: &SystemOptions, node: u16, processes: &mut [Process]) -> Result<(), RunError> {
    let (client, url) = (client(), options.ready_url(node));
    let last = Instant::now() + READY_WITHIN;
    loop {
        processes.iter_mut().try_for_each(Process::check)?;
        let state = match client.get(&url).timeout(Duration::from_secs(2)).send().await {
            Ok(answer) if answer.status().is_success() => return Ok(()),
            Ok(answer) => format!("{url} answers {}", answer.status()),
            Err(error) => format!("{url}: {error}"),
        };
        if Instant::now() >= last {
            return Err(RunError::Deadline {
                what: format!("ready {}", name(node)),
                within: READY_WITHIN,
                state,
            });
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
