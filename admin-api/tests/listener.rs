//! Listeners before clients that hold connections and give nothing, over real sockets.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::routing::{get, post};
use futures::StreamExt as _;
use sfumato_admin_api::server::serving::{Bounds, Handshake, Hosts, Serving, serve};
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};
use support::{PATIENCE, REQUEST, Site, hello, read_some, rest, short};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc};

const POLL: &[u8] = b"GET /poll HTTP/1.1\r\nHost: localhost\r\n\r\n";

#[tokio::test]
async fn a_silent_connection_is_closed_and_so_is_one_whose_header_trickles() {
    let site = Site::bounded(hello(), short(100)).await;
    let mut silent = site.connect().await;
    assert_eq!(rest(&mut silent).await, "");

    let (mut reading, mut writing) = site.connect().await.into_split();
    let trickle = async {
        loop {
            if writing.write_all(b"GET / HTTP/1.1\r\nX: ").await.is_err() {
                std::future::pending::<()>().await;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let mut bytes = Vec::new();
    let end = tokio::time::timeout(PATIENCE, reading.read_to_end(&mut bytes));
    tokio::select! {
        end = end => drop(end.expect("bytes that trickle do not move the deadline")),
        () = trickle => {}
    }
    assert!(site.get("/").await.contains("hello"));
}

#[tokio::test]
async fn a_header_over_16_kib_is_431_and_one_of_390_kb_is_not_read() {
    let site = Site::bounded(hello(), short(100)).await;
    let header = |size: usize| format!("GET / HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n", "a".repeat(size));
    let mut fine = site.connect().await;
    fine.write_all(header(15_000).as_bytes()).await.unwrap();
    assert!(read_some(&mut fine).await.starts_with("HTTP/1.1 200"));

    let mut large = site.connect().await;
    large.write_all(header(17_000).as_bytes()).await.unwrap();
    let answer = read_some(&mut large).await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");

    let mut huge = site.connect().await;
    // The end comes before all of it is sent.
    let _ = huge.write_all(header(390_000).as_bytes()).await;
    let answer = rest(&mut huge).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
    assert!(site.get("/").await.contains("hello"));
}

#[tokio::test]
async fn a_connection_serves_several_requests_and_is_closed_when_nothing_more_is_asked() {
    let site = Site::bounded(hello(), short(100)).await;
    let mut stream = site.connect().await;
    for _ in 0..3 {
        stream.write_all(REQUEST).await.unwrap();
        assert!(read_some(&mut stream).await.contains("hello"));
    }
    let since = Instant::now();
    assert_eq!(rest(&mut stream).await, "");
    assert!(
        since.elapsed() >= short(1).deadlines.idle / 2,
        "it was left open for a while"
    );
}

#[tokio::test]
async fn long_polls_and_streams_of_events_outlive_every_deadline_of_a_connection() {
    let go_on = Arc::new(Notify::new());
    let (events, received) = mpsc::unbounded_channel::<Result<&'static str, io::Error>>();
    let received = Arc::new(parking_lot::Mutex::new(Some(received)));
    let waits = Arc::clone(&go_on);
    let app = hello()
        .route(
            "/poll",
            get(move || async move {
                waits.notified().await;
                "news"
            }),
        )
        .route(
            "/events",
            get(move || async move {
                let mut received = received.lock().take().unwrap();
                Body::from_stream(futures::stream::poll_fn(move |cx| received.poll_recv(cx)))
            }),
        );
    let site = Site::bounded(app, short(100)).await;
    let mut poll = site.connect().await;
    poll.write_all(POLL).await.unwrap();
    let mut stream = site.connect().await;
    stream
        .write_all(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await
        .unwrap();
    assert!(read_some(&mut stream).await.starts_with("HTTP/1.1 200"));
    // A connection that began after both has been closed for being idle: so they have lived for longer than that.
    let mut idle = site.connect().await;
    idle.write_all(REQUEST).await.unwrap();
    assert!(rest(&mut idle).await.contains("hello"));
    events.send(Ok("event")).unwrap();
    assert!(read_some(&mut stream).await.contains("event"));
    go_on.notify_one();
    assert!(read_some(&mut poll).await.contains("news"));
}

/// Tells of its end.
struct Held(mpsc::UnboundedSender<()>);

impl Drop for Held {
    fn drop(&mut self) {
        let _ = self.0.send(());
    }
}

#[tokio::test]
async fn a_client_that_does_not_read_is_cut_off() {
    let (ended, mut end) = mpsc::unbounded_channel();
    let app = hello().route(
        "/much",
        get(move || {
            let held = Held(ended.clone());
            let chunks = futures::stream::repeat_with(move || {
                let _held_while_it_flows = &held;
                Ok::<_, io::Error>(vec![0_u8; 64 * 1024])
            });
            std::future::ready(Body::from_stream(chunks))
        }),
    );
    let site = Site::bounded(app, short(100)).await;
    let mut deaf = site.connect().await;
    deaf.write_all(b"GET /much HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await
        .unwrap();
    let dropped = tokio::time::timeout(PATIENCE, end.recv()).await;
    assert_eq!(dropped.expect("what it was sent is dropped"), Some(()));
}

#[tokio::test]
async fn silent_connections_and_idle_ones_make_room_for_new_ones_and_one_that_waits_for_its_answer_does_not() {
    let mut bounds = Bounds::of(20);
    bounds.deadlines.header = Duration::from_secs(600);
    let (asked, mut begun) = mpsc::unbounded_channel();
    let go_on = Arc::new(Notify::new());
    let waits = Arc::clone(&go_on);
    let app = hello().route(
        "/poll",
        get(move || async move {
            asked.send(()).unwrap();
            waits.notified().await;
            "news"
        }),
    );
    let site = Site::bounded(app, bounds).await;
    let mut poll = site.connect().await;
    poll.write_all(POLL).await.unwrap();
    begun.recv().await.unwrap();
    let mut oldest = site.connect().await;
    oldest.write_all(REQUEST).await.unwrap();
    assert!(read_some(&mut oldest).await.contains("hello"), "it is idle from now on");
    let mut silent = Vec::new();
    for _ in 0..60 {
        silent.push(site.connect().await);
        assert!(site.get("/").await.contains("hello"));
    }
    assert_eq!(rest(&mut oldest).await, "");
    go_on.notify_one();
    assert!(read_some(&mut poll).await.contains("news"));
}

/// `hello`, and polls that are told when they begin and never answered.
fn never_answering() -> (Router, mpsc::UnboundedReceiver<()>) {
    let (asked, begun) = mpsc::unbounded_channel();
    let app = hello().route(
        "/poll",
        get(move || {
            asked.send(()).unwrap();
            std::future::pending::<()>()
        }),
    );
    (app, begun)
}

/// Connections on each of which a poll has begun.
async fn polls(site: &Site, begun: &mut mpsc::UnboundedReceiver<()>, count: usize) -> Vec<TcpStream> {
    let mut polls = Vec::new();
    for _ in 0..count {
        let mut poll = site.connect().await;
        poll.write_all(POLL).await.unwrap();
        begun.recv().await.unwrap();
        polls.push(poll);
    }
    polls
}

#[tokio::test]
async fn where_all_wait_for_their_answers_a_new_connection_is_closed_at_once() {
    let mut bounds = Bounds::of(20);
    bounds.deadlines.header = Duration::from_secs(600);
    let (app, mut begun) = never_answering();
    let site = Site::bounded(app, bounds).await;
    let mut polls = polls(&site, &mut begun, 20).await;
    assert_eq!(rest(&mut site.connect().await).await, "");
    drop(polls.pop());
    site.until_answered("hello").await;
}

#[tokio::test]
async fn listeners_that_are_served_together_have_one_bound_and_others_one_each() {
    let (app, mut begun) = never_answering();
    let mut bounds = Bounds::of(8);
    bounds.deadlines.header = Duration::from_secs(600);
    let apart = Serving::new("test", bounds);
    for (serving, is_left) in [(apart.clone(), true), (apart.together(), false)] {
        let one = Site::start(app.clone(), serving.clone()).await;
        let other = Site::start(app.clone(), serving).await;
        let mut held = polls(&one, &mut begun, 8).await;
        let mut more = other.connect().await;
        // It may be closed already.
        let _ = more.write_all(REQUEST).await;
        assert_eq!(read_some(&mut more).await.contains("hello"), is_left);
        // One on which nothing is asked makes room, whichever listener it is of.
        drop(held.pop());
        let mut idle = one.connect().await;
        one.until_answered("hello").await;
        other.until_answered("hello").await;
        if !is_left {
            assert_eq!(rest(&mut idle).await, "");
        }
    }
}

#[tokio::test]
async fn a_handshake_that_does_not_come_is_cut_off_and_holds_no_other_up() {
    /// The first one never shakes hands.
    #[derive(Clone)]
    struct Slow;
    impl Handshake for Slow {
        type Io = TcpStream;
        async fn shake(self, mut stream: TcpStream) -> io::Result<TcpStream> {
            let mut hand = [0];
            stream.read_exact(&mut hand).await?;
            Ok(stream)
        }
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = Serving::new("test", short(100));
    tokio::spawn(serve(listener, Slow, hello(), serving, std::future::pending()));
    let mut silent = TcpStream::connect(address).await.unwrap();
    let mut good = TcpStream::connect(address).await.unwrap();
    good.write_all(b"!").await.unwrap();
    good.write_all(REQUEST).await.unwrap();
    assert!(read_some(&mut good).await.contains("hello"));
    assert_eq!(rest(&mut silent).await, "");
}

#[tokio::test]
async fn what_was_asked_is_answered_before_the_end_and_silent_connections_do_not_hold_it_up() {
    let go_on = Arc::new(Notify::new());
    let asked = Arc::new(Notify::new());
    let (waits, begun) = (Arc::clone(&go_on), Arc::clone(&asked));
    let app = Router::new().route(
        "/",
        get(move || async move {
            begun.notify_one();
            waits.notified().await;
            "answered"
        }),
    );
    let mut bounds = short(100);
    bounds.deadlines.header = Duration::from_secs(600);
    let mut site = Site::bounded(app, bounds).await;
    let _silent = site.connect().await;
    let mut stream = site.connect().await;
    stream.write_all(REQUEST).await.unwrap();
    asked.notified().await;
    site.stop();
    go_on.notify_one();
    assert!(rest(&mut stream).await.contains("answered"));
    tokio::time::timeout(PATIENCE, &mut site.served).await.unwrap().unwrap();
}

#[tokio::test]
async fn who_is_answered_before_its_body_is_read_gets_the_answer_and_may_go_on_unless_too_much_is_left() {
    let read = Router::new().route("/", post(async |body: Bytes| format!("{} bytes", body.len())));
    let app = read.route("/refused", post(async || "no"));
    let site = Site::bounded(app, short(100)).await;
    let ask = |path: &str, length: usize| {
        let body = "a".repeat(length);
        format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n{body}").into_bytes()
    };
    let mut stream = site.connect().await;
    for _ in 0..3 {
        stream.write_all(&ask("/", 60_000)).await.unwrap();
        assert!(read_some(&mut stream).await.contains("60000 bytes"));
        stream.write_all(&ask("/refused", 60_000)).await.unwrap();
        let answer = read_some(&mut stream).await;
        assert!(
            answer.ends_with("no") && !answer.contains("connection: close"),
            "{answer}"
        );
    }
    let mut whole = ask("/refused", 1_000_000);
    whole.truncate(500_000);
    let _ = stream.write_all(&whole).await;
    let answer = rest(&mut stream).await;
    assert!(
        answer.contains("connection: close") && answer.ends_with("no"),
        "{answer}"
    );
    // A body that does not come is not waited for.
    let mut slow = site.connect().await;
    slow.write_all(&ask("/refused", 60_000)[..1_000]).await.unwrap();
    let answer = rest(&mut slow).await;
    assert!(
        answer.contains("connection: close") && answer.ends_with("no"),
        "{answer}"
    );
}

#[tokio::test]
async fn every_answer_forbids_to_guess_its_type_and_to_frame_it() {
    let own = get(async || [("content-security-policy", "default-src 'self'")]);
    let site = Site::bounded(hello().route("/page", own), short(100)).await;
    for path in ["/", "/nothing-here"] {
        let answer = site.get(path).await.to_ascii_lowercase();
        for header in [
            "x-content-type-options: nosniff\r\n",
            "x-frame-options: deny\r\n",
            "referrer-policy: no-referrer\r\n",
            "content-security-policy: default-src 'none'; frame-ancestors 'none'\r\n",
        ] {
            assert!(answer.contains(header), "{path}: {answer}");
        }
    }
    let page = site.get("/page").await.to_ascii_lowercase();
    assert_eq!(page.matches("content-security-policy:").count(), 1, "{page}");
    assert!(page.contains("default-src 'self'"), "what a handler says stays: {page}");
}

#[tokio::test]
async fn an_answer_that_nothing_has_changed_changes_no_header_of_what_a_browser_has() {
    let unchanged = get(async || axum::http::StatusCode::NOT_MODIFIED);
    let site = Site::bounded(hello().route("/page", unchanged), short(100)).await;
    let answer = site.get("/page").await.to_ascii_lowercase();
    assert!(answer.starts_with("http/1.1 304"), "{answer}");
    assert!(!answer.contains("content-security-policy"), "{answer}");
}

#[tokio::test]
async fn on_loopback_a_name_that_was_rebound_is_421() {
    let mut serving = Serving::new("test", short(100));
    serving.hosts = Hosts::of("127.0.0.1:1".parse().unwrap(), &[], Some("--allowed-host"));
    let site = Site::start(hello(), serving).await;
    let mut stream = site.connect().await;
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: attacker.example\r\nConnection: close\r\n\r\n")
        .await
        .unwrap();
    let answer = rest(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 421"), "{answer}");
    assert!(
        answer.contains("`attacker.example`") && answer.contains("--allowed-host"),
        "{answer}"
    );
    assert!(!answer.contains("hello"));
    assert!(site.get("/").await.contains("hello"));
}

#[tokio::test]
async fn streams_that_break_off_free_their_places() {
    let app = hello().route(
        "/events",
        get(async || Body::from_stream(futures::stream::pending::<io::Result<Vec<u8>>>().boxed())),
    );
    let site = Site::bounded(app, short(2)).await;
    for _ in 0..10 {
        let mut stream = site.connect().await;
        stream
            .write_all(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
            .await
            .unwrap();
        drop(stream);
        site.until_answered("hello").await;
    }
}
