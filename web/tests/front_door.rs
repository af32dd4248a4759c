//! The front door before fake nodes, over real sockets: the view comes from long polls, the sessions from HTTP.

#![allow(clippy::unwrap_used, reason = "tests")]

mod door;
mod fake_node;

use axum::body::Body;
use axum::http::{Method, StatusCode};
use axum::response::IntoResponse as _;
use door::{Door, header, refused};
use fake_node::{Answer, FakeNode, as_a_node_does, mesh, problem};
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use parking_lot::Mutex;
use reqwest::Response;
use sfu_web::limits::Limits;
use sfu_web::options::LimitOptions;
use sfu_web::page::Files;
use sfu_web::server::{self, Site};
use sfumato_admin_api::client::HttpNodeAdmin;
use sfumato_admin_api::files::TokenSource;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;

async fn three_nodes() -> Vec<FakeNode> {
    let nodes = vec![
        FakeNode::start("sfu-1").await,
        FakeNode::start("sfu-2").await,
        FakeNode::start("sfu-3").await,
    ];
    mesh(&nodes, 2);
    nodes
}

#[tokio::test]
async fn from_one_seed_the_whole_mesh_becomes_visible_and_a_lost_node_stays_listed() {
    let mut nodes = three_nodes().await;
    let door = Door::before(&nodes).await;
    let json = door.until(|json| json["mesh"]["establishedPairs"] == 3).await;
    assert_eq!(json["mesh"]["desiredPairs"], 3);
    assert_eq!(json["links"].as_array().unwrap().len(), 6);

    drop(nodes.pop());
    let json = door.until(|json| json["nodes"][2]["reachable"] == false).await;
    assert_eq!(json["mesh"]["desiredPairs"], 3);
    assert_eq!(json["mesh"]["establishedPairs"], 1);

    // No node names it any more: it was taken out of the cluster.
    mesh(&nodes, 2);
    door.until(|json| json["nodes"].as_array().unwrap().len() == 2 && json["mesh"]["establishedPairs"] == 1)
        .await;
}

#[tokio::test]
async fn a_web_page_of_another_origin_reads_that_a_path_is_wrong() {
    let door = Door::before(&three_nodes().await).await;
    for path in ["/whip", "/whip/a/b/c", "/nothing/here"] {
        let answer = door.send(Method::OPTIONS, path, "").await;
        assert!(
            answer.status().is_success(),
            "{path}: the browser sends nothing after a preflight that fails"
        );
        assert!(
            header(&answer, "access-control-allow-headers").contains("Authorization"),
            "{path}"
        );
        for method in [Method::POST, Method::GET] {
            let answer = door.send(method, path, "").await;
            assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{path}");
            assert_eq!(header(&answer, "access-control-allow-origin"), "*", "{path}");
        }
    }
    // The page itself is for its own origin.
    let page = door.send(Method::GET, "/", "").await;
    assert!(page.headers().get("access-control-allow-origin").is_none());
}

#[tokio::test]
async fn a_session_is_opened_on_the_forced_node_and_its_url_finds_that_node_again() {
    let nodes = three_nodes().await;
    let door = Door::before(&nodes).await;
    let answer = door.offer("/whip/demo?node=sfu-2&maxHeight=720").await;
    assert_eq!(answer.status(), StatusCode::CREATED);
    assert_eq!(header(&answer, "location"), "/nodes/sfu-2/whip/demo/5e55-10n");
    assert_eq!(header(&answer, "etag"), "\"ice-1\"");
    assert_eq!(header(&answer, "set-cookie"), "");
    assert!(header(&answer, "access-control-expose-headers").contains("Location"));
    assert_eq!(answer.text().await.unwrap(), "v=0\r\nanswer");

    let session = "/nodes/sfu-2/whip/demo/5e55-10n";
    assert_eq!(
        door.send(Method::PATCH, session, "a=ice-ufrag:x").await.status(),
        StatusCode::NO_CONTENT
    );
    assert_eq!(door.send(Method::DELETE, session, "").await.status(), StatusCode::OK);

    let seen = nodes[1].requests();
    let lines: Vec<String> = seen.iter().map(|r| format!("{} {}", r.method, r.uri)).collect();
    assert_eq!(
        lines,
        [
            "POST /whip/demo?maxHeight=720",
            "PATCH /whip/demo/5e55-10n",
            "DELETE /whip/demo/5e55-10n"
        ]
    );
    assert_eq!(seen[0].body, "v=0\r\noffer");
    assert_eq!(seen[0].headers["content-type"], "application/sdp");
    assert_eq!(seen[0].headers["x-forwarded-for"], "127.0.0.1");
    assert!(sfumato_admin_api::server::forwarded::is_proven(
        &seen[0].headers,
        &["t"]
    ));
    assert!(!seen[0].headers.contains_key("cookie"));
    assert!(nodes[0].requests().is_empty() && nodes[2].requests().is_empty());
}

