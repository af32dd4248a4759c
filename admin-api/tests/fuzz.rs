//! Whatever a node answers, reading it ends, panics never, and gives nothing that is over a bound.
//!
//! `SFUMATO_FUZZ_CASES` sets how many inputs each test takes.

#![allow(clippy::unwrap_used)]

#[path = "support/fuzz.rs"]
mod fuzz;

use proptest::prelude::*;
use serde_json::{Value, json};
use sfumato_admin_api::types::bounds::{
    MAX_LANE, MAX_LAYERS, MAX_LINKS, MAX_LOAD, MAX_PEERS, MAX_REPORTED, MAX_SESSIONS, MAX_TEXT, MAX_TRACKS, MAX_URL,
    MAX_WHOLE, MAX_WORD, MAX_WORKERS,
};
use sfumato_admin_api::types::{Links, NameReport, NodeReport, Problem, Publications, Sessions, Subscribed};

/// A report with everything in it.
fn report() -> Value {
    let layer = json!({ "rid": "h", "width": 1280, "height": 720 });
    let track = json!({ "kind": "video", "codec": "VP8", "state": "noKeyFrame", "layers": [layer] });
    json!({
        "apiVersion": 1, "version": "0.1.0", "name": "sfu-1", "incarnation": "0.a", "revision": 7, "workers": 2, "lanes": 1,
        "adminUrl": "http://127.0.0.1:4001", "clientUrl": "http://127.0.0.1:3001", "linkEncryption": true, "ready": true,
        "draining": true, "drain": { "reasons": ["roll"], "remainingMs": 5000 }, "redis": false, "redisProblem": "refused",
        "pid": 12, "viewers": 3, "publishers": 1, "load": 0.25,
        "peers": [{ "name": "sfu-2", "incarnation": "0.b", "adminUrl": "http://a", "clientUrl": "http://c" }],
        "links": [{ "id": "l1", "peer": "sfu-2", "peerIncarnation": "0.b", "lane": 0, "remote": "l2", "state": "fresh",
                    "sinceMs": 1, "rttUs": 300, "beatsReceived": 1, "packetsLost": 1, "packetsReceived": 1, "bytesSent": 1,
                    "bytesReceived": 1, "largePackets": { "bytes": 1250, "carried": false } }],
        "publications": [{ "id": "p1", "stream": "demo", "generation": 1, "worker": 0, "tracks": [track], "viewers": 1,
                           "subscribers": ["sfu-2"] }],
        "carried": [{ "publication": "p2", "stream": "other", "origin": "sfu-2", "viewers": 1, "lane": 0, "packetsLost": 0,
                      "packetsReceived": 9 }],
    })
}

/// What somebody who means no good writes in the place of a value.
fn wild() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<u64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        Just(json!(u64::MAX)),
        Just(json!(MAX_WHOLE + 1)),
        Just(json!(65_535)),
        Just(json!(-1)),
        Just(json!(1e308)),
        Just(Value::Null),
        Just(json!(true)),
        "\\PC{0,40}".prop_map(Value::from),
        (0..20_000_usize).prop_map(|n| Value::from("x".repeat(n))),
        (0..5_000_usize, any::<u8>()).prop_map(|(n, what)| Value::from(vec![what; n])),
        (1..150_usize).prop_map(|depth| (0..depth).fold(Value::Null, |inner, _| json!([inner]))),
    ]
}

/// Every place in a document, in the order of a walk through it.
fn places(value: &mut Value) -> usize {
    1 + match value {
        Value::Array(list) => list.iter_mut().map(places).sum(),
        Value::Object(map) => map.values_mut().map(places).sum::<usize>(),
        _ => 0,
    }
}

/// Puts a value into the n-th place; whether that has been reached.
fn put(there: &mut Value, n: &mut usize, new: &Value, times: usize) -> bool {
    if *n == 0 {
        *there = match there {
            // Many of what belongs there are worse than one of what does not.
            Value::Array(list) if times > 1 && !list.is_empty() => {
                list.iter().cycle().take(times).cloned().collect::<Vec<_>>().into()
            }
            _ => new.clone(),
        };
        return true;
    }
    *n -= 1;
    match there {
        Value::Array(list) => list.iter_mut().any(|inner| put(inner, n, new, times)),
        Value::Object(map) => map.values_mut().any(|inner| put(inner, n, new, times)),
        _ => false,
    }
}

