#![allow(clippy::unwrap_used)]

use super::*;
use serde_json::json;
use sfumato_mesh::MemberSnapshot;
use std::sync::Arc;

fn mesh(reasons: &[&str], publishers: u32, viewers: u32) -> MeshSnapshot {
    let report: NodeReport = serde_json::from_value(json!({
        "apiVersion": 1, "version": "0", "name": "sfu-3", "incarnation": "0.1", "adminUrl": "http://a", "clientUrl": "http://c",
        "revision": 1, "workers": 1, "linkEncryption": true,
        "ready": reasons.is_empty(), "draining": !reasons.is_empty(),
        "drain": {"reasons": reasons, "remainingMs": 10_000}, "redis": true,
        "peers": [], "links": [], "publications": [], "carried": [], "viewers": viewers, "publishers": publishers,
    }))
    .unwrap();
    MeshSnapshot {
        whole: Default::default(),
        members: vec![MemberSnapshot {
            streams: 0,
            unusable: None,
            silent: None,
            name: "sfu-3".parse().unwrap(),
            incarnation: None,
            reachable: true,
            asked: true,
            report: Some(Arc::new(report)),
        }],
        desired_pairs: 0,
        established_pairs: 0,
    }
}

#[test]
fn a_drain_is_told_from_its_begin_to_the_empty_node_without_a_line_for_every_viewer() {
    let start = Instant::now();
    let mut progress = DrainProgress::default();
    let mut lines = |mesh: &MeshSnapshot, ms| progress.lines(mesh, start + Duration::from_millis(ms));
    assert!(lines(&mesh(&[], 1, 9), 0).is_empty());
    assert_eq!(
        lines(&mesh(&["scaleDown"], 1, 9), 0),
        ["sfu-3 is drained (scaleDown): 1 publisher and 9 viewers left, for at most 10 s"]
    );
    assert!(lines(&mesh(&["scaleDown"], 1, 8), 100).is_empty(), "not every viewer");
    assert_eq!(
        lines(&mesh(&["scaleDown"], 1, 5), 2_100),
        ["sfu-3: 1 publisher and 5 viewers left, for at most 10 s"]
    );
    assert_eq!(
        lines(&mesh(&["scaleDown"], 1, 0), 2_200),
        ["sfu-3: 1 publisher and 0 viewers left, for at most 10 s"]
    );
    assert_eq!(
        lines(&mesh(&["scaleDown"], 0, 0), 3_000),
        ["sfu-3 is drained: nobody is left (after 3.0 s)"]
    );
    assert!(lines(&mesh(&["scaleDown"], 0, 0), 9_000).is_empty());
    assert!(lines(&mesh(&["scaleDown", "sigterm"], 0, 0), 9_100).is_empty());
}

#[test]
fn a_drain_that_is_taken_back_is_told_and_the_end_of_a_node_is_not() {
    let start = Instant::now();
    let mut progress = DrainProgress::default();
    assert_eq!(
        progress.lines(&mesh(&["manual"], 0, 0), start),
        ["sfu-3 is drained (manual): nobody is on it"]
    );
    assert_eq!(progress.lines(&mesh(&[], 0, 0), start), ["sfu-3 takes sessions again"]);
    assert!(progress.lines(&mesh(&["sigterm"], 0, 0), start).is_empty());
}
