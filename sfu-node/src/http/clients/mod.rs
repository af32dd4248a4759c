//! WHIP and WHEP over HTTP: endpoints `/whip/{stream}` and `/whep/{stream}`, sessions below them.

mod body;
mod cors;
mod endpoint;
mod extensions;
mod links;
mod patch;
mod protocol;
mod resource;

use crate::http::admin::Tokens;
use crate::http::problem::Problem;
use crate::node::Node;
use crate::stats::tally::Refused;
use axum::Router;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::Response;
use axum::routing::{any, post};
use protocol::Protocol;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

/// The client listener. Front doors prove themselves by one of these `tokens`.
pub fn router(node: Arc<Node>, tokens: Option<Tokens>) -> Router {
    let mut routes = Router::new();
    for protocol in [Protocol::Whip, Protocol::Whep] {
        let endpoint = format!("/{}/{{stream}}", protocol.path());
        let session = format!("{endpoint}/{{session}}");
        routes = routes
            .route(
                &endpoint,
                post(move |state, path, request| endpoint::create(protocol, state, path, request))
                    .fallback(move |method, path| endpoint::other(protocol, method, path)),
            )
            .route(
                &session,
                any(move |state, path, request| resource::on_session(protocol, state, path, request)),
            );
    }
    routes
        .merge(extensions::routes())
        .fallback(|| async {
            Problem::new(
                StatusCode::NOT_FOUND,
                "Not found",
                "there is nothing here: POST an SDP offer to /whip/{stream} to publish, to /whep/{stream} to watch",
            )
        })
        .layer(from_fn_with_state((Arc::clone(&node), tokens), pace))
        .layer(from_fn(cors::allow))
        .with_state(node)
}

/// Refuses requests of a client that sends too many, or has too many under way.
async fn pace(
    State((node, tokens)): State<(Arc<Node>, Option<Tokens>)>,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    // Only a router that is not served over a socket, as in tests, has no peer.
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    let known = peer.map(|info| info.0.ip());
    let front_door = tokens.is_some_and(|tokens| tokens().vouch(request.headers()));
    let peer = known.unwrap_or(IpAddr::from(Ipv4Addr::UNSPECIFIED));
    let client = node.limits.client(peer, front_door, request.headers());
    let admitted = node.limits.request(request.method(), client);
    admitted.inspect_err(|_| node.tally.refused(Refused::Rate))?;
    if known.is_some() || front_door {
        request.extensions_mut().insert(client);
    }
    let place = node.limits.answering(request.method(), client);
    let _until_it_is_answered = place.inspect_err(|full| node.tally.refused(full.into()))?;
    Ok(next.run(request).await)
}