#[tokio::test]
async fn new_sessions_spread_over_the_nodes_and_avoid_a_draining_one() {
    let nodes = three_nodes().await;
    nodes[2].change(|report| report.draining = true);
    let door = Door::before(&nodes[..2]).await;
    door.until(|json| json["nodes"][2]["draining"] == true).await;
    for _ in 0..10 {
        assert_eq!(door.offer("/whep/demo").await.status(), StatusCode::CREATED);
    }
    let counts: Vec<usize> = nodes.iter().map(|node| node.requests().len()).collect();
    assert_eq!(counts[2], 0);
    assert!(counts[0] > 0 && counts[1] > 0, "{counts:?}");
}

#[tokio::test]
async fn a_node_that_takes_no_connection_is_stepped_over_once_unless_it_was_asked_for() {
    let mut nodes = vec![FakeNode::start("sfu-1").await, FakeNode::start("sfu-2").await];
    mesh(&nodes, 1);
    nodes[1].change(|report| report.load = 0.9);
    let door = Door::before(&nodes).await;
    nodes[0].refuse_clients().await;

    let answer = door.offer("/whep/demo").await;
    assert_eq!(answer.status(), StatusCode::CREATED);
    assert_eq!(header(&answer, "location"), "/nodes/sfu-2/whep/demo/5e55-10n");

    assert_eq!(
        refused(door.offer("/whep/demo?node=sfu-1").await, StatusCode::BAD_GATEWAY).await,
        "node"
    );
    let gone = door.send(Method::DELETE, "/nodes/sfu-1/whep/demo/1", "").await;
    assert_eq!(refused(gone, StatusCode::BAD_GATEWAY).await, "node");
}

#[tokio::test]
async fn a_node_that_takes_no_more_sessions_is_stepped_over_as_well() {
    let full = Arc::new(|_: &fake_node::Seen| problem(StatusCode::SERVICE_UNAVAILABLE, "draining", &[]));
    let nodes = vec![FakeNode::answering("sfu-1", full).await, FakeNode::start("sfu-2").await];
    mesh(&nodes, 1);
    nodes[1].change(|report| report.load = 0.9);
    let door = Door::before(&nodes).await;
    assert_eq!(
        header(&door.offer("/whep/demo").await, "location"),
        "/nodes/sfu-2/whep/demo/5e55-10n"
    );
    assert_eq!(nodes[0].requests().len(), 1);
}

#[tokio::test]
async fn every_node_that_takes_no_session_is_stepped_over_by_viewers_and_publishers() {
    let refusing = |status| Arc::new(move |_: &fake_node::Seen| problem(status, "not here", &[]));
    let unavailable = StatusCode::SERVICE_UNAVAILABLE;
    let nodes = vec![
        FakeNode::answering("sfu-1", refusing(unavailable)).await,
        FakeNode::answering("sfu-2", refusing(unavailable)).await,
        FakeNode::start("sfu-3").await,
    ];
    mesh(&nodes, 1);
    nodes[2].change(|report| (report.load, report.publishers) = (0.9, 9));
    let door = Door::before(&nodes).await;
    for path in ["/whep/demo", "/whip/demo"] {
        let answer = door.offer(path).await;
        assert_eq!(answer.status(), StatusCode::CREATED, "{path}");
        assert!(header(&answer, "location").starts_with("/nodes/sfu-3/"));
    }
}

