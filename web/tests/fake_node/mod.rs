//! A node as the front door sees one: an admin listener that gives a report, and a client listener that takes sessions
//! and remembers what it was asked. No media.

#![allow(dead_code, reason = "each test and example uses a part")]
#![allow(clippy::unwrap_used, reason = "a part of tests")]

use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use axum::{Json, Router};
use parking_lot::Mutex;
use sfumato_admin_api::types::{
    API_VERSION, Lane, LinkReport, LinkState, NodeReport, Observer, ObserverRefusal, Observing, PROBLEM_JSON, Peer,
    Problem,
};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What one request to the client listener looked like.
#[derive(Debug, Clone)]
pub struct Seen {
    pub method: Method,
    pub uri: Uri,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// How the client listener answers.
pub type Answer = Arc<dyn Fn(&Seen) -> Response + Send + Sync>;

pub struct FakeNode {
    pub peer: Peer,
    pub report: watch::Sender<NodeReport>,
    pub seen: Arc<Mutex<Vec<Seen>>>,
    /// Tokens that it was asked about, and those whose holders may see the cluster.
    pub asked: Arc<Mutex<Vec<String>>>,
    pub observers: Arc<Mutex<Vec<String>>>,
    admin: JoinHandle<()>,
    client: JoinHandle<()>,
}

impl FakeNode {
    /// Starts a healthy node on ports of its own, which answers sessions as a real one does.
    pub async fn start(name: &str) -> Self {
        Self::answering(name, Arc::new(as_a_node_does)).await
    }

    /// Starts a node whose client listener answers in this way.
    pub async fn answering(name: &str, answer: Answer) -> Self {
        let admin_listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client_listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let peer = Peer {
            name: name.parse().unwrap(),
            incarnation: format!("0.{name}-life").parse().unwrap(),
            admin_url: format!("http://{}", admin_listener.local_addr().unwrap()),
            client_url: format!("http://{}", client_listener.local_addr().unwrap()),
        };
        let (report, _) = watch::channel(healthy(&peer));
        let seen = Arc::default();
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let observers = Arc::<Mutex<Vec<String>>>::default();
        let tokens = (Arc::clone(&asked), Arc::clone(&observers));
        let admin_app = Router::new()
            .route("/admin/v1/node", get(node_report))
            .with_state(report.clone())
            .route("/admin/v1/observer", post(observer))
            .with_state(tokens);
        let client_app = clients(answer, Arc::clone(&seen));
        Self {
            peer,
            report,
            seen,
            asked,
            observers,
            admin: tokio::spawn(async move { axum::serve(admin_listener, admin_app).await.unwrap() }),
            client: tokio::spawn(async move { axum::serve(client_listener, client_app).await.unwrap() }),
        }
    }

    /// Changes the report; its revision grows.
    pub fn change(&self, change: impl FnOnce(&mut NodeReport)) {
        self.report.send_modify(|report| {
            change(report);
            report.revision += 1;
        });
    }

    /// Ends the admin listener alone.
    pub async fn refuse_admin(&mut self) {
        self.admin.abort();
        let _ = (&mut self.admin).await;
    }

    /// Ends the client listener alone: the node still looks healthy to whoever asks the admin listener.
    pub async fn refuse_clients(&mut self) {
        self.client.abort();
        let _ = (&mut self.client).await;
    }

