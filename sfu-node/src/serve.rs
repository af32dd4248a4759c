//! Running a node: its listeners, its tasks, and how it ends.

use crate::http;
use crate::node::{self, Node};
use crate::options::Options;
use crate::sessions::end_reason::EndReason;
use sfumato_admin_api::client::HttpNodeAdmin;
use sfumato_admin_api::files::{TokenFile, TokenSource, TrustedCa};
use sfumato_admin_api::server::admin_token::Accepted;
use sfumato_admin_api::server::listen;
use sfumato_admin_api::types::DrainReason;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

/// Longest wait for open requests when the node ends.
const SHUTDOWN_DEADLINE: Duration = Duration::from_secs(3);

/// Runs a node until it is told to end, or fails; the error says why.
///
/// # Errors
/// When it cannot start, and when a media worker ends.
pub async fn run(options: Options) -> Result<(), String> {
    let (tokens, source) = tokens(&options)?;
    let clients = bind("--listen", options.listen).await?;
    let admin = bind("--admin-listen", options.admin_listen).await?;
    let health = bind("--health-listen", options.health_listen).await?;
    let admin = match (&options.admin_tls_cert, &options.admin_tls_key) {
        (Some(cert), Some(key)) => {
            let files = http::tls::KeyFiles {
                cert: cert.clone(),
                key: key.clone(),
            };
            let listener = http::tls::TlsListener::start(admin, files)
                .map_err(|error| format!("--admin-tls-cert, --admin-tls-key: {error}"))?;
            Either::Tls(listener)
        }
        _ => Either::Plain(admin),
    };
    let peers = match &options.admin_ca {
        Some(path) => {
            let ca = TrustedCa::follow(path).map_err(|error| format!("--admin-ca: {error}"))?;
            HttpNodeAdmin::with_ca(source, &ca)
        }
        None => HttpNodeAdmin::new(source),
    };
    let (node, inbox) = Node::start(options, peers).await.map_err(|error| error.to_string())?;
    node::start_tasks(&node, inbox);
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let mut servers = tokio::task::JoinSet::new();
    let clients_app = http::clients::router(Arc::clone(&node), tokens.clone());
    let admin_app = http::admin::router(Arc::clone(&node), tokens);
    for (listener, app) in [
        (Either::Plain(clients), clients_app),
        (admin, admin_app),
        (Either::Plain(health), http::health::router(Arc::clone(&node))),
    ] {
        let mut stopped = stopped.clone();
        let ended = async move {
            let _ = stopped.wait_for(|stop| *stop).await;
        };
        match listener {
            Either::Plain(listener) => {
                let service = app.into_make_service_with_connect_info::<SocketAddr>();
                servers.spawn(async move { axum::serve(listener, service).with_graceful_shutdown(ended).await });
            }
            Either::Tls(listener) => {
                servers.spawn(async move { axum::serve(listener, app).with_graceful_shutdown(ended).await });
            }
        }
    }
    node.state.set_started();
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"), node = %node.me.name, incarnation = %node.me.incarnation,
        listen = %node.options.listen, admin_listen = %node.options.admin_listen, workers = node.workers.all().len(), "ready"
    );
    let outcome = wait_for_the_end(&node).await;
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

/// A listener with or without TLS.
enum Either {
    Plain(TcpListener),
    Tls(http::tls::TlsListener),
}

async fn bind(flag: &str, address: SocketAddr) -> Result<TcpListener, String> {
    listen::bind(address)
        .await
        .map_err(|error| format!("{flag} {address}: {error}; choose another address or stop what uses it"))
}

/// SIGTERM drains the node and ends it once it is empty; a second signal, or SIGINT, ends it at once. A dead worker ends it
/// with an error, so that it is restarted.
async fn wait_for_the_end(node: &Arc<Node>) -> Result<(), String> {
    let listen = |kind| signal(kind).map_err(|error| format!("listening for signals: {error}"));
    let (mut term, mut int) = (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
    let mut fatal = node.state.fatal.subscribe();
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
            why = fatal.wait_for(Option::is_some) => {
                return Err(why.ok().and_then(|why| why.clone()).unwrap_or_else(|| "a media worker ended".to_owned()));
            }
        }
    }
}