#[tokio::test]
async fn a_viewer_goes_on_from_a_node_that_does_not_know_the_stream_and_a_publisher_does_not() {
    let unknown = Arc::new(|_: &fake_node::Seen| problem(StatusCode::NOT_FOUND, "unknown", &[]));
    let nodes = vec![
        FakeNode::answering("sfu-1", unknown).await,
        FakeNode::start("sfu-2").await,
    ];
    mesh(&nodes, 1);
    nodes[1].change(|report| (report.load, report.publishers) = (0.9, 9));
    let door = Door::before(&nodes).await;
    assert_eq!(door.offer("/whep/demo").await.status(), StatusCode::CREATED);
    assert_eq!(door.offer("/whip/demo").await.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn when_every_node_refuses_the_last_refusal_goes_back() {
    let full =
        Arc::new(|_: &fake_node::Seen| problem(StatusCode::SERVICE_UNAVAILABLE, "draining", &[("retry-after", "7")]));
    let nodes = vec![
        FakeNode::answering("sfu-1", full.clone()).await,
        FakeNode::answering("sfu-2", full).await,
    ];
    mesh(&nodes, 1);
    let door = Door::before(&nodes).await;
    let answer = door.offer("/whep/demo").await;
    assert_eq!(header(&answer, "retry-after"), "7");
    refused(answer, StatusCode::SERVICE_UNAVAILABLE).await;
    assert!(
        nodes.iter().all(|node| node.requests().len() == 1),
        "each was asked once"
    );
}

#[tokio::test]
async fn refusals_of_the_node_go_back_as_they_are() {
    let nodes = three_nodes().await;
    let door = Door::before(&nodes).await;
    let answer = door.offer("/whep/nothing").await;
    assert_eq!(header(&answer, "retry-after"), "3");
    refused(answer, StatusCode::CONFLICT).await;
    // A refusal is the node's word on the stream, not a reason to ask another one.
    assert_eq!(nodes.iter().map(|node| node.requests().len()).sum::<usize>(), 1);
}

#[tokio::test]
async fn bad_requests_are_refused_at_the_door_with_the_field_at_fault() {
    let nodes = three_nodes().await;
    let door = Door::before(&nodes).await;
    let not_found = StatusCode::NOT_FOUND;
    assert_eq!(
        refused(door.offer("/whip/demo?node=sfu-9").await, not_found).await,
        "node"
    );
    assert_eq!(
        refused(door.offer("/whip/demo?node=No%20Such").await, not_found).await,
        "node"
    );
    assert_eq!(
        refused(
            door.send(Method::DELETE, "/nodes/sfu-9/whip/demo/1", "").await,
            not_found
        )
        .await,
        "node"
    );
    assert_eq!(
        refused(
            door.send(Method::DELETE, "/nodes/sfu-1/admin/v1/node", "").await,
            not_found
        )
        .await,
        "session"
    );
    assert_eq!(
        refused(door.offer("/whip/a%20b").await, StatusCode::BAD_REQUEST).await,
        "stream"
    );
    assert_eq!(refused(door.get("/no/such/page").await, not_found).await, "path");

    let long = vec![b'x'; 64 * 1024 + 1];
    let answer = door.send(Method::POST, "/whip/demo", long).await;
    assert_eq!(refused(answer, StatusCode::PAYLOAD_TOO_LARGE).await, "body");
    let answer = door.send(Method::PUT, "/whip/demo", "").await;
    assert!(header(&answer, "allow").contains("POST"));
    refused(answer, StatusCode::METHOD_NOT_ALLOWED).await;
    assert!(nodes.iter().all(|node| node.requests().is_empty()));
}

#[tokio::test]
async fn without_a_node_that_takes_sessions_the_client_is_asked_to_come_back() {
    let nodes = vec![FakeNode::start("sfu-1").await];
    let door = Door::before(&nodes).await;
    nodes[0].change(|report| report.ready = false);
    door.until(|json| json["nodes"][0]["ready"] == false).await;
    let answer = door.offer("/whip/demo").await;
    assert!(!header(&answer, "retry-after").is_empty());
    refused(answer, StatusCode::SERVICE_UNAVAILABLE).await;
}

#[tokio::test]
async fn a_session_url_that_leads_elsewhere_is_not_passed_on() {
    let astray = Arc::new(|request: &fake_node::Seen| {
        let mut answer = as_a_node_does(request);
        answer
            .headers_mut()
            .insert("location", "https://elsewhere.example/whip/demo/1".parse().unwrap());
        answer
    });
    let nodes = vec![FakeNode::answering("sfu-1", astray).await];
    let door = Door::before(&nodes).await;
    assert_eq!(
        refused(door.offer("/whip/demo").await, StatusCode::BAD_GATEWAY).await,
        "node"
    );
}

#[tokio::test]
async fn browsers_of_any_origin_may_use_endpoints_and_sessions() {
    let nodes = vec![FakeNode::start("sfu-1").await];
    let door = Door::before(&nodes).await;
    for path in ["/whip/demo", "/whep/demo", "/nodes/sfu-1/whip/demo/1"] {
        let answer = door.send(Method::OPTIONS, path, "").await;
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        assert_eq!(header(&answer, "access-control-allow-origin"), "*");
        assert_eq!(header(&answer, "accept-post"), "application/sdp");
        let methods = header(&answer, "access-control-allow-methods");
        assert!(methods.contains("PATCH") && methods.contains("DELETE"), "{methods}");
        let exposed = header(&answer, "access-control-expose-headers");
        assert!(
            ["Location", "ETag", "Link", "Accept-Post"]
                .iter()
                .all(|name| exposed.contains(name)),
            "{exposed}"
        );
        assert_eq!(door.get(path).await.status(), StatusCode::NO_CONTENT, "{path}");
    }
    let refusal = door.offer("/whip/demo?node=sfu-9").await;
    assert_eq!(header(&refusal, "access-control-allow-origin"), "*");
    // Only its node knows whether a session lives; everything else is answered here.
    let asked = nodes[0].requests();
    assert!(asked.iter().all(|request| request.method == Method::GET), "{asked:?}");
}

#[tokio::test]
async fn the_page_comes_with_its_types_and_a_policy_and_is_not_sent_twice() {
    let nodes = vec![FakeNode::start("sfu-1").await];
    let door = Door::before(&nodes).await;
    for (path, kind) in [
        ("/", "text/html; charset=utf-8"),
        ("/index.html", "text/html; charset=utf-8"),
        ("/main.js", "text/javascript; charset=utf-8"),
        ("/whip-whep.js", "text/javascript; charset=utf-8"),
        ("/base.css", "text/css; charset=utf-8"),
        ("/icon.svg", "image/svg+xml"),
    ] {
        let answer = door.get(path).await;
        assert_eq!(
            (answer.status(), header(&answer, "content-type")),
            (StatusCode::OK, kind),
            "{path}"
        );
        assert!(header(&answer, "content-security-policy").contains("default-src 'none'"));
        let tag = header(&answer, "etag").to_owned();
        let again = door
            .client
            .get(format!("{}{path}", door.base))
            .header("if-none-match", tag)
            .send()
            .await
            .unwrap();
        assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
        assert!(
            !again.headers().contains_key("content-security-policy"),
            "it would replace that of the page in the browser's cache"
        );
    }
}

#[tokio::test]
async fn a_page_from_a_directory_is_read_anew_each_time_and_nothing_outside_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("page");
    std::fs::create_dir(&page).unwrap();
    std::fs::write(folder.path().join("secret"), "s").unwrap();
    std::os::unix::fs::symlink("../secret", page.join("link")).unwrap();
    assert!(Files::of(Some(&page)).is_err(), "there is no index.html");
    std::fs::write(page.join("index.html"), "one").unwrap();

    let nodes = vec![FakeNode::start("sfu-1").await];
    let door = Door::with_page(&nodes, Files::of(Some(&page)).unwrap()).await;
    let first = door.get("/").await;
    let tag = header(&first, "etag").to_owned();
    assert!(header(&first, "content-security-policy").contains("default-src 'none'"));
    assert_eq!(first.text().await.unwrap(), "one");
    std::fs::write(page.join("index.html"), "changed").unwrap();
    let changed = door
        .client
        .get(&door.base)
        .header("if-none-match", tag)
        .send()
        .await
        .unwrap();
    assert_eq!(changed.text().await.unwrap(), "changed");
    for path in ["/link", "/%2e%2e/secret", "/..%2fsecret", "//etc/passwd", "/main.js"] {
        assert_eq!(door.get(path).await.status(), StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test]
async fn events_tell_of_changes_as_they_happen_and_end_with_the_front_door() {
    let nodes = vec![FakeNode::start("sfu-1").await];
    let mut door = Door::before(&nodes).await;
    let mut events = door.get("/api/v1/events").await;
    assert_eq!(header(&events, "content-type"), "text/event-stream");
    let first = String::from_utf8(events.chunk().await.unwrap().unwrap().to_vec()).unwrap();
    assert!(first.starts_with("event: cluster\ndata: {\"cluster\""), "{first}");

    nodes[0].change(|report| report.draining = true);
    let mut told = String::new();
    while !told.contains("\"draining\":true") {
        told.push_str(std::str::from_utf8(&events.chunk().await.unwrap().unwrap()).unwrap());
    }

    let _ = door.stop.take().map(|stop| stop.send(()));
    let rest = async { while events.chunk().await.is_ok_and(|chunk| chunk.is_some()) {} };
    tokio::time::timeout(Duration::from_secs(3), rest)
        .await
        .expect("the stream ends");
}

#[tokio::test]
async fn events_of_a_session_pass_as_they_come_and_end_with_the_front_door() {
    let (node_writes, written) = tokio::sync::mpsc::unbounded_channel::<&'static str>();
    let written = Mutex::new(Some(written));
    let answer: Answer = Arc::new(move |seen| {
        assert_eq!(seen.uri.path(), "/whep/demo/1/sse/2");
        let mut written = written.lock().take().expect("it is asked once");
        let events = futures::stream::poll_fn(move |context| {
            let event = written.poll_recv(context);
            event.map(|event| event.map(Ok::<_, std::convert::Infallible>))
        });
        ([("content-type", "text/event-stream")], Body::from_stream(events)).into_response()
    });
    let nodes = vec![FakeNode::answering("sfu-1", answer).await];
    let mut door = Door::before(&nodes).await;
    let mut events = door.get("/nodes/sfu-1/whep/demo/1/sse/2").await;
    assert_eq!(header(&events, "content-type"), "text/event-stream");
    for event in ["event: active\ndata: {}\n\n", "event: inactive\ndata: {}\n\n"] {
        node_writes.send(event).unwrap();
        // The next one is written only when this one has come through: nothing may hold it back.
        let came = tokio::time::timeout(Duration::from_secs(10), events.chunk()).await;
        let came = came.expect("the event comes through by itself").unwrap();
        assert_eq!(came.as_deref(), Some(event.as_bytes()));
    }
    let _ = door.stop.take().map(|stop| stop.send(()));
    let rest = async { while events.chunk().await.is_ok_and(|chunk| chunk.is_some()) {} };
    tokio::time::timeout(Duration::from_secs(3), rest)
        .await
        .expect("the stream ends, though the node would go on");
    drop(node_writes);
}

#[tokio::test]
async fn a_node_that_never_answers_costs_ten_seconds_at_most() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = format!("http://{}", listener.local_addr().unwrap());
    let nodes = vec![FakeNode::start("sfu-1").await];
    nodes[0].change(|report| report.node.client_url = silent);
    let door = Door::before(&nodes).await;
    let began = std::time::Instant::now();
    assert_eq!(
        refused(door.offer("/whip/demo").await, StatusCode::GATEWAY_TIMEOUT).await,
        "node"
    );
    assert!(began.elapsed() < Duration::from_secs(12));
}

/// Takes connections, and never answers.
async fn silent() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    (listener, url)
}

#[tokio::test]
async fn a_viewer_of_a_node_that_hangs_gets_another_one_and_the_next_ones_are_not_sent_there() {
    let nodes = three_nodes().await;
    let (_listener, url) = silent().await;
    // It says that it has less to do than the others.
    nodes[0].change(|report| report.node.client_url = url);
    for node in &nodes[1..] {
        node.change(|report| report.load = 0.5);
    }
    let door = Door::before(&nodes).await;
    door.until(|json| {
        json["mesh"]["establishedPairs"] == 3 && json["nodes"][1]["load"] == 0.5 && json["nodes"][2]["load"] == 0.5
    })
    .await;
    for patience in [Duration::from_secs(8), Duration::from_secs(3), Duration::from_secs(3)] {
        let answer = tokio::time::timeout(patience, door.offer("/whep/demo")).await;
        assert_eq!(answer.expect("in time").status(), StatusCode::CREATED);
    }
}

#[tokio::test]
async fn a_client_that_is_slow_with_its_offer_says_nothing_about_a_node() {
    let nodes = three_nodes().await;
    for node in &nodes[1..] {
        node.change(|report| report.load = 0.5);
    }
    let door = Door::before(&nodes).await;
    door.until(|json| json["nodes"][1]["load"] == 0.5 && json["nodes"][2]["load"] == 0.5)
        .await;
    // Longer than one node may take for a viewer, and less than the front door waits for a body.
    let body = futures::stream::once(async {
        tokio::time::sleep(Duration::from_secs(6)).await;
        Ok::<_, std::convert::Infallible>("v=0\r\n")
    });
    let body = reqwest::Body::wrap_stream(body);
    let answer = door.send(Method::POST, "/whep/demo?node=sfu-1", body).await;
    assert_eq!(answer.status(), StatusCode::CREATED);
    let answer = door.offer("/whep/demo").await;
    assert!(
        header(&answer, "location").starts_with("/nodes/sfu-1/"),
        "it has the least to do"
    );
}

#[tokio::test]
async fn health_checks_say_what_they_wait_for() {
    let nodes = vec![FakeNode::start("sfu-1").await];
    let door = Door::before(&nodes).await;
    assert_eq!(door.get("/livez").await.status(), StatusCode::OK);
    assert_eq!(door.get("/readyz").await.status(), StatusCode::OK);
    drop(nodes);
    door.until(|json| json["nodes"][0]["reachable"] == false).await;
    let answer = door.get("/readyz").await;
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer.text().await.unwrap().contains("--seed"));
}

