//! A media server of a few hundred lines for the peers' own tests: WHIP in, WHEP out, one process, no mediasoup.
//!
//! It forwards RTP packets between str0m engines in ICE-lite mode, as a real node would, and can misbehave on request.

mod sfu;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, post};
use parking_lot::Mutex;
use sfu::{Feed, Forwarded, Role, Session};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::{broadcast, mpsc};
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;

/// How the server differs from a well-behaved one.
#[derive(Debug, Clone, Default)]
pub struct Quirks {
    /// Leave every header extension out of answers, as mediasoup does where ids do not agree.
    pub no_extensions: bool,
    /// Drop every n-th video packet on its first way to viewers.
    pub drop_every: Option<u64>,
    /// Answer with a Location relative to the endpoint.
    pub relative_location: bool,
}

/// The server, stopped when dropped.
pub struct TestServer {
    pub address: SocketAddr,
    shared: Arc<Shared>,
    http: tokio::task::JoinHandle<()>,
}

struct Shared {
    quirks: Quirks,
    feeds: Mutex<HashMap<String, Feed>>,
    sessions: Mutex<HashMap<String, (CancellationToken, AbortHandle)>>,
    next_id: AtomicU64,
    deleted: AtomicU64,
    refused: AtomicU64,
    tokens: Mutex<Vec<String>>,
}

impl TestServer {
    pub async fn start(quirks: Quirks) -> Self {
        let shared = Arc::new(Shared {
            quirks,
            feeds: Mutex::default(),
            sessions: Mutex::default(),
            next_id: AtomicU64::new(1),
            deleted: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            tokens: Mutex::default(),
        });
        let app = Router::new()
            .route("/whip/{stream}", post(whip))
            .route("/whep/{stream}", post(whep))
            .route("/moved/{stream}", post(moved))
            .route("/sessions/{id}", delete(end))
            .with_state(Arc::clone(&shared));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let http = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { address, shared, http }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.address)
    }

    /// Asks the publisher of a stream for a key frame, as a viewer's PLI would.
    pub fn request_key_frame(&self, stream: &str) {
        self.shared.feeds.lock()[stream].key_frames.send(()).unwrap();
    }

    /// Closes every session as an orderly server does: with DTLS close_notify.
    pub fn close_all(&self) {
        self.shared
            .sessions
            .lock()
            .drain()
            .for_each(|(_, (cancel, _))| cancel.cancel());
    }

    /// Ends every session without a word, as a crash does.
    pub fn crash(&self) {
        self.shared
            .sessions
            .lock()
            .drain()
            .for_each(|(_, (_, task))| task.abort());
    }

    pub fn deleted(&self) -> u64 {
        self.shared.deleted.load(Ordering::Relaxed)
    }

    pub fn refused(&self) -> u64 {
        self.shared.refused.load(Ordering::Relaxed)
    }

    pub fn tokens(&self) -> Vec<String> {
        self.shared.tokens.lock().clone()
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.crash();
        self.http.abort();
    }
}

async fn whip(
    State(shared): State<Arc<Shared>>,
    Path(stream): Path<String>,
    headers: HeaderMap,
    offer: String,
) -> Response {
    shared.note_token(&headers);
    let (packets, _) = broadcast::channel::<Arc<Forwarded>>(4096);
    let (key_frames, requests) = mpsc::unbounded_channel();
    shared.feeds.lock().insert(
        stream,
        Feed {
            packets: packets.clone(),
            key_frames,
        },
    );
    shared
        .session(&offer, Role::Publisher { packets, requests }, "whip")
        .await
}

async fn whep(
    State(shared): State<Arc<Shared>>,
    Path(stream): Path<String>,
    headers: HeaderMap,
    offer: String,
) -> Response {
    shared.note_token(&headers);
    let feed = shared.feeds.lock().get(&stream).cloned();
    let Some(feed) = feed else {
        shared.refused.fetch_add(1, Ordering::Relaxed);
        return (
            StatusCode::CONFLICT,
            [(header::RETRY_AFTER, "0")],
            "nothing live under this name",
        )
            .into_response();
    };
    let role = Role::Viewer {
        packets: feed.packets.subscribe(),
        key_frames: feed.key_frames,
        drop_every: shared.quirks.drop_every,
    };
    shared.session(&offer, role, "whep").await
}

/// A front door that sends clients on: 307 keeps method and body.
async fn moved(Path(stream): Path<String>) -> Response {
    (
        StatusCode::TEMPORARY_REDIRECT,
        [(header::LOCATION, format!("/whip/{stream}"))],
    )
        .into_response()
}

async fn end(State(shared): State<Arc<Shared>>, Path(id): Path<String>) -> StatusCode {
    match shared.sessions.lock().remove(&id) {
        Some((cancel, _)) => {
            cancel.cancel();
            shared.deleted.fetch_add(1, Ordering::Relaxed);
            StatusCode::OK
        }
        None => StatusCode::NOT_FOUND,
    }
}

impl Shared {
    fn note_token(&self, headers: &HeaderMap) {
        if let Some(token) = headers.get(header::AUTHORIZATION) {
            self.tokens.lock().push(token.to_str().unwrap().to_owned());
        }
    }

    async fn session(&self, offer: &str, role: Role, kind: &str) -> Response {
        let (session, mut answer) = match Session::accept(offer, role).await {
            Ok(accepted) => accepted,
            Err(why) => return (StatusCode::BAD_REQUEST, why).into_response(),
        };
        if self.quirks.no_extensions {
            answer = answer
                .split_inclusive("\r\n")
                .filter(|l| !l.starts_with("a=extmap"))
                .collect();
        }
        let id = format!("{kind}-{}", self.next_id.fetch_add(1, Ordering::Relaxed));
        let cancel = CancellationToken::new();
        let task = tokio::spawn(session.run(cancel.clone()));
        self.sessions.lock().insert(id.clone(), (cancel, task.abort_handle()));
        let location = if self.quirks.relative_location {
            format!("../sessions/{id}")
        } else {
            format!("/sessions/{id}")
        };
        let headers = [
            (header::CONTENT_TYPE, "application/sdp".to_owned()),
            (header::LOCATION, location),
        ];
        (StatusCode::CREATED, headers, answer).into_response()
    }
}