fn within_bounds(report: &NodeReport) {
    assert!(u64::from(report.workers) <= MAX_WORKERS && u64::from(report.lanes.unwrap_or(0)) <= MAX_WORKERS);
    assert!(report.revision <= MAX_WHOLE && (0.0..=MAX_LOAD).contains(&report.load));
    assert!(u64::from(report.viewers) <= MAX_SESSIONS && u64::from(report.publishers) <= MAX_SESSIONS);
    assert!(report.version.len() <= MAX_WORD);
    assert!(report.redis_problem.as_ref().is_none_or(|text| text.len() <= MAX_TEXT));
    assert!(
        report
            .address_problem
            .as_ref()
            .is_none_or(|text| text.len() <= MAX_TEXT)
    );
    assert!(report.peers.len() <= MAX_PEERS && report.links.len() <= MAX_LINKS);
    assert!(report.publications.len() <= MAX_REPORTED && report.carried.len() <= MAX_REPORTED);
    for peer in report.peers.iter().chain([&report.node]) {
        assert!(peer.admin_url.len() <= MAX_URL && peer.client_url.len() <= MAX_URL);
    }
    for link in &report.links {
        assert!(u64::from(link.lane.0) <= MAX_LANE && link.rtt_us.unwrap_or(0) <= MAX_WHOLE);
        for number in [
            link.since_ms,
            link.packets_lost,
            link.packets_received,
            link.bytes_sent,
            link.bytes_received,
        ] {
            assert!(number <= MAX_WHOLE);
        }
    }
    for publication in &report.publications {
        assert!(publication.generation <= MAX_WHOLE && publication.tracks.len() <= MAX_TRACKS);
        assert!(publication.subscribers.len() <= MAX_PEERS);
        for track in &publication.tracks {
            assert!(track.codec.len() <= MAX_WORD && track.layers.len() <= MAX_LAYERS);
        }
    }
}

fn read_as_everything(text: &[u8]) {
    fuzz::in_time(|| read_each(text));
}

fn read_each(text: &[u8]) {
    if let Ok(report) = serde_json::from_slice::<NodeReport>(text) {
        within_bounds(&report);
        let again = serde_json::to_vec(&report).unwrap();
        let mut again = serde_json::from_slice::<NodeReport>(&again).unwrap();
        // The last digit of a fraction may differ: serde_json reads them fast, not exactly.
        assert!((again.load - report.load).abs() <= f64::EPSILON);
        again.load = report.load;
        assert_eq!(again, report);
    }
    let _ = serde_json::from_slice::<Publications>(text);
    let _ = serde_json::from_slice::<Links>(text);
    let _ = serde_json::from_slice::<NameReport>(text);
    let _ = serde_json::from_slice::<Subscribed>(text);
    let _ = serde_json::from_slice::<Sessions>(text);
    let _ = serde_json::from_slice::<Problem>(text);
}

#[test]
fn the_report_that_is_changed_here_can_be_read() {
    within_bounds(&serde_json::from_value(report()).unwrap());
}

proptest! {
    #![proptest_config(fuzz::config())]

    #[test]
    fn a_report_with_any_value_replaced_is_refused_or_within_bounds(
        at in any::<prop::sample::Index>(),
        new in wild(),
        times in prop_oneof![19 => Just(1_usize), 1 => 2..9_000_usize],
    ) {
        let mut report = report();
        let mut at = at.index(places(&mut report));
        prop_assert!(put(&mut report, &mut at, &new, times));
        read_as_everything(&serde_json::to_vec(&report).unwrap());
    }

    #[test]
    fn a_report_with_damaged_bytes_is_refused_or_within_bounds(
        damage in fuzz::damage(20),
        cut in any::<prop::sample::Index>(),
    ) {
        let text = fuzz::damaged(serde_json::to_vec(&report()).unwrap(), &damage);
        read_as_everything(&text);
        read_as_everything(&text[..cut.index(text.len())]);
    }

    #[test]
    fn arbitrary_bytes_are_read_to_their_end(text in prop::collection::vec(any::<u8>(), 0..2_000)) {
        read_as_everything(&text);
    }
}