    pub fn requests(&self) -> Vec<Seen> {
        self.seen.lock().clone()
    }
}

impl Drop for FakeNode {
    fn drop(&mut self) {
        self.admin.abort();
        self.client.abort();
    }
}

/// Links these nodes with `lanes` fresh lanes a pair.
pub fn mesh(nodes: &[FakeNode], lanes: u16) {
    for me in nodes {
        let others: Vec<&FakeNode> = nodes.iter().filter(|other| other.peer.name != me.peer.name).collect();
        me.change(|report| {
            report.workers = lanes;
            report.peers = others.iter().map(|other| other.peer.clone()).collect();
            report.links = others
                .iter()
                .flat_map(|other| (0..lanes).map(|lane| end(&me.peer, &other.peer, lane)))
                .collect();
        });
    }
}

fn end(me: &Peer, other: &Peer, lane: u16) -> LinkReport {
    LinkReport {
        id: format!("{}-{}-{lane}", me.name, other.name)
            .replace('.', "-")
            .parse()
            .unwrap(),
        peer: other.name.clone(),
        peer_incarnation: other.incarnation.clone(),
        lane: Lane(lane),
        remote: None,
        state: LinkState::Fresh,
        since_ms: 0,
        rtt_us: Some(310),
        beats_received: 100,
        large_packets: None,
        packets_lost: 0,
        packets_received: 0,
        bytes_sent: 0,
        bytes_received: 0,
    }
}

type Tokens = (Arc<Mutex<Vec<String>>>, Arc<Mutex<Vec<String>>>);

async fn observer(State((asked, observers)): State<Tokens>, Json(observer): Json<Observer>) -> Json<Observing> {
    let token = observer.token.unwrap_or_default();
    let allowed = observers.lock().contains(&token);
    asked.lock().push(token);
    let refusal = (!allowed).then(|| ObserverRefusal {
        status: 403,
        title: "Forbidden".to_owned(),
        detail: "the token has no `observe` claim".to_owned(),
        challenge: "Bearer realm=\"sfumato\", error=\"insufficient_scope\"".to_owned(),
    });
    Json(Observing { allowed, refusal })
}

fn healthy(peer: &Peer) -> NodeReport {
    NodeReport {
        api_version: API_VERSION,
        version: "0.1.0".into(),
        node: peer.clone(),
        revision: 1,
        workers: 1,
        lanes: None,
        link_encryption: true,
        ready: true,
        draining: false,
        drain: sfumato_admin_api::types::DrainState::default(),
        redis: true,
        redis_problem: None,
        address_problem: None,
        tokens_required: None,
        secure_client_url: None,
        pid: std::process::id(),
        peers: vec![],
        links: vec![],
        publications: vec![],
        carried: vec![],
        viewers: 0,
        publishers: 0,
        load: 0.1,
    }
}

async fn node_report(
    State(report): State<watch::Sender<NodeReport>>,
    Query(query): Query<HashMap<String, String>>,
) -> Json<NodeReport> {
    if let Some(after) = query.get("after").and_then(|after| after.parse::<u64>().ok()) {
        let mut report = report.subscribe();
        let wait = sfumato_admin_api::types::parse_wait(query.get("wait").map_or("0s", String::as_str)).unwrap();
        let changed = report.wait_for(|report| report.revision != after);
        let _ = tokio::time::timeout(wait.min(Duration::from_secs(5)), changed).await;
    }
    Json(report.borrow().clone())
}

/// What a client listener serves: these answers, and what was asked is written down.
pub fn clients(answer: Answer, seen: Arc<Mutex<Vec<Seen>>>) -> Router {
    Router::new().fallback(any(client)).with_state((answer, seen))
}

type ClientState = (Answer, Arc<Mutex<Vec<Seen>>>);

async fn client(
    State((answer, seen)): State<ClientState>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let request = Seen {
        method,
        uri,
        headers,
        body,
    };
    let response = answer(&request);
    seen.lock().push(request);
    response
}

/// What the node's contract says, without media: sessions open, except that a stream named `nothing` cannot be watched.
pub fn as_a_node_does(request: &Seen) -> Response {
    let path = request.uri.path();
    match (&request.method, path.matches('/').count()) {
        (&Method::POST, 2) if path == "/whep/nothing" => problem(
            StatusCode::CONFLICT,
            "nobody publishes `nothing`",
            &[("retry-after", "3")],
        ),
        (&Method::POST, 2) => (
            StatusCode::CREATED,
            [
                ("location", format!("{path}/5e55-10n")),
                ("content-type", "application/sdp".to_owned()),
                ("etag", "\"ice-1\"".to_owned()),
                ("set-cookie", "node=secret".to_owned()),
            ],
            "v=0\r\nanswer",
        )
            .into_response(),
        (&Method::PATCH | &Method::GET | &Method::HEAD, 3) => StatusCode::NO_CONTENT.into_response(),
        (&Method::DELETE, 3) => StatusCode::OK.into_response(),
        _ => problem(StatusCode::NOT_FOUND, "there is nothing here", &[]),
    }
}

/// Problem details as a node writes them.
pub fn problem(status: StatusCode, detail: &str, headers: &[(&'static str, &'static str)]) -> Response {
    let body = Problem {
        status: status.as_u16(),
        title: "Refused".into(),
        detail: detail.into(),
        field: None,
    };
    let mut response = (status, serde_json::to_string(&body).unwrap()).into_response();
    response
        .headers_mut()
        .insert("content-type", PROBLEM_JSON.parse().unwrap());
    for (name, value) in headers {
        response.headers_mut().insert(*name, value.parse().unwrap());
    }
    response
}
