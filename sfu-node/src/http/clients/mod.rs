//! WHIP and WHEP over HTTP: endpoints `/whip/{stream}` and `/whep/{stream}`, sessions below them.

mod body;
mod cors;
mod endpoint;
mod extensions;
mod links;
mod patch;
mod resource;

use crate::http::admin::Tokens;
use crate::node::Node;
use crate::problem::Problem;
use crate::stats::Refused;
use axum::Router;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::Response;
use axum::routing::{any, post};
use sfumato_admin_api::server::client_token::Action;
use sfumato_admin_api::server::forwarded;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

const SDP: &str = "application/sdp";
const SDPFRAG: &str = "application/trickle-ice-sdpfrag";
const ACCEPT_POST: HeaderName = HeaderName::from_static("accept-post");
const ACCEPT_PATCH: HeaderName = HeaderName::from_static("accept-patch");

/// Which protocol an URL belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Protocol {
    Whip,
    Whep,
}

impl Protocol {
    fn path(self) -> &'static str {
        match self {
            Self::Whip => "whip",
            Self::Whep => "whep",
        }
    }

    fn action(self) -> Action {
        match self {
            Self::Whip => Action::Publish,
            Self::Whep => Action::Play,
        }
    }
}

/// The client listener. Front doors prove themselves by one of the admin `tokens`.
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

/// Refuses requests of a client that sends too many.
async fn pace(
    State((node, tokens)): State<(Arc<Node>, Option<Tokens>)>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    // Only a router that is not served over a socket, as in tests, has no peer.
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    let peer = peer.map_or(IpAddr::from(Ipv4Addr::UNSPECIFIED), |info| info.0.ip());
    let front_door = tokens.is_some_and(|tokens| forwarded::is_proven(request.headers(), &tokens()));
    node.limits
        .request(request.method(), peer, front_door, request.headers())
        .inspect_err(|_| node.tally.refused(Refused::Rate))?;
    Ok(next.run(request).await)
}

fn not_allowed(method: &Method, allowed: &'static str) -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "Method not allowed",
        format!("{method} is not allowed here: {allowed}"),
    )
    .header(header::ALLOW, HeaderValue::from_static(allowed))
}
