//! What a node says is decoded only within bounds: each field by itself, at its bound and just over it.

#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};
use sfumato_admin_api::types::bounds::{MAX_LINKS, MAX_PEERS, MAX_REPORTED, MAX_TEXT, fitting_text};
use sfumato_admin_api::types::{NodeReport, Publications, TrackState};

fn peer(n: usize) -> Value {
    json!({ "name": format!("n{n}"), "incarnation": "0.b", "adminUrl": "http://a", "clientUrl": "https://c" })
}

fn link(n: usize) -> Value {
    json!({ "id": format!("l{n}"), "peer": "sfu-2", "peerIncarnation": "0.b", "lane": n % 64, "remote": null,
            "state": "fresh", "sinceMs": 1, "rttUs": null, "beatsReceived": 1, "packetsLost": 1, "packetsReceived": 1,
            "bytesSent": 1, "bytesReceived": 1, "largePackets": { "bytes": 1250, "carried": true } })
}

fn publication(n: usize) -> Value {
    let layer = json!({ "rid": "h", "width": 1280, "height": 720 });
    let track = json!({ "kind": "video", "codec": "VP8", "state": "flowing", "layers": [layer] });
    json!({ "id": format!("p{n}"), "stream": "demo", "generation": 1, "worker": 0, "tracks": [track], "viewers": 1,
            "subscribers": ["sfu-2"] })
}

fn carried(n: usize) -> Value {
    json!({ "publication": format!("p{n}"), "stream": "other", "origin": "sfu-2", "viewers": 1, "lane": 0,
            "packetsLost": 0, "packetsReceived": 9 })
}

fn report() -> Value {
    json!({
        "apiVersion": 1, "version": "0.1.0", "name": "sfu-1", "incarnation": "0.a", "revision": 7, "workers": 2, "lanes": 1,
        "adminUrl": "http://127.0.0.1:4001", "clientUrl": "http://127.0.0.1:3001", "linkEncryption": true, "ready": true,
        "secureClientUrl": "https://127.0.0.1:3443",
        "draining": false, "drain": { "reasons": ["roll"], "remainingMs": 5 }, "redis": true, "redisProblem": "refused",
        "viewers": 3, "publishers": 1, "load": 0.25, "peers": [peer(0)], "links": [link(0)],
        "publications": [publication(0)], "carried": [carried(0)],
    })
}

fn many(make: fn(usize) -> Value, count: usize) -> Value {
    (0..count).map(make).collect()
}

/// A place in a report, the most that may stand there, and something over that.
fn table() -> Vec<(&'static str, Value, Value)> {
    let text = |bytes: usize| Value::from("x".repeat(bytes));
    let url = |bytes: usize| Value::from(format!("http://{}", "x".repeat(bytes - 7)));
    let secure_url = |bytes: usize| Value::from(format!("https://{}", "x".repeat(bytes - 8)));
    let whole = 1_u64 << 53;
    let reasons = |count| Value::from(vec!["roll"; count]);
    let names = |count: usize| (0..count).map(|n| format!("n{n}")).collect::<Value>();
    let track = publication(0)["tracks"][0].clone();
    let tracks = |count| Value::from(vec![track.clone(); count]);
    let layers = |count| Value::from(vec![track["layers"][0].clone(); count]);
    vec![
        ("/version", text(100), text(101)),
        ("/version", json!("1"), json!("1\u{1b}[2J")),
        ("/revision", json!(whole), json!(whole + 1)),
        ("/revision", json!(0), json!(u64::MAX)),
        ("/revision", json!(0), json!(-1)),
        ("/revision", json!(0), json!(1.5)),
        ("/workers", json!(64), json!(65)),
        ("/workers", json!(0), json!(65_535)),
        ("/workers", json!(0), json!(65_536)),
        ("/lanes", json!(64), json!(65)),
        ("/adminUrl", url(512), url(513)),
        ("/adminUrl", json!("https://a"), json!("file:///etc/passwd")),
        ("/clientUrl", url(512), url(513)),
        ("/clientUrl", json!("http://a"), json!("javascript:alert(1)")),
        ("/secureClientUrl", json!("https://a"), json!("http://a")),
        ("/secureClientUrl", secure_url(512), secure_url(513)),
        ("/drain/reasons", reasons(16), reasons(17)),
        ("/drain/remainingMs", json!(whole), json!(whole + 1)),
        ("/redisProblem", text(2_000), text(2_001)),
        ("/viewers", json!(1_000_000), json!(1_000_001)),
        ("/publishers", json!(1_000_000), json!(u32::MAX)),
        ("/load", json!(2.0), json!(2.1)),
        ("/load", json!(0), json!(-0.1)),
        ("/load", json!(0), json!(1e308)),
        ("/load", json!(0), Value::Null),
        ("/peers", many(peer, MAX_PEERS), many(peer, MAX_PEERS + 1)),
        ("/peers/0/adminUrl", url(512), url(513)),
        ("/links", many(link, MAX_LINKS), many(link, MAX_LINKS + 1)),
        ("/links", many(link, 0), many(link, 100_000)),
        ("/links/0/lane", json!(63), json!(64)),
        ("/links/0/sinceMs", json!(whole), json!(whole + 1)),
        ("/links/0/rttUs", json!(whole), json!(whole + 1)),
        ("/links/0/packetsLost", json!(whole), json!(u64::MAX)),
        ("/links/0/packetsReceived", json!(whole), json!(u64::MAX)),
        ("/links/0/bytesSent", json!(whole), json!(u64::MAX)),
        ("/links/0/bytesReceived", json!(whole), json!(u64::MAX)),
        ("/links/0/beatsReceived", json!(whole), json!(u64::MAX)),
        ("/links/0/id", text(64), text(65)),
        ("/publications/0/generation", json!(whole), json!(whole + 1)),
        ("/publications/0/worker", json!(64), json!(65)),
        ("/publications/0/viewers", json!(1_000_000), json!(1_000_001)),
        ("/publications/0/subscribers", names(MAX_PEERS), names(MAX_PEERS + 1)),
        ("/publications/0/tracks", tracks(4), tracks(5)),
        ("/publications/0/tracks/0/codec", text(100), text(101)),
        ("/publications/0/tracks/0/state", text(100), text(101)),
        ("/links/0/largePackets/bytes", json!(65_535), json!(65_536)),
        ("/publications/0/tracks/0/layers", layers(8), layers(9)),
        ("/publications/0/tracks/0/layers/0/rid", text(100), text(101)),
        ("/publications/0/tracks/0/layers/0/width", json!(65_535), json!(65_536)),
        (
            "/publications/0/tracks/0/layers/0/height",
            json!(65_535),
            json!(u32::MAX),
        ),
        ("/carried/0/viewers", json!(1_000_000), json!(1_000_001)),
        ("/carried/0/lane", json!(63), json!(64)),
        ("/carried/0/packetsLost", json!(whole), json!(u64::MAX)),
        ("/carried/0/packetsReceived", json!(whole), json!(u64::MAX)),
    ]
}