/// Asks for a path as a client at this address would, by a proxy that is trusted.
async fn ask_from(door: &Door, path: &str, address: &str) -> Response {
    let asked = door
        .client
        .get(format!("{}{path}", door.base))
        .header("x-forwarded-for", address);
    asked.send().await.unwrap()
}

#[tokio::test]
async fn an_address_that_opens_all_event_streams_it_can_get_leaves_half_of_them_to_others() {
    let node = FakeNode::answering(
        "sfu-1",
        Arc::new(|_| {
            let events = futures::stream::pending::<Result<&'static str, std::convert::Infallible>>();
            ([("content-type", "text/event-stream")], Body::from_stream(events)).into_response()
        }),
    )
    .await;
    let limits = LimitOptions {
        max_event_streams: 20,
        trusted_proxy: "127.0.0.0/8".parse().unwrap(),
        ..LimitOptions::default()
    };
    let door = Door::with(std::slice::from_ref(&node), Files::default(), &limits, None).await;
    let path = "/nodes/sfu-1/whep/demo/1/sse/2";
    let mut held = Vec::new();
    let refused = loop {
        let answer = ask_from(&door, path, "198.51.100.1").await;
        if answer.status() != StatusCode::OK {
            break answer;
        }
        held.push(answer);
        assert!(held.len() <= 20, "it ends");
    };
    assert_eq!(held.len(), 10);
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    assert!(refused.headers().contains_key("retry-after"));
    let detail = refused.text().await.unwrap();
    assert!(
        detail.contains("--max-event-streams") && detail.contains("--trusted-address"),
        "{detail}"
    );
    let good = ask_from(&door, path, "203.0.113.7").await;
    assert_eq!(good.status(), StatusCode::OK);
    assert_eq!(header(&good, "content-type"), "text/event-stream");
}

