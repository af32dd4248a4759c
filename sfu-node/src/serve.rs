//! Running a node: its listeners, its tasks, and how it ends.

use crate::http;
use crate::listeners;
use crate::media::socket_buffers;
use crate::node::{self, Node};
use crate::options::Options;
use crate::sessions::end_reason::EndReason;
use sfumato_admin_api::client::HttpNodeAdmin;
use sfumato_admin_api::files::{TokenFile, TokenSource, TrustedCa};
use sfumato_admin_api::program::task;
use sfumato_admin_api::server::admin_token::Accepted;
use sfumato_admin_api::server::health::{self, Heartbeat};
use sfumato_admin_api::server::listen;
use sfumato_admin_api::server::serving::{Plain, serve};
use sfumato_admin_api::server::tls::{KeyFiles, Tls};
use sfumato_admin_api::types::DrainReason;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::{JoinError, JoinSet};

/// Longest wait for open requests when the node ends.
const SHUTDOWN_DEADLINE: Duration = Duration::from_secs(3);

/// Runs a node until it is told to end, or fails; the error says why.
///
/// # Errors
/// When it cannot start, and when a media worker ends.
pub async fn run(options: Options) -> Result<(), String> {
    let (tokens, source) = tokens(&options)?;
    let clients = bind("--listen", options.listen).await?;
    let secure = match options.secure_listen {
        Some(address) => Some(bind("--secure-listen", address).await?),
        None => None,
    };
    let admin = bind("--admin-listen", options.admin_listen).await?;
    let health = bind("--health-listen", options.health_listen).await?;
    let tls = match (&options.admin_tls_cert, &options.admin_tls_key) {
        (Some(cert), Some(key)) => {
            let tls = Tls::start(KeyFiles {
                cert: cert.clone(),
                key: key.clone(),
            });
            Some(tls.map_err(|error| format!("--admin-tls-cert, --admin-tls-key: {error}"))?)
        }
        _ => None,
    };
    let peers = match &options.admin_ca {
        Some(path) => {
            let ca = TrustedCa::follow(path).map_err(|error| format!("--admin-ca: {error}"))?;
            HttpNodeAdmin::with_ca(source, &ca)
        }
        None => HttpNodeAdmin::new(source),
    };
    socket_buffers::tell();
    let (node, inbox) = Node::start(options, peers).await.map_err(|error| error.to_string())?;
    node::start_tasks(&node, inbox);
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let ended = || {
        let mut stopped = stopped.clone();
        async move {
            let _ = stopped.wait_for(|stop| *stop).await;
        }
    };
    let mut servers = JoinSet::new();
    let clients_app = http::clients::router(Arc::clone(&node), tokens.clone());
    let clients_serving = listeners::clients(&node.options);
    if let (Some(secure), Some(tls)) = (secure, tls.clone()) {
        let (app, serving) = (clients_app.clone(), listeners::front_doors(&clients_serving));
        servers.spawn(serve(secure, tls, app, serving, ended()));
    }
    servers.spawn(serve(clients, Plain, clients_app, clients_serving, ended()));
    let admin_app = http::admin::router(Arc::clone(&node), tokens);
    let admin_serving = listeners::admin(&node.options);
    match tls {
        Some(tls) => servers.spawn(serve(admin, tls, admin_app, admin_serving, ended())),
        None => servers.spawn(serve(admin, Plain, admin_app, admin_serving, ended())),
    };
    let health_app = http::health::router(Arc::clone(&node), Heartbeat::start());
    // It answers until the process ends.
    let _health = health::start(health, health_app).map_err(|error| format!("--health-listen: {error}"))?;
    node.state.set_started();
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"), node = %node.me.name, incarnation = %node.me.incarnation,
        listen = %node.options.listen, secure_listen = node.options.secure_listen.map(tracing::field::display),
        admin_listen = %node.options.admin_listen, workers = node.workers.all().len(), "ready"
    );
    let outcome = wait_for_the_end(&node, &mut servers).await;
    // Both kinds of long poll are answered now, or peers would hold their connections to the end of their wait.
    node.drain_for(DrainReason::Sigterm, Duration::ZERO);
    node.state.touch_readiness();
    let _ = stop.send(true);
    for session in node.sessions.all() {
        let id = session.id.clone();
        drop(session);
        node.end_session(&id, EndReason::NodeEnds).await;
    }
    // Long polls are answered by the change above; what is still open after this is cut.
    let _ = tokio::time::timeout(SHUTDOWN_DEADLINE, async {
        while servers.join_next().await.is_some() {}
    })
    .await;
    tracing::info!(node = %node.me.name, "ended");
    outcome
}

/// The tokens that the admin listener accepts, if it asks for any, and the one that this node presents to its peers.
fn tokens(options: &Options) -> Result<(Option<http::admin::Tokens>, TokenSource), String> {
    let open = |flag: &str, path: &Path| {
        let file = TokenFile::open(path, options.access.key_overlap);
        file.map_err(|error| format!("{flag} {}: {error}", path.display()))
    };
    let Some(path) = &options.admin_token_file else {
        return Ok((None, TokenSource::fixed("")));
    };
    let admin = open("--admin-token-file", path)?;
    let source = admin.source();
    let front_door = options.front_door_token_file.as_deref();
    let front_door = front_door
        .map(|path| open("--front-door-token-file", path))
        .transpose()?;
    let accepted = move || Accepted {
        admin: admin.tokens(),
        front_door: front_door.as_ref().map(|file| file.tokens()).unwrap_or_default(),
    };
    Ok((Some(Arc::new(accepted)), source))
}

async fn bind(flag: &str, address: SocketAddr) -> Result<TcpListener, String> {
    listen::bind(address)
        .await
        .map_err(|error| format!("{flag} {address}: {error}; choose another address or stop what uses it"))
}

/// SIGTERM drains the node and ends it once it is empty; a second signal, or SIGINT, ends it at once. A dead worker, task
/// or listener ends it with an error, so that it is restarted.
async fn wait_for_the_end(node: &Arc<Node>, servers: &mut JoinSet<()>) -> Result<(), String> {
    let listen = |kind| signal(kind).map_err(|error| format!("listening for signals: {error}"));
    let (mut term, mut int) = (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
    let mut signals = 0;
    loop {
        tokio::select! {
            _ = term.recv() => {
                signals += 1;
                if signals > 1 {
                    tracing::info!("SIGTERM again: ending at once");
                    return Ok(());
                }
                let deadline = node.options.drain_deadline;
                tracing::info!(
                    "SIGTERM: ends when empty, at the latest in {}; once more to end at once",
                    humantime::format_duration(deadline)
                );
                node.drain_for(DrainReason::Sigterm, deadline);
            }
            _ = int.recv() => {
                tracing::info!("SIGINT: ending at once");
                return Ok(());
            }
            () = node.emptied() => return Ok(()),
            why = task::given_up(&node.state.fatal) => return Err(why),
            why = task::given_up(task::process()) => return Err(why),
            ended = servers.join_next() => return Err(listener_ended(ended)),
        }
    }
}

/// Why a listener serves no longer although nobody has asked it to end.
fn listener_ended(how: Option<Result<(), JoinError>>) -> String {
    let why = match how {
        Some(Err(error)) => task::panic_of(error).unwrap_or_else(|| "it was aborted".to_owned()),
        Some(Ok(())) | None => "it returned".to_owned(),
    };
    format!("a listener has ended: {why}")
}
