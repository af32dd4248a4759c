//! The same world behind real sockets.

use super::{Failure, Refusal, Reply, Request, World};
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post, put};
use sfumato_admin_api::server::admin_token::token_matches;
use sfumato_admin_api::types::parse_wait;
use sfumato_admin_api::types::{CloseLinks, NodeName, Problem, PutLinks};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

pub const TOKEN: &str = "secret";

/// A server in a runtime of its own; dropping it breaks its connections and refuses new ones, as the end of a process does.
pub struct Server {
    pub address: SocketAddr,
    runtime: Option<Runtime>,
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Serves all nodes under `/{name}` of one port.
pub fn serve(world: &World, address: SocketAddr) -> Server {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let listener = std::net::TcpListener::bind(address).unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new()
        .route("/{node}/admin/v1/node", get(report))
        .route("/{node}/admin/v1/links/{peer}", put(put_links))
        .route("/{node}/admin/v1/links/close", post(close_links))
        .with_state(world.clone());
    runtime.spawn(async move {
        let listener = TcpListener::from_std(listener).unwrap();
        axum::serve(listener, router).await.unwrap();
    });
    Server {
        address,
        runtime: Some(runtime),
    }
}

/// Serves all nodes on one port and tells the world where.
pub fn serve_all(world: &World) -> Server {
    let server = serve(world, "127.0.0.1:0".parse().unwrap());
    world.with(|s| {
        for (name, node) in &mut s.nodes {
            node.url = format!("http://{}/{name}", server.address);
            s.urls.insert(name.clone(), node.url.clone());
        }
    });
    server
}

async fn report(
    State(world): State<World>,
    Path(node): Path<NodeName>,
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
) -> Response {
    let after = query.get("after").map(|after| after.parse().unwrap());
    let wait = query
        .get("wait")
        .map_or(Duration::ZERO, |wait| parse_wait(wait).unwrap());
    answer(world, node, Request::Report { after, wait }, &headers).await
}

async fn put_links(
    State(world): State<World>,
    Path((node, peer)): Path<(NodeName, NodeName)>,
    headers: HeaderMap,
    Json(request): Json<PutLinks>,
) -> Response {
    answer(world, node, Request::Put { peer, request }, &headers).await
}

async fn close_links(
    State(world): State<World>,
    Path(node): Path<NodeName>,
    headers: HeaderMap,
    Json(request): Json<CloseLinks>,
) -> Response {
    answer(world, node, Request::Close(request), &headers).await
}

async fn answer(world: World, node: NodeName, request: Request, headers: &HeaderMap) -> Response {
    if !token_matches(headers, &[TOKEN]) {
        return problem(Refusal {
            status: 401,
            detail: "no token".to_owned(),
        });
    }
    // A call goes on when its caller has hung up.
    let call = tokio::spawn(async move { world.call(&node, request).await });
    match call.await.unwrap() {
        Ok(Reply::Report(report)) => Json(report).into_response(),
        Ok(Reply::Links(links)) => Json(links).into_response(),
        Ok(Reply::Closed) => StatusCode::NO_CONTENT.into_response(),
        Err(Failure::Problem(refusal)) => problem(refusal),
        Err(Failure::NoAnswer) => std::future::pending().await,
        Err(Failure::Refused) => StatusCode::BAD_GATEWAY.into_response(),
    }
}

fn problem(Refusal { status, detail }: Refusal) -> Response {
    let problem = Problem {
        status,
        title: "refused".to_owned(),
        detail,
        field: None,
    };
    (StatusCode::from_u16(status).unwrap(), Json(problem)).into_response()
}
