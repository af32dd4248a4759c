//! Puts the parts together and serves them until told to stop.

use crate::api::{Api, Told};
use crate::distrust::Distrusted;
use crate::door::Door;
use crate::limits::Limits;
use crate::observers::Observers;
use crate::options::Options;
use crate::polling::Reports;
use crate::seeds::Seed;
use crate::view::View;
use crate::{api, door, page, pass_on, polling};
use axum::Router;
use futures::future::Either;
use sfumato_admin_api::client::HttpNodeAdmin;
use sfumato_admin_api::files::TlsError;
use sfumato_admin_api::files::{TokenFile, TokenSource, TrustedCa};
use sfumato_admin_api::program::task::{self, Fatal};
use sfumato_admin_api::server::health::{self, Heartbeat};
use sfumato_admin_api::server::listen;
use sfumato_admin_api::server::serving::{self, Plain};
use sfumato_admin_api::server::tls::{KeyFiles, Tls};
use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// How long open requests may take to end after the word to stop; one request may take 10 s, but nobody waits for a
/// node that does not answer.
const STOP_DEADLINE: Duration = Duration::from_secs(5);

/// Why the front door cannot serve.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// No token.
    #[error("cannot read the admin token from {path}; check --admin-token-file and the file's mode")]
    Token {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// No CA.
    #[error(transparent)]
    Ca(#[from] TlsError),
    /// No certificate of its own.
    #[error("cannot serve HTTPS: {0}; check --tls-cert and --tls-key")]
    Tls(String),
    /// No page.
    #[error("cannot read the page from {path}; --page-dir is a directory with an index.html, such as web/ui")]
    Page {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// The address is taken, or not ours.
    #[error("cannot listen on {address}; check --listen, and whether another sfu-web runs")]
    Listen {
        address: SocketAddr,
        #[source]
        source: std::io::Error,
    },
    /// The same of the address for health checks.
    #[error("cannot serve health checks on {address}; check --health-listen, and whether another sfu-web runs")]
    HealthListen {
        address: SocketAddr,
        #[source]
        source: std::io::Error,
    },
    /// A task that this program lives by has failed.
    #[error("{0}")]
    Task(String),
}

/// Serves until `stop` is ready.
///
/// # Errors
/// When there is no token, certificate or listener, and as [`serve`].
pub async fn run(options: Options, stop: impl Future<Output = ()> + Send + 'static) -> Result<(), ServeError> {
    let token = match options.admin_token_file {
        Some(path) => match TokenFile::open(&path, Duration::ZERO) {
            Ok(file) => file.source(),
            Err(source) => return Err(ServeError::Token { path, source }),
        },
        None => TokenSource::fixed(""),
    };
    let ca = options.admin_ca.as_deref().map(TrustedCa::follow).transpose()?;
    let admin = match &ca {
        Some(ca) => HttpNodeAdmin::with_ca(token.clone(), ca),
        None => HttpNodeAdmin::new(token.clone()),
    };
    let page = page::Files::of(options.page_dir.as_deref()).map_err(|source| ServeError::Page {
        path: options.page_dir.clone().unwrap_or_default(),
        source,
    })?;
    let tls = match (options.tls_cert, options.tls_key) {
        (Some(cert), Some(key)) => Some(Tls::start(KeyFiles { cert, key }).map_err(ServeError::Tls)?),
        // Neither comes alone.
        _ => None,
    };
    let address = options.listen;
    let listener = listen::bind(address)
        .await
        .map_err(|source| ServeError::Listen { address, source })?;
    let health = match options.health_listen {
        Some(address) => Some(
            listen::bind(address)
                .await
                .map_err(|source| ServeError::HealthListen { address, source })?,
        ),
        None => None,
    };
    let seeds: Vec<String> = options.seeds.iter().map(ToString::to_string).collect();
    tracing::info!(version = env!("CARGO_PKG_VERSION"), listen = %address, seed = seeds.join(" "), "front door is open");
    let site = Site {
        limits: Limits::of(&options.limits, address, &options.allowed_hosts),
        health,
        page,
        ca,
        tls,
    };
    serve(listener, site, options.seeds, admin, token, stop).await
}

/// What a front door serves, and how.
#[derive(Debug)]
pub struct Site {
    /// How much clients may hold.
    pub limits: Limits,
    /// A listener for health checks alone.
    pub health: Option<TcpListener>,
    /// The page.
    pub page: page::Files,
    /// The CA that certificates of nodes must come from, where requests of clients are passed on by HTTPS.
    pub ca: Option<TrustedCa>,
    /// What the listener shows clients, where it is for HTTPS.
    pub tls: Option<Tls>,
}

/// Serves on this listener, with reports from anywhere: what [`run`] does, without its command line. By the token
/// nodes know that requests come from here.
///
/// # Errors
/// When there is no thread for health checks, or a task ends that it lives by.
pub async fn serve(
    listener: TcpListener,
    site: Site,
    seeds: Vec<Seed>,
    reports: impl Reports,
    token: TokenSource,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<(), ServeError> {
    let (view, seen) = watch::channel(View::default());
    let (telling, told) = watch::channel(Told::default());
    let observers = Observers::new(seen.clone(), reports.clone(), site.limits.checks.clone());
    let fatal = Fatal::default();
    let polling = task::vital(&fatal, "polling nodes", polling::run(view.clone(), seeds, reports));
    let publishing = task::vital(&fatal, "telling of the cluster", api::publish(seen.clone(), telling));
    let Site {
        limits,
        health,
        page,
        ca,
        tls,
    } = site;
    let heartbeat = Heartbeat::start();
    let _health = match health {
        Some(listener) => {
            let address = listener.local_addr().unwrap_or_else(|_| SocketAddr::from(([0; 4], 0)));
            let app = api::health(seen.clone(), heartbeat.clone());
            let started = health::start(listener, app);
            Some(started.map_err(|source| ServeError::HealthListen { address, source })?)
        }
        None => None,
    };
    let serving = limits.serving.clone();
    let nodes = Door {
        view,
        client: pass_on::client(ca.as_ref()),
        distrusted: Distrusted::default(),
        token,
        streams: limits.viewers,
        calls: limits.calls,
        open: told.clone(),
    };
    let app = app(nodes, Api::new(told, observers, limits.cluster), page).merge(api::health(seen, heartbeat));

    let (stopping, mut stopped) = watch::channel(());
    let until_stop = async move {
        stop.await;
        tracing::info!("stopping");
        // Without its writer every event stream ends; they would hold the server open for ever.
        publishing.abort();
        drop(stopping);
    };
    let served = match tls {
        Some(tls) => Either::Left(serving::serve(listener, tls, app, serving, until_stop)),
        None => Either::Right(serving::serve(listener, Plain, app, serving, until_stop)),
    };
    let result = tokio::select! {
        () = served => Ok(()),
        why = task::given_up(&fatal) => Err(ServeError::Task(why)),
        why = task::given_up(task::process()) => Err(ServeError::Task(why)),
        () = async {
            while stopped.changed().await.is_ok() {}
            tokio::time::sleep(STOP_DEADLINE).await;
        } => Ok(()),
    };
    polling.abort();
    result
}

/// Every route.
fn app(door: Door, api: Api, page: page::Files) -> Router {
    Router::new()
        .merge(door::routes(door))
        .merge(api::routes(api))
        .fallback_service(axum::routing::any(page::serve).with_state(page))
}