#[tokio::test]
async fn an_address_that_has_all_requests_it_can_get_under_way_leaves_half_of_them_to_others() {
    let node = FakeNode::answering(
        "sfu-1",
        Arc::new(|request| {
            if request.uri.path().ends_with("/good") {
                return StatusCode::OK.into_response();
            }
            let silence = futures::stream::pending::<Result<&'static str, std::convert::Infallible>>();
            Body::from_stream(silence).into_response()
        }),
    )
    .await;
    let limits = LimitOptions {
        trusted_proxy: "127.0.0.0/8".parse().unwrap(),
        ..LimitOptions::default()
    };
    let door = Door::with(std::slice::from_ref(&node), Files::default(), &limits, None).await;
    let slow = || ask_from(&door, "/nodes/sfu-1/whep/demo/slow", "198.51.100.1");
    let mut under_way: FuturesUnordered<_> = (0..300).map(|_| slow()).collect();
    let refused = under_way.next().await.unwrap();
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    assert!(refused.headers().contains_key("retry-after"));
    let detail = refused.text().await.unwrap();
    assert!(
        detail.contains("512 requests") && detail.contains("--trusted-address"),
        "{detail}"
    );
    let good = ask_from(&door, "/nodes/sfu-1/whep/demo/good", "203.0.113.7").await;
    assert_eq!(good.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_front_door_on_loopback_does_not_answer_to_a_name_that_was_rebound_to_it() {
    let nodes = [FakeNode::start("sfu-1").await];
    let door = Door::before(&nodes).await;
    let of = |host: &str| {
        door.client
            .get(format!("{}/api/v1/cluster", door.base))
            .header("host", host)
            .send()
    };
    let rebound = of("attacker.example").await.unwrap();
    assert_eq!(rebound.status(), StatusCode::MISDIRECTED_REQUEST);
    assert!(rebound.text().await.unwrap().contains("--allowed-host"));
    assert_eq!(of("localhost:2020").await.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn every_answer_of_a_front_door_forbids_to_guess_its_type() {
    let nodes = [FakeNode::start("sfu-1").await];
    let door = Door::before(&nodes).await;
    for path in [
        "/",
        "/api/v1/cluster",
        "/whip/demo",
        "/nodes/sfu-1/whep/demo/1",
        "/nothing",
        "/livez",
    ] {
        let answer = door.get(path).await;
        assert_eq!(header(&answer, "x-content-type-options"), "nosniff", "{path}");
    }
}

#[tokio::test]
async fn health_checks_have_a_listener_of_their_own_that_serves_nothing_else() {
    let node = FakeNode::start("sfu-1").await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let health = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", health.local_addr().unwrap());
    let site = Site {
        limits: Limits::of(&LimitOptions::default(), listener.local_addr().unwrap(), &[]),
        health: Some(health),
        page: Files::default(),
        ca: None,
        tls: None,
    };
    let seeds = vec![node.peer.admin_url.parse().unwrap()];
    let token = TokenSource::fixed("t");
    let reports = HttpNodeAdmin::new(token.clone());
    tokio::spawn(server::serve(
        listener,
        site,
        seeds,
        reports,
        token,
        std::future::pending(),
    ));
    let client = sfumato_admin_api::files::http_client(None, |options| options);
    let status = async |path: &str| client.get(format!("{base}{path}")).send().await.unwrap().status();
    assert_eq!(status("/livez").await, StatusCode::OK);
    let ready = async {
        while status("/readyz").await != StatusCode::OK {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), ready)
        .await
        .expect("ready once a node has answered");
    for path in ["/", "/api/v1/cluster", "/whip/demo"] {
        assert_eq!(status(path).await, StatusCode::NOT_FOUND, "{path}");
    }
}
