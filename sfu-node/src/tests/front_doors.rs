//! The listener for front doors beside the one for clients, over real sockets.

use super::claims::TlsFiles;
use super::offers::captured;
use crate::http::clients::router;
use crate::listeners;
use crate::node::{Inbox, Node};
use axum::http::StatusCode;
use reqwest::Client;
use sfumato_admin_api::files::{ADMIN_SERVER_NAME, TrustedCa, http_client};
use sfumato_admin_api::server::serving::{Plain, serve};
use sfumato_admin_api::server::tls::{KeyFiles, Tls};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const MOST: usize = 16;
/// Longest wait for what must come.
const PATIENCE: Duration = Duration::from_secs(20);

/// A node that serves clients in clear, and front doors by HTTPS.
struct Site {
    node: Arc<Node>,
    clear: SocketAddr,
    secure: String,
    ca: TrustedCa,
    _kept: (TlsFiles, Inbox),
}

impl Site {
    async fn start(options: &[&str]) -> Self {
        let (node, inbox) = super::node_with(options).await;
        let files = TlsFiles::of(ADMIN_SERVER_NAME);
        let tls = Tls::start(KeyFiles {
            cert: files.certificate.path().to_owned(),
            key: files.key.path().to_owned(),
        });
        let ca = TrustedCa::from_pem("the CA", &std::fs::read(files.ca.path()).unwrap()).unwrap();
        let clear = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let secure = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let site = Self {
            clear: clear.local_addr().unwrap(),
            secure: format!("https://{}", secure.local_addr().unwrap()),
            node: Arc::clone(&node),
            ca,
            _kept: (files, inbox),
        };
        let app = router(Arc::clone(&node), None);
        let clients = listeners::clients(&node.options);
        let front_doors = listeners::front_doors(&clients);
        tokio::spawn(serve(clear, Plain, app.clone(), clients, std::future::pending()));
        tokio::spawn(serve(secure, tls.unwrap(), app, front_doors, std::future::pending()));
        site
    }

    /// A front door, with connections of its own.
    fn front_door(&self) -> Client {
        http_client(Some(&self.ca), |options| options)
    }

    /// Asks as a front door; what is answered, unless the connection is closed.
    async fn ask(&self, front_door: &Client) -> Option<StatusCode> {
        let asked = front_door.get(format!("{}/whip/demo", self.secure)).send();
        let answer = tokio::time::timeout(PATIENCE, asked)
            .await
            .expect("an answer, or an end");
        answer.ok().map(|answer| answer.status())
    }

    /// A connection of a client that was answered and stays open; none when it is closed instead.
    async fn client(&self) -> Option<TcpStream> {
        let mut stream = TcpStream::connect(self.clear).await.unwrap();
        let request = b"GET /whip/demo HTTP/1.1\r\nHost: localhost\r\n\r\n";
        stream.write_all(request).await.ok()?;
        let mut answer = [0; 512];
        let read = tokio::time::timeout(PATIENCE, stream.read(&mut answer));
        let read = read.await.expect("an answer, or an end").unwrap_or(0);
        (read > 0).then_some(stream)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_and_front_doors_have_one_bound_for_their_connections_and_idle_ones_make_room_for_either() {
    let site = Site::start(&[&format!("--max-connections={MOST}")]).await;
    let mut clients = Vec::new();
    for _ in 0..MOST {
        clients.push(site.client().await.expect("there is a place"));
    }
    let front_door = site.front_door();
    assert_eq!(site.ask(&front_door).await, Some(StatusCode::NO_CONTENT));
    let mut bytes = [0; 16];
    let closed = tokio::time::timeout(PATIENCE, clients[0].read(&mut bytes));
    assert_eq!(closed.await.expect("the oldest makes room").unwrap_or(0), 0);
    // The other way round: the front door's connection is idle as well, and gives way when it is the oldest.
    let mut newer = Vec::new();
    for _ in 0..MOST {
        newer.push(site.client().await.expect("there is a place"));
    }
    assert_eq!(
        site.ask(&front_door).await,
        Some(StatusCode::NO_CONTENT),
        "by a new one"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_front_door_opens_sessions_by_https_with_the_certificate_of_the_admin_listener() {
    let site = Site::start(&[]).await;
    let offer = site
        .front_door()
        .post(format!("{}/whip/demo", site.secure))
        .header("content-type", "application/sdp")
        .body(captured("chromium-whip"));
    let answer = offer.send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::CREATED);
    assert!(
        answer.headers()["location"]
            .to_str()
            .unwrap()
            .starts_with("/whip/demo/")
    );
    assert_eq!(site.node.sessions.count(), (1, 0));
    let in_clear = site.secure.replace("https://", "http://");
    let refused = site.front_door().get(format!("{in_clear}/whip/demo")).send().await;
    assert!(refused.is_err(), "it speaks nothing but HTTPS");
}
