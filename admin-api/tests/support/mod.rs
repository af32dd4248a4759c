//! Listeners on loopback, and clients that speak HTTP as they like.

#![allow(dead_code, reason = "each test uses a part")]
#![allow(clippy::unwrap_used, reason = "a part of tests")]

use axum::Router;
use axum::routing::get;
use sfumato_admin_api::server::serving::{Bounds, Deadlines, Plain, Serving, serve};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// Longest wait for what must come.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Bounds with times that a test can wait for.
pub fn short(connections: u32) -> Bounds {
    Bounds {
        connections,
        deadlines: Deadlines {
            header: Duration::from_millis(300),
            handshake: Duration::from_millis(300),
            idle: Duration::from_millis(600),
            write: Duration::from_millis(300),
        },
    }
}

/// Answers `hello` at `/`.
pub fn hello() -> Router {
    Router::new().route("/", get(async || "hello"))
}

/// Connects from an address of this machine.
pub async fn connect_from(from: IpAddr, to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::new(from, 0)).unwrap();
    socket.connect(to).await.unwrap()
}

/// A listener that serves, until it is told to stop.
pub struct Site {
    pub address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    pub served: JoinHandle<()>,
}

impl Site {
    pub async fn start(app: Router, serving: Serving) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let served = tokio::spawn(serve(listener, Plain, app, serving, async {
            let _ = stopped.await;
        }));
        Self {
            address,
            stop: Some(stop),
            served,
        }
    }

    pub async fn bounded(app: Router, bounds: Bounds) -> Self {
        Self::start(app, Serving::new("test", bounds)).await
    }

    pub fn stop(&mut self) {
        drop(self.stop.take());
    }

    pub async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Asks once, on a connection of its own; the whole answer.
    pub async fn get(&self, path: &str) -> String {
        let mut stream = self.connect().await;
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        rest(&mut stream).await
    }

    /// Asks until the answer is `wanted`, which must happen in time.
    pub async fn until_answered(&self, wanted: &str) {
        let asking = async {
            loop {
                if let Ok(mut stream) = TcpStream::connect(self.address).await
                    && stream.write_all(REQUEST).await.is_ok()
                    && read_some(&mut stream).await.contains(wanted)
                {
                    return;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, asking)
            .await
            .expect("a good client gets in");
    }
}

pub const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// What comes until the end of the connection, which must come in time.
pub async fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    // A reset is an end as well.
    let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut bytes))
        .await
        .expect("the connection ends");
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What comes next; nothing at the end.
pub async fn read_some(stream: &mut TcpStream) -> String {
    let mut bytes = [0; 4096];
    let read = tokio::time::timeout(PATIENCE, stream.read(&mut bytes)).await;
    let read = read.expect("something comes, or the end").unwrap_or(0);
    String::from_utf8_lossy(&bytes[..read]).into_owned()
}
