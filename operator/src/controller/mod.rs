//! `sfu-operator run`: carries out `SfuCluster` objects on Kubernetes.
//!
//! Begin with [`reconcile`], where all stages stand in one function. From the bottom up, and a room knows only those below it:
//!
//! - [`build`]: from a wish to the objects that carry it out; pure
//! - [`watch`]: what the API server has, in memory, so that a cluster that is as desired costs no request; and the queue of
//!   clusters that are to be looked at
//! - [`process`]: what belongs to this process: its Lease, listener, metrics, events
//! - [`secret`]: the one Secret of a cluster that is drawn by chance
//! - [`mesh`]: the meshes, in tasks of their own, by the same driver as in local mode
//! - [`rollout`]: who has to leave, and when; which pod templates are kept
//! - [`stages`]: the other stages: validate, dereference, apply, write the status
//! - [`reconcile`]: calls them in turn; [`context`] is what it holds, [`pace`] how long it waits, [`work`] schedules it

pub mod build;
mod context;
mod error;
mod mesh;
mod pace;
mod process;
mod reconcile;
mod rollout;
mod secret;
mod stages;
#[cfg(test)]
mod stories;
mod watch;
mod words;
mod work;

use crate::cli::{Access, RunArgs};
use build::Settings;
use kube::{Client, Config};
use mesh::gauges::MeshGauges;
use mesh::meshes::Way;
use mesh::targets::NodeAccess;
use pace::Pace;
use process::events::Events;
use process::kubernetes_release::CONNECT_TIMEOUT;
use process::lease::{Elector, Lost, Timing};
use process::metrics::Metrics;
use sfumato_admin_api::client::Building;
use sfumato_admin_api::program::log;
use sfumato_admin_api::program::log_fields::LogFields;
use sfumato_admin_api::program::task;
use sfumato_mesh::Budget;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use watch::caches::Scope;
use work::{Part, Work};

/// Longest silence of the API server on an open connection: a little longer than a watch that it ends by itself.
const READ_TIMEOUT: Duration = Duration::from_secs(300);

/// Why the operator ended.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error("no API server is known: {0}; run as a pod with a ServiceAccount, or set KUBECONFIG")]
    NoConfig(#[source] kube::config::InferConfigError),
    #[error("the client of the API server cannot be made: {}", words::words(.0))]
    Client(#[source] kube::Error),
    #[error("cannot listen on {address}: {source}; choose another --listen")]
    Listen {
        address: std::net::SocketAddr,
        source: std::io::Error,
    },
    #[error("cannot {what}: {source}")]
    System { what: &'static str, source: std::io::Error },
    #[error(transparent)]
    Lost(#[from] Lost),
    #[error("{0}")]
    Task(String),
}

/// Runs the operator until SIGTERM or Ctrl-C.
///
/// # Errors
/// When it cannot start, has lost its Lease, or a task ends that it lives by.
pub fn main(args: &RunArgs) -> Result<(), RunError> {
    log::start(&args.log, args.log_format, LogFields::default());
    // Both ring and aws-lc may be linked (the latter by test tools of the workspace); one must be chosen.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|source| RunError::System {
            what: "start the runtime",
            source,
        })?;
    let outcome = runtime.block_on(run(args));
    // The process ends now, and its tasks were told to. In a runtime that is taken down while one of them is polled, timers panic.
    std::mem::forget(runtime);
    outcome
}

async fn run(args: &RunArgs) -> Result<(), RunError> {
    let client = client().await?;
    let namespace = args
        .namespace
        .clone()
        .unwrap_or_else(|| client.default_namespace().to_owned());
    let metrics = Arc::new(Metrics::new());
    let way = Way {
        access: node_access(args),
        api_server: client.clone(),
        every: Pace::of(args).believed(false),
        metrics: Arc::clone(&metrics),
        building: Building::default(),
        budget: Budget::default(),
    };
    let parts: Vec<Part> = scopes(args).into_iter().map(|scope| Part::new(scope, &way)).collect();
    let (waiting, waits) = tokio::sync::watch::channel(Some("the API server"));
    let listener = sfumato_admin_api::server::listen::bind(args.listen)
        .await
        .map_err(|source| RunError::Listen {
            address: args.listen,
            source,
        })?;
    let mut registry = metrics.registry();
    let meshes = parts.iter().map(|part| Arc::clone(&part.meshes)).collect();
    registry.register_collector(Box::new(MeshGauges::new(meshes)));
    let fatal = task::process();
    let serving = process::server::serve(listener, waits, registry).map_err(|source| RunError::Listen {
        address: args.listen,
        source,
    })?;
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"), listen = %args.listen, identity = args.identity, namespace, "started"
    );
    let stop = stopped()?;
    let work = Work {
        client: client.clone(),
        settings: settings(args, &namespace),
        installation: args.installation(&namespace),
        selector: args.selector.clone().unwrap_or_default(),
        defaults: args.cluster_defaults.clone().unwrap_or_default(),
        pace: Pace::of(args),
        events: Events::new(client.clone(), args.identity.clone()),
        metrics: Arc::clone(&metrics),
        waiting,
        parts,
    };
    let outcome = if args.leader_elect {
        let elector = Elector::new(
            client,
            &namespace,
            &args.name,
            &args.identity,
            Timing::of(args.lease_duration),
        );
        let standing = elector.standing();
        let working = task::vital(fatal, "work of the leader", work.once_leading(standing));
        let outcome = tokio::select! {
            outcome = elector.run(stop) => outcome.map_err(RunError::from),
            why = task::given_up(fatal) => Err(RunError::Task(why)),
        };
        working.abort();
        outcome
    } else {
        let working = task::vital(fatal, "work on all clusters", work.run());
        let outcome = tokio::select! {
            () = stop => Ok(()),
            why = task::given_up(fatal) => Err(RunError::Task(why)),
        };
        working.abort();
        outcome
    };
    metrics.set_leader(false);
    drop(serving);
    outcome
}

/// A client whose every call ends: no retries of its own, since each reconcile is repeated as a whole.
async fn client() -> Result<Client, RunError> {
    let mut config = Config::infer().await.map_err(RunError::NoConfig)?;
    config.default_retry = false;
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    config.read_timeout = Some(READ_TIMEOUT);
    Client::try_from(config).map_err(RunError::Client)
}

fn scopes(args: &RunArgs) -> Vec<Scope> {
    if args.watch_namespaces.is_empty() {
        vec![Scope::All]
    } else {
        args.watch_namespaces.iter().cloned().map(Scope::Namespace).collect()
    }
}

fn node_access(args: &RunArgs) -> NodeAccess {
    match args.node_access {
        Access::Direct => NodeAccess::Direct,
        Access::Proxy => NodeAccess::Proxy,
    }
}

fn settings(args: &RunArgs, namespace: &str) -> Settings {
    Settings {
        node_image: args.node_image.clone(),
        web_image: args.web_image.clone(),
        redis_image: args.redis_image.clone(),
        operator_namespace: args.in_cluster().then(|| namespace.to_owned()),
    }
}

/// SIGTERM or Ctrl-C.
fn stopped() -> Result<impl Future<Output = ()>, RunError> {
    let listen = |kind| {
        signal(kind).map_err(|source| RunError::System {
            what: "listen for signals",
            source,
        })
    };
    let (mut term, mut interrupt) = (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = term.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("ending");
    })
}