#[test]
fn a_report_is_read_with_every_field_at_its_bound_and_refused_with_any_over_it() {
    let read = |at: &str, value: &Value| {
        let mut report = report();
        // `/load` of null stands for NaN, which JSON cannot say.
        let place = report.pointer_mut(at);
        *place.unwrap_or_else(|| panic!("no {at}")) = value.clone();
        serde_json::from_value::<NodeReport>(report)
    };
    for (at, most, over) in table() {
        let shown = |value: &Value| value.to_string().chars().take(60).collect::<String>();
        assert!(read(at, &most).is_ok(), "{at} {}: {:?}", shown(&most), read(at, &most));
        assert!(read(at, &over).is_err(), "{at} {}", shown(&over));
    }
}

#[test]
fn of_more_publications_than_a_reader_takes_the_first_are_read_and_the_report_counts() {
    let read = |publications: Value, carries: Value| {
        let mut report = report();
        report["publications"] = publications;
        report["carried"] = carries;
        serde_json::from_value::<NodeReport>(report)
    };
    let fits = read(many(publication, MAX_REPORTED - 1), many(carried, MAX_REPORTED - 1)).unwrap();
    assert!(!fits.is_cut());
    for more in [MAX_REPORTED, MAX_REPORTED + 1, 3 * MAX_REPORTED] {
        let own = read(many(publication, more), many(carried, 1)).unwrap();
        assert_eq!((own.publications.len(), own.carried.len()), (MAX_REPORTED, 1));
        let others = read(many(publication, 1), many(carried, more)).unwrap();
        assert_eq!((others.publications.len(), others.carried.len()), (1, MAX_REPORTED));
        assert!(own.is_cut() && others.is_cut());
    }
    // What cannot be is refused where it is read, and whatever follows is not read.
    let mut lie = many(carried, MAX_REPORTED);
    lie[7]["viewers"] = json!(u64::MAX);
    assert!(read(many(publication, 0), lie).is_err());
    let mut beyond = many(carried, MAX_REPORTED + 1);
    beyond[MAX_REPORTED] = json!("x".repeat(100_000));
    assert!(read(many(publication, 0), beyond).is_ok());
    assert!(read(many(publication, 0), json!({})).is_err());
}

#[test]
fn a_state_of_a_track_that_a_later_release_may_have_is_not_known() {
    let state = |word: &str| {
        let mut report = report();
        *report.pointer_mut("/publications/0/tracks/0/state").unwrap() = json!(word);
        serde_json::from_value::<NodeReport>(report).unwrap().publications[0].tracks[0].state
    };
    for known in TrackState::ALL {
        assert_eq!(state(known.as_str()), Some(known));
    }
    assert_eq!(state("sparkling"), None);
}

#[test]
fn a_number_beyond_every_float_is_refused() {
    let text = report().to_string().replace("0.25", "1e999");
    assert!(serde_json::from_str::<NodeReport>(&text).is_err());
}

#[test]
fn what_a_peer_publishes_is_bounded_like_what_it_reports() {
    let list = |count: usize, ended: usize| {
        let ended: Value = (0..ended).map(|n| format!("p{n}")).collect();
        let list = json!({ "incarnation": "0.a", "revision": 1, "ready": true, "publications": many(publication, count),
                           "changesSince": 0, "ended": ended });
        serde_json::from_value::<Publications>(list)
    };
    assert!(list(16_384, 16_384).is_ok());
    assert!(list(16_385, 0).is_err());
    assert!(list(0, 16_385).is_err());
}

#[test]
fn a_text_for_people_is_made_to_fit_before_it_is_reported() {
    let text = fitting_text(&format!("line\n{}", "ä".repeat(2_000)));
    assert!(text.len() <= MAX_TEXT && text.starts_with("line ä"), "{}", text.len());
    let mut report = report();
    report["redisProblem"] = text.into();
    assert!(serde_json::from_value::<NodeReport>(report).is_ok());
}
