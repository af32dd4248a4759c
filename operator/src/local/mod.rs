//! `sfu-operator local`: carries out an `SfuCluster` with processes on this machine.
//!
//! The path through it: [`wish`] reads what is wanted, [`prepare`] finds everything that could go wrong before anything
//! runs, [`session::Session`] runs the cluster and follows the manifest, and in the end takes down what it started.
//! What is due is decided by [`crate::cluster`], as on Kubernetes; [`observe`] puts it in terms of processes, and [`processes`]
//! does it. What is told of them is made of [`facts`].

mod backoff;
mod child;
mod client_keys;
mod drain_call;
mod drain_progress;
mod error;
mod exit;
mod facts;
mod follow;
mod ignored;
mod keeper;
mod layout;
mod log_file;
mod mesh_progress;
mod messages;
mod observe;
mod port_holder;
mod ports;
mod probe;
mod processes;
mod programs;
mod reach;
mod redis_server;
mod report;
mod session;
mod signals;
mod state_dir;
#[cfg(test)]
mod stories;
mod summary;
mod wish;

use crate::cli::LocalArgs;
use crate::crd::SfuCluster;
use crate::terminal::Terminal;
use client_keys::ClientKeys;
pub use error::LocalError;
use layout::{Layout, Site};
use rand::RngExt;
use reach::Reach;
use redis_server::Redis;
use session::Session;
use sfumato_admin_api::program::log;
use sfumato_admin_api::program::log_fields::LogFields;
use signals::Signals;
use state_dir::StateDir;
use std::path::PathBuf;

/// Runs a cluster until the user ends it.
///
/// Everything happens on the one thread that calls this, on purpose: the kernel tells a child of its parent's death when
/// the parent's *thread* ends, and the threads of a pool come and go.
///
/// # Errors
/// When the cluster cannot be started. Nothing is left running then.
pub fn main(args: &LocalArgs, terminal: &Terminal) -> Result<(), LocalError> {
    log::start(&args.log, args.log_format, LogFields::default());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|source| LocalError::System {
            what: "start the runtime",
            source,
        })?;
    runtime.block_on(run(args, terminal))
}

async fn run(args: &LocalArgs, terminal: &Terminal) -> Result<(), LocalError> {
    let cluster = wish::read(args)?;
    let mut signals = Signals::listen().map_err(|source| LocalError::System {
        what: "listen for Ctrl-C",
        source,
    })?;
    let reach = Reach::of(args, reach::own_address)?;
    let ready = prepare(args, &cluster, &reach).await?;
    warn_of_shown_password(args, terminal);
    if let Some(told) = ignored::without_effect(&cluster.spec) {
        terminal.warn(&told);
    }
    let state = StateDir::create(args.state_dir.as_deref())?;
    state.write_redis(&ready.redis.url, ready.redis.config().as_deref())?;
    let keys = client_keys(args, &state)?;
    for note in reach.notes(args) {
        terminal.warn(&note);
    }
    let site = ready.site(args, &cluster, &state, (reach, keys));
    let mut session = Session::new(args, terminal, &state, site, ready.redis, cluster);
    let outcome = session.run(&mut signals).await;
    session.end(&mut signals).await;
    if outcome.is_ok() {
        state.remove_if_temporary();
    } else if state.is_temporary() {
        terminal.say(&format!("logs are kept in {}", state.logs().display()));
    }
    outcome
}

/// What tokens are checked with: if other machines get here, nobody gets in without one unless somebody says so.
fn client_keys(args: &LocalArgs, state: &StateDir) -> Result<Option<ClientKeys>, LocalError> {
    let given = ClientKeys::of(args);
    if given.is_some() || args.open || !reach::is_beyond(args) {
        return Ok(given);
    }
    Ok(Some(ClientKeys::Secret(state.auth_secret()?)))
}

/// What everybody may see who may list processes is no secret.
fn warn_of_shown_password(args: &LocalArgs, terminal: &Terminal) {
    let Some(url) = args.redis_url.as_deref() else { return };
    let password =
        redis::Client::open(url).is_ok_and(|client| client.get_connection_info().redis_settings().password().is_some());
    let shown = |argument: std::ffi::OsString| argument.to_string_lossy().ends_with(url);
    if password && std::env::args_os().any(shown) {
        terminal.warn(
            "--redis-url has a password, and everybody who may list processes sees it: use the environment variable SFUMATO_REDIS_URL",
        );
    }
}

/// Files that are read by what is started.
#[derive(Default)]
struct SecretFiles {
    token: PathBuf,
    front_door_token: PathBuf,
    redis_url: PathBuf,
}

/// What was found to be in order before anything is started.
struct Ready {
    node_bin: PathBuf,
    web_bin: PathBuf,
    redis: Redis,
}

async fn prepare(args: &LocalArgs, cluster: &SfuCluster, reach: &Reach) -> Result<Ready, LocalError> {
    let node_bin = programs::sibling(args.node_bin.as_deref(), "sfu-node", "--node-bin")?;
    let web_bin = programs::sibling(args.web_bin.as_deref(), "sfu-web", "--web-bin")?;
    let own_redis = args.own_redis();
    let redis = match (&args.redis_url, own_redis) {
        (None, Some(address)) => Redis::to_start(programs::redis(args.redis_bin.as_deref())?, address)?,
        (url, _) => Redis::running(url.as_deref().unwrap_or_default()).await?,
    };
    let ready = Ready {
        node_bin,
        web_bin,
        redis,
    };
    // The ports do not depend on the state directory, which is made last: a refusal leaves nothing behind.
    let uses = ports::wanted(
        &Layout::new(
            cluster,
            &ready.site_in(args, cluster, (SecretFiles::default(), reach.clone(), None)),
        ),
        own_redis,
    );
    ports::check_disjoint(&uses)?;
    ports::check_free(&uses)?;
    Ok(ready)
}

impl Ready {
    fn site(
        &self,
        args: &LocalArgs,
        cluster: &SfuCluster,
        state: &StateDir,
        (reach, keys): (Reach, Option<ClientKeys>),
    ) -> Site {
        let files = SecretFiles {
            token: state.token_file(),
            front_door_token: state.front_door_token_file(),
            redis_url: state.redis_url_file(),
        };
        self.site_in(args, cluster, (files, reach, keys))
    }

    fn site_in(
        &self,
        args: &LocalArgs,
        cluster: &SfuCluster,
        (files, reach, client_keys): (SecretFiles, Reach, Option<ClientKeys>),
    ) -> Site {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Site {
            node_bin: self.node_bin.clone(),
            web_bin: self.web_bin.clone(),
            client_port_base: args.client_port_base,
            admin_port_base: args.admin_port_base,
            health_port_base: args.health_port_base,
            redis_url_file: files.redis_url,
            token_file: files.token,
            front_door_token_file: files.front_door_token,
            log_format: args.log_format,
            uid: format!("{:016x}", rand::rng().random::<u64>()),
            reach,
            client_keys,
            drain_deadline: args.drain_deadline,
            cores: i32::try_from(cores).unwrap_or(i32::MAX),
            seeds: layout::replicas(cluster),
        }
    }
}
